//! Idempotency keys. A key is claimed in the table that the workers share before its request may be
//! published. Afterwards the table learns how the request ended.
//!
//! The table answers at once, so there is never more than one piece of work under way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::accept::refusal::Refusal;
use crate::accept::waiting::Accepting;
use crate::accept::{AcceptEngine, Output};
use crate::id::{Position, RequestId};
use crate::idempotency::{Claim, Fingerprint, KeyHash, KeyHolder, Slot};
use crate::metric::Metric;
use crate::receipt::Receipt;
use crate::time::Wall;

/// How often a slot is read again if another worker has written it meanwhile. After that the call
/// goes on without its key: no request waits for ever.
const TRIES_MAX: u32 = 16;

/// How long a key stays claimed beyond the time of a publish, in case its worker dies.
const CLAIM_MARGIN: Duration = Duration::from_secs(5);

/// The keyed requests of this worker.
#[derive(Debug, Default)]
pub(super) struct IdempotencyClaims {
    /// Requests that want to claim their key.
    waiting: VecDeque<RequestId>,
    /// Requests whose key belongs to another request that is being published. They look again.
    behind: Vec<RequestId>,
    /// Keys that requests of this worker have claimed, with the receipt once their call is in a
    /// batch.
    held: BTreeMap<RequestId, (KeyHolder, Option<Receipt>)>,
    /// Ends of claims that the table has to learn.
    ends: VecDeque<(KeyHolder, End)>,
    work: Option<Work>,
    tries: u32,
}

/// How a claim ends.
#[derive(Clone, Debug)]
enum End {
    Accepted(Receipt, Option<Position>),
    Released,
}

#[derive(Debug)]
enum Work {
    /// The body of a request is read for its fingerprint.
    Reading(RequestId),
    Claiming(RequestId, KeyHolder, Fingerprint),
    Ending(KeyHolder, End),
}

impl Work {
    fn key(&self) -> Option<&KeyHash> {
        match self {
            Self::Reading(_) => None,
            Self::Claiming(_, holder, _) | Self::Ending(holder, _) => Some(&holder.key),
        }
    }
}

impl IdempotencyClaims {
    /// A complete request wants to claim its key.
    pub(super) fn add(&mut self, request: RequestId) {
        self.waiting.push_back(request);
    }

    /// Lets requests that were behind others look again.
    pub(super) fn look_again(&mut self) {
        self.waiting.extend(self.behind.drain(..));
    }

    /// A request's call is in a batch.
    pub(super) fn published(&mut self, request: RequestId, receipt: &Receipt) {
        if let Some((_, known)) = self.held.get_mut(&request) {
            *known = Some(receipt.clone());
        }
    }

    /// A request's call has been answered before it was stored.
    pub(super) fn answered(&mut self, request: RequestId, receipt: &Receipt) {
        if let Some((holder, _)) = self.held.remove(&request) {
            self.ends
                .push_back((holder, End::Accepted(receipt.clone(), None)));
        }
    }

    /// The Stream has stored a request's call, or has refused it.
    pub(super) fn end(&mut self, request: RequestId, stored: Option<Position>) {
        let Some((holder, receipt)) = self.held.remove(&request) else {
            return;
        };
        let end = match (receipt, stored) {
            (Some(receipt), Some(position)) => End::Accepted(receipt, Some(position)),
            _ => End::Released,
        };
        self.ends.push_back((holder, end));
    }

    /// A call has ended as a dead letter, so its key may be used again.
    pub(super) fn release(&mut self, holder: KeyHolder) {
        self.ends.push_back((holder, End::Released));
    }

    /// Returns whether the table has to learn something yet.
    pub(super) fn is_busy(&self) -> bool {
        !self.ends.is_empty() || self.work.is_some()
    }
}

impl AcceptEngine {
    /// Starts the next piece of work. Returns whether something is under way.
    pub(super) fn claim_next(&mut self) -> bool {
        while self.claims.work.is_none() {
            if let Some((holder, end)) = self.claims.ends.pop_front() {
                self.begin(Work::Ending(holder, end));
            } else if let Some(request) = self.claims.waiting.pop_front() {
                self.claim(request);
            } else {
                return false;
            }
        }
        true
    }

    fn claim(&mut self, request: RequestId) {
        match self.requests.get(request) {
            Some(Accepting::Waiting { body_bytes: 0, .. }) => self.claim_with_body(request, &[]),
            Some(Accepting::Waiting { .. }) => {
                self.claims.work = Some(Work::Reading(request));
                self.outputs.push(Output::ReadBody(request));
            }
            // The client has left, or was refused because it had waited too long.
            Some(Accepting::Receiving { .. } | Accepting::Publishing(_) | Accepting::Answering)
            | None => {}
        }
    }

    fn claim_with_body(&mut self, request: RequestId, body: &[u8]) {
        let Some(Accepting::Waiting { head, .. }) = self.requests.get(request) else {
            return;
        };
        if let Some(key) = head.idempotency.clone() {
            let asked = self.requests.known(request).asked;
            let authority = head.authority.as_deref().unwrap_or_default();
            let parts = [head.method.as_str(), authority, head.path.as_str()];
            let fingerprint = Fingerprint::new(&self.secret, parts, asked, body);
            let call_id = head.id.as_ref().map(|id| id.0.clone());
            let call_id = call_id.unwrap_or_default();
            let holder = KeyHolder { key, call_id };
            self.begin(Work::Claiming(request, holder, fingerprint));
        }
    }

    fn begin(&mut self, work: Work) {
        self.claims.tries = 0;
        self.read_slot(work);
    }

    fn read_slot(&mut self, work: Work) {
        let slots = self.config.idempotency.slots;
        if let Some(key) = work.key() {
            self.outputs.push(Output::ReadSlot(key.slot(slots)));
        }
        self.claims.work = Some(work);
    }

    /// Handles a body that the host has read. Returns false if the body was not read for a claim.
    pub(super) fn claim_body_read(&mut self, request: RequestId, body: Option<&[u8]>) -> bool {
        if !matches!(self.claims.work, Some(Work::Reading(reading)) if reading == request) {
            return false;
        }
        self.claims.work = None;
        match body {
            Some(body) => self.claim_with_body(request, body),
            None => {
                self.forget(request);
            }
        }
        true
    }

    /// The host has read a slot.
    pub(super) fn slot_read(&mut self, bytes: Option<&[u8]>, version: u32, now: Wall) {
        let mut slot = Slot::read(bytes);
        let Some(work) = self.claims.work.take() else {
            return;
        };
        match &work {
            Work::Reading(_) => {}
            Work::Claiming(request, holder, fingerprint) => {
                let lease = self.config.publish.timeout.saturating_add(CLAIM_MARGIN);
                match slot.claim(holder, fingerprint, now, now.plus(lease)) {
                    Claim::First => self.write_slot(work, &slot, version),
                    other @ (Claim::InProgress | Claim::Accepted(..) | Claim::Other) => {
                        self.not_first(*request, other);
                    }
                }
            }
            Work::Ending(holder, end) => {
                match end {
                    End::Accepted(receipt, position) => {
                        let until = now.plus(self.config.idempotency.window);
                        slot.accept(holder, receipt, *position, until);
                    }
                    End::Released => slot.release(holder),
                }
                self.write_slot(work, &slot, version);
            }
        }
    }

    fn write_slot(&mut self, work: Work, slot: &Slot, version: u32) {
        if let Some(key) = work.key() {
            self.outputs.push(Output::WriteSlot {
                slot: key.slot(self.config.idempotency.slots),
                bytes: slot.bytes(),
                version,
            });
        }
        self.claims.work = Some(work);
    }

    /// Handles a request that isn't the first with its key. It is answered in the next turn,
    /// because one callback gives only a limited number of answers.
    fn not_first(&mut self, request: RequestId, claim: Claim) {
        self.wake();
        match claim {
            Claim::Accepted(receipt, position) => {
                self.outputs.count(Metric::RepeatedRequests, 1);
                self.give_back_deferred(request);
                self.answer(request, receipt.response(position));
            }
            Claim::Other => self.refuse(request, &Refusal::KeyReused),
            Claim::InProgress | Claim::First => self.claims.behind.push(request),
        }
    }

    /// The host has written a slot, or another worker has written it meanwhile.
    pub(super) fn slot_written(&mut self, is_written: bool) {
        let Some(work) = self.claims.work.take() else {
            return;
        };
        self.claims.tries = self.claims.tries.saturating_add(1);
        if !is_written && self.claims.tries < TRIES_MAX {
            return self.read_slot(work);
        }
        if let Work::Claiming(request, holder, _) = work {
            if is_written {
                self.claims.held.insert(request, (holder, None));
            }
            self.enqueue(request);
        }
    }
}
