//! How many records of each stream are held.

use crate::drain::lifecycle::tracked::TrackedRecord;

/// What is held of one stream in its present session. Records of lost sessions don't count, because
/// they would keep the drain from reading these very records again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::drain) struct HeldCount {
    pub(in crate::drain) records: usize,
    pub(in crate::drain) unsettled: usize,
    pub(in crate::drain) bytes: usize,
}

impl HeldCount {
    pub(super) fn add(&mut self, tracked: &TrackedRecord) {
        let takes_room = usize::from(!tracked.is_note);
        let is_unsettled = usize::from(tracked.is_unsettled());
        self.records = self.records.saturating_add(takes_room);
        self.unsettled = self.unsettled.saturating_add(is_unsettled);
        self.bytes = self.bytes.saturating_add(tracked.bytes);
    }

    pub(super) fn remove(&mut self, tracked: &TrackedRecord) {
        let takes_room = usize::from(!tracked.is_note);
        let is_unsettled = usize::from(tracked.is_unsettled());
        self.records = self.records.saturating_sub(takes_room);
        self.unsettled = self.unsettled.saturating_sub(is_unsettled);
        self.bytes = self.bytes.saturating_sub(tracked.bytes);
    }
}
