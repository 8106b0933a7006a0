//! The notes of one partition of the stream of calls: those that were read, and when the next one
//! is to be written ([`crate::record::note`]).

use std::rc::Rc;
use std::time::Duration;

use crate::drain::commit::FetchNumber;
use crate::id::RecordId;
use crate::record::note::Note;
use crate::time::Steady;

/// How long a note holds back commits, if it is small.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// A larger note is written less often: so many bytes a second.
const NOTE_BYTES_PER_SECOND: usize = 65_536;

/// The same if calls wait for the note.
const URGENT_BYTES_PER_SECOND: usize = 1_048_576;

/// After this time a note is written again even if nothing else happens. The Stream may want to
/// give the partition to another drain, which waits until everything that this drain has read of it
/// is committed.
const NOTE_AGE_MAX: Duration = Duration::from_secs(5);

/// What is to be done about the notes of a partition.
pub(super) enum NoteStep {
    /// Nothing is away any more, so these notes are settled.
    Settle(Vec<RecordId>),
    /// This note has to be stored.
    Write(Note),
}

/// What waits for a note that is being stored.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The calls that it tells of.
    pub(super) covered: Vec<RecordId>,
    /// The notes that it replaces.
    pub(super) replaced: Vec<RecordId>,
    /// Fetches that may be committed then.
    pub(super) released: Vec<FetchNumber>,
}

/// The notes of one partition.
#[derive(Debug)]
pub(super) struct Notes {
    /// An order key of the partition.
    pub(super) route: Rc<str>,
    /// Notes that were read and aren't settled.
    pub(super) held: Vec<RecordId>,
    /// Those of them that this drain has written, with its numbers.
    pub(super) own: Vec<(RecordId, u64)>,
    /// Calls on their way to a lane that no note tells of yet.
    pub(super) waiting: Vec<RecordId>,
    /// Fetches that have brought calls back, while a note behind them says that they are away. They
    /// are not committed before a later note.
    pub(super) contradicted: Vec<FetchNumber>,
    /// The note that is being stored.
    pub(super) under_way: Option<UnderWay>,
    /// Whether the latest note of this drain is stored but was not read yet. The partition may
    /// belong to another drain.
    pub(super) is_unread: bool,
    /// Whether a call has to know how far the partition was read. A note of this drain tells it.
    pub(super) is_wanted: bool,
    /// The epoch in which the latest note was written.
    pub(super) epoch: Option<u64>,
    /// The numbers of this drain's latest note, and of the latest one that is stored.
    pub(super) serial: u64,
    pub(super) stored: u64,
    /// Whether something else was read since. Commits wait for a newer note.
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
            contradicted: Vec::new(),
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

    /// Returns when the next note has to be written; `None` if nothing has to be written before
    /// something happens. If the window is full (`is_crowded`), this note alone may be what fills
    /// it.
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
        // If the drain's own note isn't read, the partition may be about to move. Commits are due
        // before that.
        let is_held_up = !self.contradicted.is_empty();
        let is_urgent = is_crowded || is_held_up || self.is_in_the_way && !self.is_unread;
        let pause = match is_urgent {
            true => NOTE_INTERVAL.saturating_add(Duration::from_secs(seconds)),
            false => NOTE_AGE_MAX.saturating_add(Duration::from_secs(seconds)),
        };
        (is_held_up || !self.held.is_empty()).then(|| self.written_at.plus(pause))
    }

    /// Returns whether the latest note of this drain is behind everything that was read.
    pub(super) fn is_ahead(&self) -> bool {
        self.under_way.is_some() || self.is_unread
    }

    /// Returns whether records of the partition are held because of notes: they are not committed.
    pub(super) fn holds(&self) -> bool {
        let covered = self.under_way.as_ref().map_or(0, |all| all.covered.len());
        !self.held.is_empty() || !self.waiting.is_empty() || covered > 0
    }

    pub(super) fn is_idle(&self) -> bool {
        let is_done = self.waiting.is_empty() && self.contradicted.is_empty();
        is_done && self.under_way.is_none() && !self.is_wanted
    }
}
