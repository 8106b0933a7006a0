//! The notes of one partition of the stream of calls: those that were read, and when the next one
//! is to be written ([`crate::record::note`]).

use std::rc::Rc;
use std::time::Duration;

use crate::id::RecordId;
use crate::time::Steady;

/// How long a note holds back commits, if it is small.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// A larger one is written again less often: so many bytes a second.
const NOTE_BYTES_PER_SECOND: usize = 65_536;

/// The same where calls wait for the note.
const URGENT_BYTES_PER_SECOND: usize = 1_048_576;

/// A note is written again after this also where nothing else happens: the Stream may want to give
/// the partition to another drain, which waits until all that we have read of it is committed.
const NOTE_AGE_MAX: Duration = Duration::from_secs(5);

/// The notes of one partition.
#[derive(Debug)]
pub(super) struct Notes {
    /// An order key of the partition.
    pub(super) route: Rc<str>,
    /// Those that were read and aren't settled.
    pub(super) held: Vec<RecordId>,
    /// Those of them that we have written, with our numbers.
    pub(super) own: Vec<(RecordId, u64)>,
    /// Calls on their way to a lane that no note tells of yet.
    pub(super) waiting: Vec<RecordId>,
    /// The note that is being stored: the calls that it tells of first, and the notes that it
    /// replaces.
    pub(super) under_way: Option<(Vec<RecordId>, Vec<RecordId>)>,
    /// Our latest note is stored, and we have not read it yet: the partition may not be ours.
    pub(super) is_unread: bool,
    /// Somebody wants to know how far the partition was read: a note of ours tells it.
    pub(super) is_wanted: bool,
    /// In which epoch the latest note was written.
    pub(super) epoch: Option<u64>,
    /// The numbers of our latest note, and of the latest one that is stored.
    pub(super) serial: u64,
    pub(super) stored: u64,
    /// Something else was read since: commits wait for a newer note.
    pub(super) is_in_the_way: bool,
    pub(super) written_at: Steady,
    pub(super) bytes: usize,
}

impl Notes {
    pub(super) fn new(route: Rc<str>, now: Steady) -> Self {
        Self {
            route,
            held: Vec::new(),
            own: Vec::new(),
            waiting: Vec::new(),
            under_way: None,
            is_unread: false,
            is_wanted: false,
            epoch: None,
            serial: 0,
            stored: 0,
            is_in_the_way: false,
            written_at: now,
            bytes: 0,
        }
    }

    /// Returns when the next note is to be written; `None`: not before something happens. Where the
    /// window is full (`is_crowded`), perhaps just this note fills it.
    pub(super) fn due(&self, is_crowded: bool) -> Option<Steady> {
        if self.under_way.is_some() {
            return None;
        }
        if !self.waiting.is_empty() || self.is_wanted {
            let millis = self.bytes.saturating_mul(1_000) / URGENT_BYTES_PER_SECOND;
            let pause = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
            return Some(self.written_at.plus(pause));
        }
        let seconds = u64::try_from(self.bytes / NOTE_BYTES_PER_SECOND).unwrap_or(u64::MAX);
        // Where ours isn't read, the partition is perhaps about to move, for which commits are due.
        let is_urgent = is_crowded || self.is_in_the_way && !self.is_unread;
        let pause = match is_urgent {
            true => NOTE_INTERVAL.saturating_add(Duration::from_secs(seconds)),
            false => NOTE_AGE_MAX.saturating_add(Duration::from_secs(seconds)),
        };
        (!self.held.is_empty()).then(|| self.written_at.plus(pause))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none() && !self.is_wanted
    }
}
