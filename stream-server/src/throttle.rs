//! Oracle's rates, for tests of clients that must live with them. Off unless `--throttle oci`.
//!
//! Pure: the time is an argument. Each rate is a bucket that holds what may be done in one second
//! and fills at that rate, so a client that was idle may do a second's worth at once. A bucket is
//! one number, the moment at which it is full again (the generic cell rate algorithm); one that is
//! full is forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::limits::THROTTLE_BUCKETS_MAX;
use crate::time::TimeMs;

/// Requests a second of one bucket (OCI limit: reads of a partition by a group, and each operation
/// beside PutMessages).
pub const REQUESTS_PER_SECOND: u64 = 5;
/// Bytes of keys and values a second that one partition takes (OCI limit: 1 MB).
pub const WRITE_BYTES_PER_SECOND: u64 = 1_048_576;

/// What any bucket holds: one second's worth, in microseconds of filling.
const FULL_US: u64 = 1_000_000;
/// No bucket can lack more than this. One that seems to was emptied before the clock was set back.
const LACK_US_MAX: u64 = 2 * FULL_US;
/// Buckets below which nothing is tidied up.
const TIDY_COUNT_MIN: usize = 1_024;

/// What is limited. Streams, groups and partitions are those of the store, so there are only so
/// many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Bytes that are published to a partition.
    Write {
        /// The stream's key.
        stream: u64,
        /// The partition.
        partition: u32,
    },
    /// GetMessages of a partition by a group. Readers without a group count as one.
    Read {
        /// The stream's key.
        stream: u64,
        /// The group's key.
        group: Option<u64>,
        /// The partition.
        partition: u32,
    },
    /// Requests for an operation on a stream.
    OnStream {
        /// The stream's key.
        stream: u64,
        /// OCI's name of it.
        operation: &'static str,
    },
    /// Requests for an operation of the control plane.
    Control {
        /// OCI's name of it.
        operation: &'static str,
    },
}

/// Too much at once: so many milliseconds later it will do, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Throttled {
    /// The time to wait.
    pub next_in_ms: u64,
}

/// All buckets of one server.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// The moment at which each is full again, in microseconds since the Unix epoch.
    full_at_us: BTreeMap<Bucket, u64>,
    /// Full ones are forgotten when there are more than this.
    tidy_above: usize,
}

impl Throttle {
    /// Admits a request that takes one from each of these buckets, or nothing from any.
    ///
    /// # Errors
    /// [`Throttled`] with the time after which all of them would admit it.
    pub fn admit_request(
        &self,
        now: TimeMs,
        buckets: impl IntoIterator<Item = Bucket>,
    ) -> Result<(), Throttled> {
        let buckets: Vec<Bucket> = buckets.into_iter().collect();
        self.admit(now, &buckets, FULL_US / REQUESTS_PER_SECOND)
    }

    /// Admits so many bytes of key and value to a partition. A full bucket admits any message.
    ///
    /// # Errors
    /// [`Throttled`].
    pub fn admit_bytes(&self, now: TimeMs, bucket: Bucket, bytes: usize) -> Result<(), Throttled> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let cost_us = bytes
            .saturating_mul(FULL_US)
            .div_ceil(WRITE_BYTES_PER_SECOND);
        self.admit(now, &[bucket], cost_us)
    }

    fn admit(&self, now: TimeMs, wanted: &[Bucket], cost_us: u64) -> Result<(), Throttled> {
        let now_us = now.0.saturating_mul(1_000);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.tidy(now_us);
        let wait_us = wanted
            .iter()
            .map(|bucket| buckets.wait(bucket, now_us, cost_us));
        match wait_us.max() {
            None | Some(0) => {
                for bucket in wanted {
                    buckets.take(*bucket, now_us, cost_us);
                }
                Ok(())
            }
            Some(wait_us) => Err(Throttled {
                next_in_ms: wait_us.div_ceil(1_000),
            }),
        }
    }
}

impl Buckets {
    /// Returns what is missing to a full bucket, in microseconds of filling.
    fn lack(&self, bucket: &Bucket, now_us: u64) -> u64 {
        let full_at = self.full_at_us.get(bucket).copied().unwrap_or(0);
        full_at.saturating_sub(now_us).min(LACK_US_MAX)
    }

    fn wait(&self, bucket: &Bucket, now_us: u64, cost_us: u64) -> u64 {
        let is_new = !self.full_at_us.contains_key(bucket);
        if is_new && self.full_at_us.len() >= THROTTLE_BUCKETS_MAX {
            return FULL_US;
        }
        // What costs more than a bucket holds waits for a full one, not for ever.
        self.lack(bucket, now_us)
            .saturating_add(cost_us.min(FULL_US))
            .saturating_sub(FULL_US)
    }

    fn take(&mut self, bucket: Bucket, now_us: u64, cost_us: u64) {
        let lack = self.lack(&bucket, now_us).saturating_add(cost_us);
        self.full_at_us.insert(bucket, now_us.saturating_add(lack));
    }

    /// Forgets the full ones, seldom enough to cost nothing.
    fn tidy(&mut self, now_us: u64) {
        if self.full_at_us.len() > self.tidy_above.max(TIDY_COUNT_MIN) {
            self.full_at_us.retain(|_, full_at| *full_at > now_us);
            let room = self.full_at_us.len().saturating_mul(2);
            self.tidy_above = room.min(THROTTLE_BUCKETS_MAX.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: TimeMs = TimeMs(1_800_000_000_000);

    fn read(partition: u32) -> Bucket {
        Bucket::Read {
            stream: 1,
            group: Some(1),
            partition,
        }
    }

    fn write() -> Bucket {
        Bucket::Write {
            stream: 1,
            partition: 0,
        }
    }

    fn waits(next_in_ms: u64) -> Result<(), Throttled> {
        Err(Throttled { next_in_ms })
    }

    #[test]
    fn five_requests_at_once_then_one_each_200_ms() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.admit_request(BEGIN, [read(0)]), Ok(()));
        }
        assert_eq!(throttle.admit_request(BEGIN, [read(0)]), waits(200));
        let later = BEGIN.plus_ms(150);
        assert_eq!(throttle.admit_request(later, [read(0)]), waits(50));
        let later = BEGIN.plus_ms(200);
        assert_eq!(throttle.admit_request(later, [read(0)]), Ok(()));
        assert_eq!(throttle.admit_request(later, [read(0)]), waits(200));
    }

    #[test]
    fn in_the_long_run_five_a_second_are_admitted() {
        let throttle = Throttle::default();
        let ticks = (0..60_000).step_by(10);
        let admitted = ticks.filter(|ms| {
            let now = BEGIN.plus_ms(*ms);
            throttle.admit_request(now, [read(0)]).is_ok()
        });
        assert_eq!(admitted.count(), 5 + 60 * 5 - 1);
    }

    #[test]
    fn a_request_takes_from_all_its_buckets_or_from_none() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.admit_request(BEGIN, [read(0)]), Ok(()));
        }
        for _ in 0..9 {
            assert_eq!(
                throttle.admit_request(BEGIN, [read(0), read(1)]),
                waits(200)
            );
        }
        for _ in 0..5 {
            assert_eq!(throttle.admit_request(BEGIN, [read(1)]), Ok(()));
        }
        assert_eq!(throttle.admit_request(BEGIN, []), Ok(()));
    }

    #[test]
    fn a_partition_takes_a_mebibyte_a_second() {
        let throttle = Throttle::default();
        let half = 524_288;
        assert_eq!(throttle.admit_bytes(BEGIN, write(), half), Ok(()));
        assert_eq!(throttle.admit_bytes(BEGIN, write(), half), Ok(()));
        assert_eq!(throttle.admit_bytes(BEGIN, write(), 1), waits(1));
        assert_eq!(throttle.admit_bytes(BEGIN, write(), half), waits(500));
        let later = BEGIN.plus_ms(500);
        assert_eq!(throttle.admit_bytes(later, write(), half), Ok(()));
    }

    #[test]
    fn the_largest_message_is_admitted_by_a_full_bucket_only() {
        let throttle = Throttle::default();
        let largest = 1_048_576 + 256;
        assert_eq!(throttle.admit_bytes(BEGIN, write(), largest), Ok(()));
        assert_eq!(throttle.admit_bytes(BEGIN, write(), largest), waits(1_001));
        let later = BEGIN.plus_ms(1_001);
        assert_eq!(throttle.admit_bytes(later, write(), largest), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_costs_two_seconds_at_most() {
        let throttle = Throttle::default();
        let largest = 1_048_576;
        let tomorrow = BEGIN.plus_ms(86_400_000);
        assert_eq!(throttle.admit_bytes(tomorrow, write(), largest), Ok(()));
        assert_eq!(throttle.admit_bytes(BEGIN, write(), largest), waits(2_000));
    }

    #[test]
    fn what_is_full_is_forgotten_and_the_rest_is_bounded() {
        let throttle = Throttle::default();
        let count = |throttle: &Throttle| throttle.0.lock().unwrap().full_at_us.len();
        let many = u32::try_from(THROTTLE_BUCKETS_MAX).unwrap();
        for partition in 0..many {
            assert_eq!(throttle.admit_request(BEGIN, [read(partition)]), Ok(()));
        }
        assert_eq!(throttle.admit_request(BEGIN, [read(many)]), waits(1_000));
        assert_eq!(count(&throttle), THROTTLE_BUCKETS_MAX);
        let later = BEGIN.plus_ms(1_000);
        assert_eq!(throttle.admit_request(later, [read(many)]), Ok(()));
        assert_eq!(count(&throttle), 1);
    }
}
