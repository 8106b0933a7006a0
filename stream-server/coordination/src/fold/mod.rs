//! Which records of a slot are valid, and what they add up to.
//!
//! - A claim is valid if its epoch is the present one and one more: of several, the first in the
//!   log wins.
//! - Every other record is valid if its epoch is the present one, the owner hasn't released the
//!   slot, and its number is higher than that of every valid record of the epoch before it.
//! - Everybody ignores everything else, so a late copy changes nothing, and once a record of an
//!   epoch has been read, every earlier one that hasn't will never be valid.
//!
//! A log whose beginning was deleted starts with a snapshot; [`search`] says how it is found.

mod search;

use search::Search;

use crate::record::{FrontId, SlotBody, SlotRecord};
use crate::state::{Effect, SlotState};

/// What the records of a slot add up to: it depends on nothing but the log up to `next`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The offset behind the last record.
    pub next: u64,
    /// The present ownership; 0 before the first claim.
    pub epoch: u64,
    /// The number of the last valid record of the epoch.
    pub seq: u64,
    /// The front that owns the slot; `None` before the first claim and after a release.
    pub owner: Option<FrontId>,
    /// Groups, streams and documents.
    pub state: SlotState,
    /// The offsets of the first and the last record of the last complete snapshot.
    pub snapshot: Option<(u64, u64)>,
    /// The snapshot that is being written.
    writing: Option<Writing>,
}

/// A snapshot that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writing {
    of: u64,
    begin: u64,
    parts: u64,
}

/// What a record has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is not valid, or not known to be.
    Ignored,
    /// It is a claim that has won.
    Claimed {
        /// The owner before, unless it had released the slot.
        previous: Option<FrontId>,
    },
    /// It is a valid record of the owner.
    Valid {
        /// Its number within the epoch.
        seq: u64,
        /// Whether it is a change of the state.
        is_change: bool,
        /// What it has done.
        effect: Effect,
    },
}

impl Folded {
    /// Applies the record at this offset.
    fn apply(&mut self, slot: u32, offset: u64, record: &SlotRecord) -> Step {
        self.next = offset.saturating_add(1);
        if let SlotBody::Claim { front } = &record.body {
            if self.epoch.checked_add(1) != Some(record.epoch) {
                return Step::Ignored;
            }
            self.epoch = record.epoch;
            self.seq = 0;
            self.writing = None;
            let previous = self.owner.replace(front.clone());
            return Step::Claimed { previous };
        }
        let is_owners = record.epoch == self.epoch && self.owner.is_some();
        if !is_owners || record.seq <= self.seq {
            return Step::Ignored;
        }
        self.seq = record.seq;
        let effect = self.apply_valid(slot, offset, record);
        Step::Valid {
            seq: record.seq,
            is_change: matches!(record.body, SlotBody::Change(_)),
            effect,
        }
    }

    fn apply_valid(&mut self, slot: u32, offset: u64, record: &SlotRecord) -> Effect {
        match &record.body {
            SlotBody::Change(change) => return self.state.apply(slot, offset, change),
            SlotBody::Release => {
                self.owner = None;
                self.writing = None;
            }
            SlotBody::SnapshotBegin { .. } => {
                self.writing = Some(Writing {
                    of: record.seq,
                    begin: offset,
                    parts: 0,
                });
            }
            SlotBody::SnapshotPart { of, index, .. } => {
                let writing = self.writing.take();
                let is_next = |w: &Writing| w.of == *of && w.parts == *index;
                self.writing = writing.filter(is_next).map(|writing| Writing {
                    parts: writing.parts.saturating_add(1),
                    ..writing
                });
            }
            SlotBody::SnapshotEnd { of, parts } => {
                let writing = self.writing.take();
                let is_whole = |w: &Writing| w.of == *of && w.parts == *parts;
                if let Some(writing) = writing.filter(is_whole) {
                    self.snapshot = Some((writing.begin, offset));
                }
            }
            SlotBody::Claim { .. } | SlotBody::Renew => {}
        }
        Effect::Done
    }
}

/// The fold of one slot's log, from wherever the log begins.
#[derive(Debug)]
pub struct SlotFold {
    slot: u32,
    folded: Folded,
    /// Where the log ended when it was opened.
    end: u64,
    /// Present as long as it isn't certain that `folded` is right.
    search: Option<Search>,
    is_known: bool,
    foreign: u64,
}

impl SlotFold {
    /// Returns the fold of a log that has the offsets `oldest..end` now.
    #[must_use]
    pub fn start(slot: u32, oldest: u64, end: u64) -> Self {
        let folded = Folded {
            next: oldest,
            ..Folded::default()
        };
        let mut fold = Self {
            slot,
            folded,
            end,
            search: (oldest > 0).then(Search::default),
            is_known: false,
            foreign: 0,
        };
        fold.learn();
        fold
    }

    /// Returns what is folded; `None` until it has been read up to where the log ended when it was
    /// opened. It stays so if somebody has deleted the log's beginning without a snapshot.
    #[must_use]
    pub fn known(&self) -> Option<&Folded> {
        self.is_known.then_some(&self.folded)
    }

    /// Returns the offset from which it goes on.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.folded.next
    }

    /// Returns how many records were not understood.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Applies the record at this offset. Records before [`Self::next`] were applied already.
    pub fn apply(&mut self, offset: u64, bytes: &[u8]) -> Step {
        if offset < self.folded.next {
            return Step::Ignored;
        }
        let Some(record) = SlotRecord::read(bytes) else {
            self.foreign = self.foreign.saturating_add(1);
            self.skip_to(offset.saturating_add(1));
            return Step::Ignored;
        };
        let step = match &mut self.search {
            None => self.folded.apply(self.slot, offset, &record),
            Some(search) => {
                search.apply(self.slot, offset, record, &mut self.folded);
                Step::Ignored
            }
        };
        self.learn();
        step
    }

    /// Goes on behind offsets that have no record.
    pub fn skip_to(&mut self, next: u64) {
        self.folded.next = self.folded.next.max(next);
        self.learn();
    }

    /// Notes that everything that stood in the log when it was opened has been read.
    fn learn(&mut self) {
        if self.folded.next < self.end {
            return;
        }
        if self.search.as_ref().is_some_and(Search::has_found) {
            self.search = None;
        }
        self.is_known |= self.search.is_none();
    }
}
