//! One record in the window, with its state.

use std::rc::Rc;

use crate::drain::commit::FetchNumber;
use crate::drain::lifecycle::state::{Stage, State};
use crate::drain::plan::Plan;
use crate::http::IncomingResponse;
use crate::id::RecordId;
use crate::record::Call;
use crate::record::note::KeyDigest;
use crate::record::progress::Progress;
use crate::stream::consume::Message;
use crate::time::{Steady, Wall};
use crate::time_text::parse_rfc_3339;

/// A record that was fetched and isn't committed.
#[derive(Debug)]
pub(in crate::drain) struct TrackedRecord {
    /// The fetch of the present session that brought the record; `None` if its session is lost.
    pub(super) fetch: Option<FetchNumber>,
    pub(in crate::drain) record: Rc<Vec<u8>>,
    pub(in crate::drain) stored_at: Wall,
    /// The key of its message, until the record has been read.
    pub(in crate::drain) key: Option<Vec<u8>>,
    /// `None` if the record can't be read.
    pub(in crate::drain) plan: Option<Plan>,
    /// The decoded record, kept for the first attempt if there is room.
    pub(in crate::drain) call: Option<Box<Call>>,
    /// What has happened to the call, before this record was written and since.
    pub(in crate::drain) progress: Progress,
    /// The record is not a call but a note ([`crate::record::note`]).
    pub(super) is_note: bool,
    /// The order key of a call that is settled, as notes name it.
    settled_key: Option<KeyDigest>,
    /// When the record was first read.
    pub(in crate::drain) since: Steady,
    /// The result of the last attempt, kept only while the call waits for its end.
    pub(in crate::drain) last: Option<Box<LastAttempt>>,
    /// Whether the attempt was sent again because its connection was closed. Once is enough.
    pub(in crate::drain) is_sent_again: bool,
    /// Faults of the gateway in a row.
    pub(in crate::drain) faults: u32,
    pub(super) stage: Stage,
    /// How many bytes the record counts for.
    pub(super) bytes: usize,
}

impl TrackedRecord {
    /// Returns the record's state.
    pub(in crate::drain) fn state(&self) -> State {
        self.stage.state()
    }

    /// Returns whether the session that brought the record is lost, and no other one has brought it
    /// again.
    pub(in crate::drain) fn is_of_lost_session(&self) -> bool {
        self.fetch.is_none()
    }

    /// Returns whether the record is not a call but a note ([`crate::record::note`]).
    pub(in crate::drain) fn is_note(&self) -> bool {
        self.is_note
    }

    /// Returns how many bytes the record counts for.
    pub(in crate::drain) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets what a settled record doesn't need.
    pub(super) fn forget_call(&mut self) {
        self.settled_key = self.order_digest();
        self.bytes = 0;
        self.progress.history = Vec::new();
        self.last = None;
        self.plan = None;
    }

    /// Returns the order key of its call, as notes name it, also after the call is settled.
    pub(in crate::drain) fn order_digest(&self) -> Option<KeyDigest> {
        let key = self.plan.as_ref().and_then(|plan| plan.order_key.as_ref());
        key.map(|key| KeyDigest::of(key)).or(self.settled_key)
    }

    /// Returns whether the record is a call that isn't settled.
    pub(in crate::drain) fn is_unsettled(&self) -> bool {
        !self.is_note && !matches!(self.state(), State::Settled { .. })
    }

    /// Returns whether an attempt, or the storing of its end, is under way.
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
            settled_key: None,
            since: Steady(0),
            last: None,
            is_sent_again: false,
            faults: 0,
            stage: Stage::new(),
        }
    }

    /// Takes the decoded record, if it was kept, and returns it with the bytes that it counted for.
    pub(in crate::drain) fn let_go(&mut self) -> Option<(usize, Box<Call>)> {
        let call = self.call.take()?;
        Some((self.record.len(), call))
    }

    /// Returns whether the record may wait on another stream.
    pub(in crate::drain) fn may_leave(&self) -> bool {
        self.plan.is_some()
    }

    /// Returns its place among the calls with its order key.
    pub(in crate::drain) fn number(&self, id: RecordId) -> u64 {
        // A number has a meaning only in its own partition, and somebody may have put the record
        // into another one.
        let order = self.progress.order.as_ref();
        let order = order.filter(|order| order.partition == id.position.partition);
        order.map_or(id.position.offset, |order| order.offset)
    }
}

/// The result of a call's last attempt.
#[derive(Debug)]
pub(in crate::drain) struct LastAttempt {
    /// What happened, for people.
    pub(in crate::drain) detail: String,
    /// The answer of the target, if there was one.
    pub(in crate::drain) answer: Option<IncomingResponse>,
}
