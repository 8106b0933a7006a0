//! The streams that nobody may use, because their topics were made anew.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The keys of these streams.
#[derive(Default)]
pub(super) struct Unfit(Mutex<BTreeSet<u64>>);

impl Unfit {
    pub(super) fn keys(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
