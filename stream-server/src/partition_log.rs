//! The arithmetic of a partition's log: offsets, times, start positions, and which partition a key
//! belongs to. Pure; the store and simulations share it.

use crate::time::TimeMs;

/// The offsets that a partition has: `oldest..next`. It is empty if both are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first offset that is still kept.
    pub oldest: u64,
    /// The offset that the next message gets.
    pub next: u64,
}

/// Where a cursor starts (OCI `CreateCursorDetails.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest kept message.
    TrimHorizon,
    /// Only messages published from now on.
    Latest,
    /// This offset, or the first one after it.
    AtOffset(u64),
    /// The first message after this offset.
    AfterOffset(u64),
    /// The first message at or after this time.
    AtTime(TimeMs),
}

/// A place to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first message with at least this offset.
    Offset(u64),
    /// The first message with at least this time. The log turns it into an offset as soon as there
    /// is such a message.
    Time(TimeMs),
}

/// An offset that the partition does not have; the limits are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The allowed offsets; `None` while the partition is empty.
    pub allowed: Option<(u64, u64)>,
}

impl Extent {
    /// Returns the position that `start` means now.
    ///
    /// # Errors
    /// [`OutOfBounds`] for an offset that was never published or is no longer kept. `AFTER_OFFSET`
    /// also takes the offset just before the oldest one, so that a client that has read everything
    /// may go on even if retention has removed what it has read.
    pub fn position(&self, start: Start) -> Result<Position, OutOfBounds> {
        let last = self.next.checked_sub(1);
        let within = |offset: u64, first: u64| match last {
            Some(last) if offset >= first && offset <= last => Ok(()),
            Some(last) if first <= last => Err(OutOfBounds {
                allowed: Some((first, last)),
            }),
            Some(_) | None => Err(OutOfBounds { allowed: None }),
        };
        Ok(match start {
            Start::TrimHorizon => Position::Offset(self.oldest),
            Start::Latest => Position::Offset(self.next),
            Start::AtOffset(offset) => {
                within(offset, self.oldest)?;
                Position::Offset(offset)
            }
            Start::AfterOffset(offset) => {
                within(offset, self.oldest.saturating_sub(1))?;
                Position::Offset(offset.saturating_add(1))
            }
            Start::AtTime(time) => Position::Time(time),
        })
    }
}

/// The stamp of a message that is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its offset.
    pub offset: u64,
    /// Its time, never earlier than that of the message before it.
    pub time: TimeMs,
}

/// The end of one partition's log, which gives out offsets and times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionLog {
    /// The offsets that the partition has.
    pub extent: Extent,
    /// The time of the newest message that was ever appended.
    pub last_time: TimeMs,
}

impl PartitionLog {
    /// Stamps the next message. Times never go back within a partition, even if the machine's clock
    /// does: `AT_TIME` looks them up by bisection.
    pub fn append(&mut self, now: TimeMs) -> Stamp {
        let offset = self.extent.next;
        self.extent.next = offset.saturating_add(1);
        self.last_time = self.last_time.max(now);
        Stamp {
            offset,
            time: self.last_time,
        }
    }
}

/// Returns the partition of a key: FNV-1a (64 bits) of its bytes, mixed by MurmurHash3's 64-bit
/// finalizer (FNV leaves the high bits of short keys alike), the high 32 bits scaled to the number
/// of partitions by `hash * partitions >> 32`. It never changes. Oracle does not publish its
/// function.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = key.iter().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    scale((hash ^ (hash >> 33)) >> 32, partitions)
}

/// Returns the partition of a message without a key, from 64 random bits.
#[must_use]
pub fn partition_of_random(random: u64, partitions: u32) -> u32 {
    scale(random >> 32, partitions)
}

fn scale(hash_32_bits: u64, partitions: u32) -> u32 {
    u32::try_from((hash_32_bits * u64::from(partitions)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_become_positions_or_are_refused() {
        let log = Extent {
            oldest: 10,
            next: 20,
        };
        let out = Err(OutOfBounds {
            allowed: Some((10, 19)),
        });
        let out_after = Err(OutOfBounds {
            allowed: Some((9, 19)),
        });
        for (start, expected) in [
            (Start::TrimHorizon, Ok(Position::Offset(10))),
            (Start::Latest, Ok(Position::Offset(20))),
            (Start::AtOffset(10), Ok(Position::Offset(10))),
            (Start::AtOffset(19), Ok(Position::Offset(19))),
            (Start::AtOffset(9), out),
            (Start::AtOffset(20), out),
            (Start::AfterOffset(19), Ok(Position::Offset(20))),
            (Start::AfterOffset(9), Ok(Position::Offset(10))),
            (Start::AfterOffset(8), out_after),
            (Start::AfterOffset(20), out_after),
            (Start::AtTime(TimeMs(5)), Ok(Position::Time(TimeMs(5)))),
        ] {
            assert_eq!(log.position(start), expected, "{start:?}");
        }
    }

    #[test]
    fn an_empty_partition_has_no_offset_to_start_at() {
        let never_used = Extent::default();
        assert_eq!(
            never_used.position(Start::AtOffset(0)),
            Err(OutOfBounds { allowed: None })
        );
        let all_expired = Extent { oldest: 7, next: 7 };
        assert_eq!(
            all_expired.position(Start::AfterOffset(6)),
            Ok(Position::Offset(7))
        );
    }

    #[test]
    fn offsets_rise_by_one_and_times_never_fall() {
        let mut log = PartitionLog::default();
        let stamps: Vec<Stamp> = [5, 9, 7].map(|ms| log.append(TimeMs(ms))).to_vec();
        let expected = [(0, 5), (1, 9), (2, 9)]
            .map(|(offset, ms)| Stamp {
                offset,
                time: TimeMs(ms),
            })
            .to_vec();
        assert_eq!(stamps, expected);
    }

    #[test]
    fn the_hash_of_keys_is_pinned_and_spreads() {
        let found = ["", "a", "key-1", "foobar"].map(|key| partition_of_key(key.as_bytes(), 10));
        assert_eq!(found, [9, 5, 6, 1]);
        let mut counts = [0_u32; 7];
        for n in 0..7_000 {
            counts[partition_of_key(format!("key-{n}").as_bytes(), 7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (700..1_300).contains(count)),
            "{counts:?}"
        );
    }
}
