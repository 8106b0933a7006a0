//! One record in the window, and where it stands.

use std::rc::Rc;

use crate::drain::commit::FetchNumber;
use crate::drain::lifecycle::state::{Stage, State};
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
pub(in crate::drain) struct TrackedRecord {
    /// The fetch of this session that brought it; `None` if that session is lost.
    pub(super) fetch: Option<FetchNumber>,
    pub(in crate::drain) record: Rc<Vec<u8>>,
    pub(in crate::drain) stored_at: Wall,
    /// The key of its message, until it is known what the record is.
    pub(in crate::drain) key: Option<Vec<u8>>,
    /// `None` where the record can't be understood.
    pub(in crate::drain) plan: Option<Plan>,
    /// What the record says, kept for its first attempt where there is room.
    pub(in crate::drain) call: Option<Box<Call>>,
    /// What has happened to the call, before this record was written and since.
    pub(in crate::drain) progress: Progress,
    /// It is no call, but tells of some ([`crate::record::note`]).
    pub(super) is_note: bool,
    /// When it was read first.
    pub(in crate::drain) since: Steady,
    /// What its last attempt came to, kept only while the call waits for its end.
    pub(in crate::drain) last: Option<Box<LastAttempt>>,
    /// It was sent again because its connection was closed: once is enough.
    pub(in crate::drain) is_sent_again: bool,
    /// Faults of the gateway in a row.
    pub(in crate::drain) faults: u32,
    pub(super) stage: Stage,
    /// Bytes that it counts for.
    pub(super) bytes: usize,
}

impl TrackedRecord {
    /// Returns where it stands.
    pub(in crate::drain) fn state(&self) -> State {
        self.stage.state()
    }

    /// Returns whether the session that has brought it is lost, and no other one has brought it
    /// again.
    pub(in crate::drain) fn is_of_lost_session(&self) -> bool {
        self.fetch.is_none()
    }

    /// It is no call, but tells of some ([`crate::record::note`]).
    pub(in crate::drain) fn is_note(&self) -> bool {
        self.is_note
    }

    /// Bytes that it counts for.
    pub(in crate::drain) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets what is of no use to a settled record.
    pub(super) fn forget_call(&mut self) {
        self.bytes = 0;
        self.progress.history = Vec::new();
        self.last = None;
        self.plan = None;
    }

    /// Returns whether it is a call that isn't settled.
    pub(in crate::drain) fn is_unsettled(&self) -> bool {
        !self.is_note && !matches!(self.state(), State::Settled { .. })
    }

    /// Returns whether an attempt or its end is under way.
    pub(in crate::drain) fn has_begun(&self) -> bool {
        matches!(self.state(), State::InFlight | State::Leaving { .. })
    }

    pub(in crate::drain) fn new(message: Message, fetch: FetchNumber) -> Self {
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
            stage: Stage::new(),
        }
    }

    /// Gives away what the record says, if it was kept, and the bytes that it counted for.
    pub(in crate::drain) fn let_go(&mut self) -> Option<(usize, Box<Call>)> {
        let call = self.call.take()?;
        Some((self.record.len(), call))
    }

    /// Returns whether it may wait on another stream.
    pub(in crate::drain) fn may_leave(&self) -> bool {
        self.plan.is_some()
    }

    /// Returns its place among the calls with its order key.
    pub(in crate::drain) fn number(&self, id: RecordId) -> u64 {
        // A partition's numbers mean nothing in another one, where somebody has put it.
        let order = self.progress.order.as_ref();
        let order = order.filter(|order| order.partition == id.position.partition);
        order.map_or(id.position.offset, |order| order.offset)
    }
}

/// What the last attempt of a call came to.
#[derive(Debug)]
pub(in crate::drain) struct LastAttempt {
    /// For people.
    pub(in crate::drain) detail: String,
    /// What the target has answered, if it has.
    pub(in crate::drain) answer: Option<IncomingResponse>,
}
