//! One record in the window, and where it stands.

use std::rc::Rc;

use crate::drain::commit::FetchNumber;
use crate::drain::plan::Plan;
use crate::http::IncomingResponse;
use crate::id::RecordId;
use crate::record::Call;
use crate::record::progress::Progress;
use crate::stream::consume::Message;
use crate::time::{Steady, Wall};
use crate::time_text::parse_rfc_3339;

/// One record that was fetched and isn't committed.
#[derive(Debug)]
pub(super) struct Held {
    /// The fetch of this session that brought it; `None` if that session is lost.
    pub(super) fetch: Option<FetchNumber>,
    pub(super) record: Rc<Vec<u8>>,
    pub(super) stored_at: Wall,
    /// The key of its message, until it is known what the record is.
    pub(super) key: Option<Vec<u8>>,
    /// `None` where the record can't be understood.
    pub(super) plan: Option<Plan>,
    /// What the record says, kept for its first attempt where there is room.
    pub(super) call: Option<Box<Call>>,
    /// What has happened to the call, before this record was written and since.
    pub(super) progress: Progress,
    /// It is no call, but tells of some ([`crate::record::note`]).
    pub(super) is_note: bool,
    /// When it was read first.
    pub(super) since: Steady,
    /// What its last attempt came to, kept only while the call waits for its end.
    pub(super) last: Option<Box<LastAttempt>>,
    /// It was sent again because its connection was closed: once is enough.
    pub(super) is_sent_again: bool,
    /// Faults of the gateway in a row.
    pub(super) faults: u32,
    pub(super) state: State,
    /// Bytes that it counts for.
    pub(super) bytes: usize,
}

impl Held {
    /// Whether it is a call that isn't settled.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.is_note && !matches!(self.state, State::Settled { .. })
    }

    /// Whether an attempt or its end is under way.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.state, State::InFlight | State::Leaving { .. })
    }

    pub(super) fn new(message: Message, fetch: FetchNumber) -> Self {
        Self {
            fetch: Some(fetch),
            bytes: message.value.len(),
            record: Rc::new(message.value),
            stored_at: parse_rfc_3339(&message.stored_at).unwrap_or_default(),
            key: message.key,
            plan: None,
            call: None,
            progress: Progress::default(),
            is_note: false,
            since: Steady(0),
            last: None,
            is_sent_again: false,
            faults: 0,
            state: State::New,
        }
    }

    /// Gives away what the record says, if it was kept, and the bytes that it counted for.
    pub(super) fn let_go(&mut self) -> Option<(usize, Box<Call>)> {
        let call = self.call.take()?;
        Some((self.record.len(), call))
    }

    /// Whether it may wait on another stream.
    pub(super) fn may_leave(&self) -> bool {
        self.plan.is_some()
    }

    /// Its place among the calls with its order key.
    pub(super) fn number(&self, id: RecordId) -> u64 {
        // A partition's numbers mean nothing in another one, where somebody has put it.
        let order = self.progress.order.as_ref();
        let order = order.filter(|order| order.partition == id.position.partition);
        order.map_or(id.position.offset, |order| order.offset)
    }
}

/// What the last attempt of a call came to.
#[derive(Debug)]
pub(super) struct LastAttempt {
    /// For people.
    pub(super) detail: String,
    /// What the target has answered, if it has.
    pub(super) answer: Option<IncomingResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Just taken in.
    New,
    /// In its target's line.
    Ready,
    /// Behind an earlier call with the same order key.
    Behind,
    /// An attempt is under way.
    InFlight,
    /// Waits for a moment.
    Waiting { until: Steady },
    /// Its session is lost: it waits to be read again.
    Suspended { until: Steady, since: Steady },
    /// Messages have to be stored before it is settled: so many.
    Leaving { messages: u8 },
    /// Only the commit is missing.
    Settled { at: Steady },
}
