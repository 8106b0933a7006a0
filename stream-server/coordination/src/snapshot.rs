//! The records of a snapshot, in parts of a bounded size.

use std::collections::VecDeque;

use serde::Serialize;

use crate::limits::SNAPSHOT_PART_BYTES;
use crate::record::{FrontId, Part, SlotBody};
use crate::state::SlotState;

/// A snapshot on its way into the log.
#[derive(Debug)]
pub(crate) struct SnapshotJob {
    front: FrontId,
    /// The number of the snapshot's first record, once it was sent.
    of: Option<u64>,
    parts: VecDeque<Part>,
    sent: u64,
}

impl SnapshotJob {
    /// Returns the job of writing this state.
    pub(crate) fn new(front: FrontId, state: &SlotState) -> Self {
        let mut parts = Parts::default();
        for group in state.groups() {
            parts.add(group, |part| &mut part.groups);
        }
        for stream in state.streams() {
            parts.add(stream, |part| &mut part.streams);
        }
        for document in state.documents() {
            parts.add(document, |part| &mut part.documents);
        }
        Self {
            front,
            of: None,
            parts: parts.parts,
            sent: 0,
        }
    }

    /// Returns the next records, the first of which gets this number.
    pub(crate) fn next(&mut self, seq: u64) -> Vec<SlotBody> {
        let mut records = Vec::new();
        let of = *self.of.get_or_insert_with(|| {
            let front = self.front.clone();
            records.push(SlotBody::SnapshotBegin { front });
            seq
        });
        if let Some(part) = self.parts.pop_front() {
            let index = self.sent;
            self.sent = self.sent.saturating_add(1);
            records.push(SlotBody::SnapshotPart { of, index, part });
        }
        if self.parts.is_empty() {
            let parts = self.sent;
            records.push(SlotBody::SnapshotEnd { of, parts });
        }
        records
    }

    /// Returns whether the last record was given out, after at least one call of [`Self::next`].
    pub(crate) fn is_over(&self) -> bool {
        self.parts.is_empty()
    }
}

#[derive(Default)]
struct Parts {
    parts: VecDeque<Part>,
    bytes: usize,
}

impl Parts {
    /// Adds an item to the last part, or to a new one if that is full.
    fn add<T: Clone + Serialize>(&mut self, item: &T, list: fn(&mut Part) -> &mut Vec<T>) {
        let bytes = serde_json::to_vec(item).map_or(0, |json| json.len());
        self.bytes = self.bytes.saturating_add(bytes);
        let has_room = self.bytes <= SNAPSHOT_PART_BYTES;
        let mut last = match self.parts.pop_back() {
            Some(last) if has_room => last,
            full => {
                self.parts.extend(full);
                self.bytes = bytes;
                Part::default()
            }
        };
        list(&mut last).push(item.clone());
        self.parts.push_back(last);
    }
}
