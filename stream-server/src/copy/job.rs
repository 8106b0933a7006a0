//! What all threads of a copy share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::arguments::{CopyArguments, Pair};
use super::error::CopyError;
use super::side::Side;

/// The copy, as the command line describes it, and how far it has come.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) leave_out_unfit: bool,
    pub(super) foreign_keys: bool,
    pub(super) lose_order: bool,
    pub(super) new_ids: bool,
    pub(super) from_oldest: bool,
    pub(super) follow: bool,
    pub(super) dry_run: bool,
    pub(super) settle: Duration,
    /// Whether the destination has messages already: an earlier copy has begun.
    pub(super) resumes: bool,
    /// Somebody has asked for the end.
    stop: Arc<AtomicBool>,
    /// A thread has failed, so that the others needn't go on.
    failed: AtomicBool,
    /// Messages that were compared, and that were copied.
    compared: AtomicU64,
    copied: AtomicU64,
    /// Threads that have come to the end once.
    caught_up: AtomicU64,
}

/// One partition to copy.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Its stream's place among those of the command line.
    pub(super) stream: usize,
    pub(super) pair: Pair,
    pub(super) partition: u32,
    /// Partitions of the stream.
    pub(super) partitions: u32,
}

impl Job {
    pub(super) fn new(arguments: &CopyArguments, stop: Arc<AtomicBool>) -> Self {
        let (from, to) = arguments.sides();
        Self {
            from,
            to,
            leave_out_unfit: arguments.leave_out_unfit,
            foreign_keys: arguments.foreign_keys,
            lose_order: arguments.lose_order,
            new_ids: arguments.new_ids,
            from_oldest: arguments.from_oldest,
            follow: arguments.follow,
            dry_run: arguments.dry_run,
            settle: arguments.settle(),
            resumes: false,
            stop,
            failed: AtomicBool::new(false),
            compared: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            caught_up: AtomicU64::new(0),
        }
    }

    /// Returns whether somebody has asked for the end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends a thread that shall not go on. A copy that follows first copies what is left.
    pub(super) fn check(&self) -> Result<(), CopyError> {
        match self.has_failed() || (self.is_stopping() && !self.follow) {
            true => Err(CopyError::Stopped),
            false => Ok(()),
        }
    }

    pub(super) fn count_compared(&self) {
        self.compared.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_copied(&self, messages: usize) {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.copied.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn count_caught_up(&self) {
        self.caught_up.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn caught_up(&self) -> u64 {
        self.caught_up.load(Ordering::Relaxed)
    }

    /// Returns how many messages were compared and copied.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.compared), count(&self.copied))
    }
}
