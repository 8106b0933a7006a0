//! What time it is for each slot, by the clocks of the brokers: a front's own clock may be wrong by
//! days.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stream_coordination::io::LogId;

use super::topic_log::Record;

/// The latest time at which brokers have appended a record to a slot, by slot, in milliseconds.
#[derive(Default)]
pub(super) struct LogTimes(Mutex<BTreeMap<u32, u64>>);

impl LogTimes {
    fn times(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes records that were read.
    pub(super) fn note(&self, log: LogId, records: &[Record]) {
        if let (LogId::Slot(slot), Some(last)) = (log, records.last()) {
            let mut times = self.times();
            let latest = times.entry(slot).or_default();
            *latest = last.stamp.time.0.max(*latest);
        }
    }

    /// Returns when the latest record of a slot was appended; `None` before one was read.
    pub(super) fn of(&self, slot: u32) -> Option<u64> {
        self.times().get(&slot).copied()
    }
}
