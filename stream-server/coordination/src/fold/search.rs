//! A log without its beginning: the search for a snapshot that can be trusted.
//!
//! Records are deleted only before the first record of a snapshot that was read back as complete
//! and valid. So when the log was opened, it had such a snapshot, and everything behind it. But it
//! may begin earlier than at that snapshot: a broker that crashes may keep more than it had
//! deleted. There a snapshot of an owner that had lost the slot long ago may stand first, and
//! nothing says that it is not valid.
//!
//! Two facts help. Epochs and numbers of the valid records only rise, and nobody writes an epoch
//! that wasn't reached yet (but for the claim of the next one). So the search ignores whatever
//! doesn't rise, takes every complete snapshot for right until a later record contradicts it or a
//! later snapshot replaces it, and trusts nothing before it has read up to where the log ended when
//! it was opened.

use super::{Folded, Step, Writing};
use crate::record::{FrontId, SlotBody, SlotRecord};
use crate::state::SlotState;

/// The search for a snapshot.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Epoch and number of the highest record so far.
    highest: (u64, u64),
    /// The snapshot that is being read.
    reading: Option<Reading>,
    /// Whether what is folded comes from a snapshot that nothing has contradicted yet.
    has_found: bool,
}

/// A snapshot that has begun, with everything since.
#[derive(Debug)]
struct Reading {
    epoch: u64,
    of: u64,
    begin: u64,
    owner: FrontId,
    later: Vec<(u64, SlotRecord)>,
}

impl Search {
    pub(super) fn has_found(&self) -> bool {
        self.has_found
    }

    /// Applies a record, and replaces what is folded when a snapshot is complete.
    pub(super) fn apply(
        &mut self,
        slot: u32,
        offset: u64,
        record: SlotRecord,
        folded: &mut Folded,
    ) {
        let place = (record.epoch, record.seq);
        if place <= self.highest {
            folded.next = offset.saturating_add(1);
            return;
        }
        self.highest = place;
        if self.has_found {
            let is_ahead = record.epoch > folded.epoch;
            let is_void = folded.apply(slot, offset, &record) == Step::Ignored;
            self.has_found = !(is_ahead && is_void);
        }
        folded.next = offset.saturating_add(1);
        if let SlotBody::SnapshotBegin { front } = &record.body {
            self.reading = Some(Reading {
                epoch: record.epoch,
                of: record.seq,
                begin: offset,
                owner: front.clone(),
                later: Vec::new(),
            });
            return;
        }
        let reading = self.reading.take();
        let Some(mut reading) = reading.filter(|reading| reading.epoch == record.epoch) else {
            return;
        };
        let is_end = matches!(record.body, SlotBody::SnapshotEnd { .. });
        reading.later.push((offset, record));
        if !is_end {
            self.reading = Some(reading);
            return;
        }
        if let Some(found) = reading.finish(slot) {
            *folded = found;
            self.has_found = true;
        }
    }
}

impl Reading {
    /// Returns what is folded up to the snapshot's last record; `None` if a part is missing.
    fn finish(mut self, slot: u32) -> Option<Folded> {
        let mut state = SlotState::default();
        for (_, record) in &mut self.later {
            if let SlotBody::SnapshotPart { of, part, .. } = &mut record.body
                && *of == self.of
            {
                state.restore(std::mem::take(part));
            }
        }
        let mut folded = Folded {
            next: self.begin.saturating_add(1),
            epoch: self.epoch,
            seq: self.of,
            owner: Some(self.owner),
            state,
            snapshot: None,
            writing: Some(Writing {
                of: self.of,
                begin: self.begin,
                parts: 0,
            }),
        };
        for (offset, record) in &self.later {
            folded.apply(slot, *offset, record);
        }
        folded.snapshot.is_some().then_some(folded)
    }
}
