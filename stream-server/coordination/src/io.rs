//! What a front's coordination is told, and what it wants done.

use crate::record::{Change, FrontId};
use crate::state::WhyRefused;

/// A log of its own: one partition of an internal topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogId {
    /// The one partition of `members`.
    Members,
    /// This partition of `slots`.
    Slot(u32),
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The answer to [`Output::Open`]: the offsets that the log has, `oldest..end`. Both are asked
    /// of the brokers after the output came, never remembered.
    Opened {
        /// The log.
        log: LogId,
        /// The first offset that can be read.
        oldest: u64,
        /// The offset behind the last record.
        end: u64,
    },
    /// Records that were read, in the order of their offsets, from where [`Output::Read`] said, or
    /// from the `next` of the fetch before. Offsets without a record (a foreign transaction's
    /// marks) are left out.
    Fetched {
        /// The log.
        log: LogId,
        /// The offset from which was read.
        from: u64,
        /// Offset and value of each record. A record without a value is an empty one.
        records: Vec<(u64, Vec<u8>)>,
        /// Where the next fetch goes on.
        next: u64,
    },
    /// The reader's position isn't there: the log was cut or made anew.
    OutOfRange {
        /// The log.
        log: LogId,
    },
    /// The result of an [`Output::Append`]. The first one counts, a later one is ignored.
    Appended {
        /// Which.
        ticket: u64,
        /// What came of it.
        result: AppendResult,
    },
    /// A request to change something, by a client of this front or forwarded by another one. It
    /// gets exactly one [`Output::Answer`].
    Request {
        /// The caller's name for it.
        request: u64,
        /// The slot.
        slot: u32,
        /// What to change.
        change: Change,
    },
    /// The process is about to end (SIGTERM): everything is handed over. Ends with
    /// [`Output::Left`].
    Leave,
    /// Nothing but the time has changed.
    Tick,
}

/// What came of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendResult {
    /// All records are acknowledged by as many replicas as the topic demands, at these offsets, in
    /// the order of the records.
    At(Vec<u64>),
    /// Anything else: failed, timed out, or known for a part of the records only. They may be in
    /// the log, or come into it later.
    Unknown,
}

/// Something to do, in the order in which it is given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask which offsets the log has, and answer with [`Input::Opened`]. Ask again until there is
    /// an answer. Stop reading this log meanwhile.
    Open {
        /// The log.
        log: LogId,
    },
    /// Read the log from here on, instead of wherever it is read now.
    Read {
        /// The log.
        log: LogId,
        /// The first offset.
        from: u64,
    },
    /// Append records in this order, and answer with [`Input::Appended`]. An append that has no
    /// result for [`crate::config::Times::write_ms`] counts as unknown.
    Append {
        /// The log.
        log: LogId,
        /// The name of this append.
        ticket: u64,
        /// The records' values.
        records: Vec<Vec<u8>>,
    },
    /// Delete the records of a slot before this offset. It may fail: it comes again.
    DeleteBefore {
        /// The slot.
        slot: u32,
        /// The first offset that stays.
        offset: u64,
    },
    /// Answer a request.
    Answer {
        /// The caller's name for it.
        request: u64,
        /// The answer.
        answer: Answer,
    },
    /// This front owns the slot now. Load its groups, with no instances: cursors of other epochs
    /// are invalid. Slot 0: finish what is [`crate::record::Stage::Creating`] or `Deleting`.
    Gained {
        /// The slot.
        slot: u32,
        /// The ownership.
        epoch: u64,
    },
    /// This front doesn't own the slot any more. Drop its groups.
    Lost {
        /// The slot.
        slot: u32,
        /// The ownership that has ended.
        epoch: u64,
    },
    /// The state of the slot is known now, or the streams and documents of slot 0 have changed.
    /// Follow it: [`crate::coordinator::Coordinator::state`]. (Groups matter to their owner only.)
    Changed {
        /// The slot.
        slot: u32,
    },
    /// Everything is handed over, after [`Input::Leave`].
    Left,
}

/// The one answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in the log, and part of every later state.
    Done {
        /// The key of the group or the stream concerned, if it is one.
        key: Option<u64>,
        /// Where it stands in the slot's log. A front that has forwarded the request sees it when
        /// its own [`crate::coordinator::Coordinator::position`] is behind this.
        offset: u64,
    },
    /// It changes nothing, and asking again changes nothing either.
    Refused(WhyRefused),
    /// It has changed nothing, and will not. Asking again, perhaps elsewhere, may help.
    NotDone(WhyNotDone),
    /// It may have changed something, or may yet do it.
    Unknown,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNotDone {
    /// This front doesn't own the slot: [`crate::coordinator::Coordinator::route`] says who does.
    NotOwner,
    /// Too many requests wait for this slot.
    TooManyWaiting,
    /// The log took no records for longer than [`crate::config::Times::answer_ms`].
    TimedOut,
}

/// Where requests for a slot go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// This front owns the slot.
    Here {
        /// The ownership.
        epoch: u64,
    },
    /// Another front owns it.
    Elsewhere {
        /// The ownership. The owner answers 409 to a request for another one.
        epoch: u64,
        /// Who.
        front: FrontId,
        /// Where it is reached.
        url: String,
    },
    /// Nobody owns it as far as this front knows, or nobody who can be reached.
    Nowhere,
}
