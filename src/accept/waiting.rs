//! The requests that wait, and how much is kept of them. Heads are in the filter's memory, which
//! never shrinks; bodies are in Envoy's buffers.

use std::collections::BTreeMap;

use crate::accept::AcceptEngine;
use crate::accept::deferred::Moment;
use crate::accept::refusal::{Refusal, Stored};
use crate::caller::CallerKey;
use crate::caller::share::Shares;
use crate::id::{RequestId, StreamName};
use crate::idempotency::Asked;
use crate::receipt::Receipt;
use crate::record::CallHead;
use crate::time::Steady;

/// What a marked request waits for. Each state holds only what later steps need.
#[derive(Debug)]
pub(super) enum Accepting {
    /// It waits for the rest of its body.
    Receiving { head: CallHead, body_bytes: usize },
    /// It waits for a place in a batch.
    Waiting {
        head: CallHead,
        body_bytes: usize,
        /// The stream that it goes to.
        stream: StreamName,
    },
    /// It waits for the Stream's answer.
    Publishing(Receipt),
    /// It waits for its turn to be answered.
    Answering,
}

/// All requests that wait.
#[derive(Debug, Default)]
pub(super) struct Requests {
    kept: BTreeMap<RequestId, Kept>,
    /// How many requests each caller has, and how many bytes.
    count: Shares,
    bytes: Shares,
}

/// What is known of a request besides its state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallerFacts {
    /// Its caller.
    pub(super) caller: CallerKey,
    /// The options that the caller gave.
    pub(super) asked: Asked,
    /// The moment at which it is counted among its caller's deferred calls.
    pub(super) deferred: Option<Moment>,
}

#[derive(Debug)]
struct Kept {
    known: CallerFacts,
    state: Accepting,
    /// Bytes of its fields.
    head_bytes: usize,
    /// Bytes of its body that have come so far. Envoy keeps them until the request is answered.
    body_bytes: usize,
}

impl Requests {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn get(&self, request: RequestId) -> Option<&Accepting> {
        self.kept.get(&request).map(|kept| &kept.state)
    }

    pub(super) fn get_mut(&mut self, request: RequestId) -> Option<&mut Accepting> {
        self.kept.get_mut(&request).map(|kept| &mut kept.state)
    }

    pub(super) fn known(&self, request: RequestId) -> CallerFacts {
        self.kept
            .get(&request)
            .map(|kept| kept.known)
            .unwrap_or_default()
    }

    /// Takes a request out of its caller's deferred calls. Returns the moment at which it was
    /// counted.
    pub(super) fn take_deferred(&mut self, request: RequestId) -> Option<(CallerKey, Moment)> {
        let known = &mut self.kept.get_mut(&request)?.known;
        Some((known.caller, known.deferred.take()?))
    }

    /// A request begins to wait.
    pub(super) fn begin(
        &mut self,
        request: RequestId,
        head: CallHead,
        head_bytes: usize,
        known: CallerFacts,
    ) {
        self.count.add(known.caller, 1);
        self.bytes.add(known.caller, head_bytes);
        let state = Accepting::Receiving {
            head,
            body_bytes: 0,
        };
        let kept = Kept {
            known,
            state,
            head_bytes,
            body_bytes: 0,
        };
        self.kept.insert(request, kept);
    }

    /// Counts more fields of a request.
    pub(super) fn add_fields(&mut self, request: RequestId, bytes: usize) {
        if let Some(kept) = self.kept.get_mut(&request) {
            kept.head_bytes = kept.head_bytes.saturating_add(bytes);
            self.bytes.add(kept.known.caller, bytes);
        }
    }

    /// Sets how many bytes of a request's body have come.
    pub(super) fn set_body(&mut self, request: RequestId, bytes: usize) {
        if let Some(kept) = self.kept.get_mut(&request) {
            self.bytes.remove(kept.known.caller, kept.body_bytes);
            self.bytes.add(kept.known.caller, bytes);
            kept.body_bytes = bytes;
        }
    }

    /// Forgets a request. Returns false if it isn't known any more.
    pub(super) fn remove(&mut self, request: RequestId) -> bool {
        let Some(kept) = self.kept.remove(&request) else {
            return false;
        };
        self.count.remove(kept.known.caller, 1);
        let bytes = kept.head_bytes.saturating_add(kept.body_bytes);
        self.bytes.remove(kept.known.caller, bytes);
        true
    }
}

impl AcceptEngine {
    /// Returns whether another request of this caller with so many bytes may wait. All callers
    /// together have a limit, and one caller has a share of what is free.
    pub(super) fn has_room(&self, caller: CallerKey, bytes: usize) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let (count, all) = (&self.requests.count, &self.requests.bytes);
        let then = all.total().saturating_add(bytes);
        if count.total() >= limits.waiting_requests_max || then > limits.waiting_bytes_max {
            return Err(Refusal::TooManyWaiting);
        }
        let has_share = count.may_take(caller, 1, limits.waiting_requests_max)
            && all.may_take(caller, bytes, limits.waiting_bytes_max);
        has_share.then_some(()).ok_or(Refusal::CallerWaits)
    }

    /// Refuses a request if it makes what waits too much. Returns whether it was refused.
    pub(super) fn refuse_excess(&mut self, request: RequestId) -> bool {
        let (bytes, max) = (&self.requests.bytes, self.config.limits.waiting_bytes_max);
        let is_excess = bytes.is_too_much(self.requests.known(request).caller, max);
        if is_excess {
            let refusal = if bytes.total() > max {
                Refusal::TooManyWaiting
            } else {
                Refusal::CallerWaits
            };
            self.forget(request);
            self.refuse_now(request, &refusal);
        }
        is_excess
    }

    /// Refuses every request that has waited for the whole publish timeout.
    pub(super) fn expire(&mut self, now: Steady) {
        while let Some((deadline, request)) = self.deadlines.front().copied() {
            let stored = match self.requests.get(request) {
                Some(Accepting::Waiting { .. }) => Stored::No,
                Some(Accepting::Publishing(_)) => Stored::Unknown,
                // Gone or answered: nothing to expire.
                Some(Accepting::Receiving { .. } | Accepting::Answering) | None => {
                    self.deadlines.pop_front();
                    continue;
                }
            };
            if deadline > now {
                return;
            }
            self.deadlines.pop_front();
            let detail = "The Stream did not answer in time.".to_owned();
            self.refuse(request, &Refusal::StreamUnavailable { detail, stored });
        }
    }

    /// Removes places and deadlines of requests that are gone. They would pile up while the Stream
    /// doesn't answer and clients come and leave; so they are removed before there are more than
    /// may wait.
    pub(super) fn sweep(&mut self) {
        let most = self.config.limits.waiting_requests_max.saturating_mul(2);
        let requests = &self.requests;
        if self.deadlines.len() > most {
            self.deadlines
                .retain(|(_, request)| requests.get(*request).is_some());
        }
        for publisher in self.publishers.values_mut() {
            if publisher.outbox.len() > most {
                publisher
                    .outbox
                    .retain(|request| requests.get(*request).is_some());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::Input;
    use crate::accept::admission::RequestHead;
    use crate::accept::config::AcceptConfig;
    use crate::config::Document as _;
    use crate::id::Entropy;
    use crate::time::Now;

    fn engine(waiting: usize) -> AcceptEngine {
        let stream = r#""stream":{"cluster":"stream","authority":"s","streamId":"calls"}"#;
        let limits = format!(r#""limits":{{"waitingRequests":{waiting}}}"#);
        let config = format!("{{{stream},{limits}}}");
        let config = AcceptConfig::from_json(config.as_bytes()).unwrap();
        AcceptEngine::new(config, Entropy::from_seed([1; 32]))
    }

    fn comes(engine: &mut AcceptEngine, number: u32) {
        let fields = [(":method", "POST"), (":path", "/"), (":authority", "a")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
        let head = RequestHead {
            fields: fields.to_vec(),
            has_route: true,
            ..RequestHead::default()
        };
        let input = Input::RequestHead {
            request: RequestId(number),
            head,
            end_of_stream: true,
        };
        engine.handle(input, Now::default());
        while engine.poll_output().is_some() {}
    }

    #[test]
    fn clients_that_come_and_leave_while_the_stream_hangs_leave_nothing() {
        let mut engine = engine(10);
        comes(&mut engine, 0);
        engine.handle(Input::Wake, Now::default());
        assert_eq!(engine.in_flight.len(), 1, "the Stream doesn't answer this");
        for number in 1..10_000 {
            comes(&mut engine, number);
            engine.handle(Input::RequestGone(RequestId(number)), Now::default());
        }
        let places: Vec<_> = engine.publishers.values().map(|p| p.outbox.len()).collect();
        assert!(places.iter().all(|places| *places <= 21), "{places:?}");
        assert!(engine.deadlines.len() <= 21, "{}", engine.deadlines.len());
        assert_eq!(engine.requests.len(), 1);
    }

    #[test]
    fn bytes_are_those_of_the_requests_that_are_there() {
        let mut requests = Requests::default();
        for number in 0..3 {
            let known = CallerFacts::default();
            requests.begin(RequestId(number), CallHead::default(), 100, known);
            requests.set_body(RequestId(number), 10);
            requests.set_body(RequestId(number), 50);
        }
        requests.add_fields(RequestId(2), 7);
        assert_eq!(requests.bytes.total(), 457);
        assert!(requests.remove(RequestId(2)) && !requests.remove(RequestId(2)));
        assert_eq!(requests.bytes.total(), 300);
        requests.set_body(RequestId(2), 50);
        assert_eq!(requests.bytes.total(), 300, "a stranger has none");
    }
}
