//! Records that this front has published a moment ago, so that whoever follows the stream closely
//! gets them without a question to a broker.
//!
//! A record is in here only after the brokers have acknowledged it, with the offset that they gave
//! it. It stays for a short time: if operators of Kafka shorten or remake a topic, this front
//! delivers what was there for so long at most.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::group::ReadRange;
use crate::partition_log::Stamp;
use crate::storage::{Message, ReadBounds};

/// How long a record stays.
const LIFE: Duration = Duration::from_secs(5);
/// Bytes of all records, with [`RECORD_BYTES`] for each.
const BYTES_MAX: usize = 16_777_216;
/// Bytes that a record takes beside its key and its value.
const RECORD_BYTES: usize = 256;

/// A partition of a stream, which its key names.
type Place = (u64, u32);

/// The latest records of all streams.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    places: HashMap<Place, BTreeMap<u64, Message>>,
    /// In which places records were put, and when. The first one goes first.
    order: VecDeque<(Place, Instant)>,
    bytes: usize,
}

/// What a read has taken.
struct Taken {
    bounds: ReadBounds,
    bytes: usize,
    messages: Vec<Message>,
}

impl Recent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps records of a stream that were acknowledged.
    pub(super) fn note(
        &self,
        stream_key: u64,
        records: impl Iterator<Item = (u32, Stamp, Option<Bytes>, Bytes)>,
    ) {
        let now = Instant::now();
        let mut kept = self.kept();
        for (partition, stamp, key, value) in records {
            // The value may be a part of a whole request.
            let message = Message {
                partition,
                stamp,
                key: key.map(|key| Bytes::copy_from_slice(&key)),
                value: Bytes::copy_from_slice(&value),
            };
            kept.put((stream_key, partition), message, now);
        }
        kept.shrink(now);
    }

    /// Returns the offset behind the latest record of each partition of a stream.
    pub(super) fn ends(&self, stream_key: u64, partitions: u32) -> BTreeMap<u32, u64> {
        let kept = self.kept();
        let end = |partition: u32| {
            let (offset, _) = kept
                .places
                .get(&(stream_key, partition))?
                .last_key_value()?;
            Some((partition, offset.saturating_add(1)))
        };
        (0..partitions).filter_map(end).collect()
    }

    /// Returns the messages of the first ranges, as far as everything that they have is here;
    /// `None` if a broker has to be asked for the very first one.
    ///
    /// The answer ends before the first range of which something is missing, whatever comes after
    /// it: whoever reads in turns then begins with that one.
    pub(super) fn read(
        &self,
        stream_key: u64,
        ranges: &[ReadRange],
        bounds: ReadBounds,
    ) -> Option<Vec<Message>> {
        let mut kept = self.kept();
        kept.shrink(Instant::now());
        let mut taken = Taken {
            bounds,
            bytes: 0,
            messages: Vec::new(),
        };
        let mut is_any = false;
        for range in ranges {
            let place = kept.places.get(&(stream_key, range.partition));
            if !place.is_some_and(|records| taken.take(records, *range)) {
                break;
            }
            is_any = true;
        }
        is_any.then_some(taken.messages)
    }

    /// Forgets what belongs to streams that are gone, and what is old.
    pub(super) fn forget(&self, is_gone: impl Fn(u64) -> bool) {
        let mut kept = self.kept();
        let gone = kept.places.keys().filter(|(key, _)| is_gone(*key)).copied();
        for place in gone.collect::<Vec<_>>() {
            kept.clear(place);
        }
        kept.shrink(Instant::now());
    }
}

impl Kept {
    fn put(&mut self, place: Place, message: Message, at: Instant) {
        let (bytes, offset) = (all_bytes(&message), message.stamp.offset);
        let records = self.places.entry(place).or_default();
        if let Some(former) = records.insert(offset, message) {
            // A topic gives each offset once. This one was made anew or has lost records.
            self.bytes = self.bytes.saturating_sub(all_bytes(&former));
            let later = records.split_off(&offset.saturating_add(1));
            let later = later.values().map(all_bytes).sum();
            self.bytes = self.bytes.saturating_sub(later);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.order.push_back((place, at));
    }

    fn shrink(&mut self, now: Instant) {
        let is_over = |kept: &Self, at: Instant| {
            kept.bytes > BYTES_MAX || now.saturating_duration_since(at) >= LIFE
        };
        while let Some((place, at)) = self.order.front().copied()
            && is_over(self, at)
        {
            self.order.pop_front();
            let Some(records) = self.places.get_mut(&place) else {
                continue;
            };
            if let Some((_, message)) = records.pop_first() {
                self.bytes = self.bytes.saturating_sub(all_bytes(&message));
            }
            if records.is_empty() {
                self.places.remove(&place);
            }
        }
    }

    fn clear(&mut self, place: Place) {
        let records = self.places.remove(&place).unwrap_or_default();
        let bytes = records.values().map(all_bytes).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Taken {
    /// Takes what a range has, up to the bounds. Takes nothing and returns false if something is
    /// missing.
    fn take(&mut self, records: &BTreeMap<u64, Message>, range: ReadRange) -> bool {
        if range.from >= range.until {
            return true;
        }
        let (count, bytes) = (self.messages.len(), self.bytes);
        let mut next = range.from;
        for (offset, message) in records.range(range.from..range.until) {
            if *offset != next {
                break;
            }
            let with_it = self.bytes.saturating_add(own_bytes(message));
            let has_room = with_it <= self.bounds.bytes_max || self.messages.is_empty();
            if !has_room || self.messages.len() >= self.bounds.count_max {
                return true;
            }
            self.bytes = with_it;
            self.messages.push(message.clone());
            next = next.saturating_add(1);
        }
        if next < range.until {
            self.messages.truncate(count);
            self.bytes = bytes;
        }
        next >= range.until
    }
}

fn own_bytes(message: &Message) -> usize {
    let key_bytes = message.key.as_ref().map_or(0, Bytes::len);
    key_bytes.saturating_add(message.value.len())
}

fn all_bytes(message: &Message) -> usize {
    own_bytes(message).saturating_add(RECORD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeMs;

    const BOUNDS: ReadBounds = ReadBounds {
        count_max: 100,
        bytes_max: 1_000,
    };

    fn note(recent: &Recent, partition: u32, offsets: &[u64], bytes: usize) {
        let record = |offset: &u64| {
            let (offset, time) = (*offset, TimeMs(7));
            (
                partition,
                Stamp { offset, time },
                None,
                vec![b'x'; bytes].into(),
            )
        };
        recent.note(1, offsets.iter().map(record));
    }

    fn read(recent: &Recent, ranges: &[(u32, u64, u64)], bounds: ReadBounds) -> Option<Vec<u64>> {
        let range = |(partition, from, until): &(u32, u64, u64)| ReadRange {
            partition: *partition,
            from: *from,
            until: *until,
        };
        let ranges: Vec<ReadRange> = ranges.iter().map(range).collect();
        let read = recent.read(1, &ranges, bounds)?;
        Some(read.iter().map(|message| message.stamp.offset).collect())
    }

    #[test]
    fn only_what_is_there_as_a_whole_is_read() {
        let recent = Recent::default();
        // Two requests may be acknowledged in another order than the offsets have.
        note(&recent, 0, &[7, 8], 10);
        note(&recent, 0, &[5, 6], 10);
        assert_eq!(read(&recent, &[(0, 5, 9)], BOUNDS), Some(vec![5, 6, 7, 8]));
        assert_eq!(read(&recent, &[(0, 6, 8)], BOUNDS), Some(vec![6, 7]));
        for missing in [(0, 4, 9), (0, 5, 10), (0, 9, 10), (1, 5, 9)] {
            assert_eq!(read(&recent, &[missing], BOUNDS), None, "{missing:?}");
        }
        note(&recent, 0, &[10], 10);
        assert_eq!(
            read(&recent, &[(0, 5, 11)], BOUNDS),
            None,
            "9 is another front's"
        );
        assert_eq!(recent.ends(1, 3), BTreeMap::from([(0, 11)]));
        assert_eq!(recent.ends(2, 3), BTreeMap::new());
    }

    #[test]
    fn a_read_ends_at_its_bounds_and_before_what_is_missing() {
        let recent = Recent::default();
        note(&recent, 0, &[0, 1, 2], 400);
        note(&recent, 2, &[0], 10);
        assert_eq!(read(&recent, &[(0, 0, 3)], BOUNDS), Some(vec![0, 1]));
        let one = ReadBounds {
            count_max: 1,
            bytes_max: 1,
        };
        assert_eq!(
            read(&recent, &[(0, 0, 3)], one),
            Some(vec![0]),
            "one always fits"
        );
        let with_gap = [(2, 0, 1), (1, 0, 1), (0, 0, 1)];
        assert_eq!(read(&recent, &with_gap, BOUNDS), Some(vec![0]));
        assert_eq!(read(&recent, &[(1, 0, 1), (2, 0, 1)], BOUNDS), None);
    }

    #[test]
    fn records_leave_when_they_are_too_many_or_too_old() {
        let recent = Recent::default();
        let large = BYTES_MAX / 4;
        for offset in 0..6 {
            note(&recent, 0, &[offset], large);
        }
        let bounds = ReadBounds {
            bytes_max: usize::MAX,
            ..BOUNDS
        };
        assert_eq!(read(&recent, &[(0, 0, 6)], bounds), None);
        assert_eq!(read(&recent, &[(0, 3, 6)], bounds), Some(vec![3, 4, 5]));
        assert!(recent.kept().bytes <= BYTES_MAX);
        recent.kept().shrink(Instant::now() + LIFE);
        assert_eq!(read(&recent, &[(0, 5, 6)], bounds), None);
        assert_eq!(recent.kept().bytes, 0);
    }

    #[test]
    fn a_topic_that_gives_offsets_anew_leaves_nothing_of_the_former() {
        let recent = Recent::default();
        note(&recent, 0, &[0, 1, 2, 3], 10);
        note(&recent, 0, &[1], 20);
        assert_eq!(read(&recent, &[(0, 1, 2)], BOUNDS), Some(vec![1]));
        assert_eq!(read(&recent, &[(0, 2, 3)], BOUNDS), None);
        recent.forget(|key| key == 1);
        assert_eq!(read(&recent, &[(0, 1, 2)], BOUNDS), None);
        assert_eq!(recent.kept().bytes, 0);
    }
}
