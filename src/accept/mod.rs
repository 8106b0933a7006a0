//! Step 1: marked requests come in, batches of records go to the Stream, answers go out.
//!
//! | step | file | a request is |
//! |---|---|---|
//! | is it marked? | [`triggers`] | anybody's |
//! | may it be a call? | [`admission`], [`options`] | *receiving*, or refused ([`refusal`]) |
//! | whose is it, and has its caller room? | [`caller`], [`deferred`] | |
//! | its body is complete | [`waiting`] | *waiting* in the outbox |
//! | its idempotency key is claimed | [`idempotency_claims`] | |
//! | it is in a batch | [`publish`], [`buffer`] | *publishing* |
//! | the Stream has stored it | [`crate::receipt`] | answered `202` |
//!
//! Group commit: requests that are complete wait in an outbox. If nothing is in flight, the next
//! turn of the event loop publishes everything that has gathered; while a publish is in flight,
//! the next batch gathers. The Stream's one answer settles a whole batch. Calls that are to be made
//! later go to a lane, which has an outbox and batches of its own. With `ack: immediate` the answer
//! comes before the batch: [`buffer`].

pub mod admission;
mod buffer;
mod caller;
pub mod config;
mod deferred;
mod idempotency_claims;
mod input;
pub mod lookalike;
mod option_forms;
pub mod options;
mod publish;
mod publisher;
pub mod refusal;
pub mod triggers;
mod waiting;

pub use input::Input;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::accept::admission::{RequestHead, body_too_large, check_head};
use crate::accept::config::AcceptConfig;
use crate::accept::refusal::Refusal;
use crate::caller::CallerSecret;
use crate::caller::order_key::OrderKeys;
use crate::engine::signing::Signing;
use crate::engine::{Output, Outputs};
use crate::http::{Fields, OutgoingResponse, list_bytes};
use crate::id::{Entropy, RequestId, StreamName, Ticket};
use crate::lanes::Wait;
use crate::metric::Metric;
use crate::record::seal::SealKeys;
use crate::stream::StreamClient;
use crate::stream::batch::SentBatch;
use crate::stream::signing::Signer;
use crate::time::{Now, Steady, Wall};
use buffer::Buffer;
use deferred::Deferred;
use idempotency_claims::IdempotencyClaims;
use publisher::Publisher;
use waiting::{Accepting, Requests};

/// How often the host has to look after waiting requests.
const TICK: Duration = Duration::from_millis(50);

/// The accept role's state machine; one per worker.
pub struct AcceptEngine {
    config: AcceptConfig,
    cluster: Rc<str>,
    entropy: Entropy,
    requests: Requests,
    /// A publisher for the stream of calls, and one for each lane.
    publishers: BTreeMap<StreamName, Publisher>,
    /// The request whose body is being read, and the stream that it is for.
    reading: Option<(StreamName, RequestId)>,
    claims: IdempotencyClaims,
    /// What callers and their keys are hashed with.
    secret: CallerSecret,
    order_keys: OrderKeys,
    deferred: Deferred,
    buffer: Buffer,
    /// When each complete request has waited long enough, earliest first.
    deadlines: VecDeque<(Steady, RequestId)>,
    in_flight: BTreeMap<Ticket, (StreamName, SentBatch<RequestId>)>,
    answers: VecDeque<(RequestId, OutgoingResponse)>,
    wake_pending: bool,
    signing: Signing,
    seal_keys: Option<SealKeys>,
    /// When the input that is being handled came.
    now: Now,
    outputs: Outputs,
}

impl AcceptEngine {
    /// Returns an engine without any requests.
    #[must_use]
    pub fn new(config: AcceptConfig, mut entropy: Entropy) -> Self {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        let lanes = config.lanes.iter();
        let lanes = lanes.map(|(number, lane)| (StreamName::Lane(number), &lane.stream_id));
        let streams = std::iter::once((StreamName::Calls, &config.stream.stream_id)).chain(lanes);
        let client = |stream_id: &String| StreamClient::new(&config.stream.authority, stream_id);
        let clients = streams.map(|(stream, stream_id)| (stream, client(stream_id)));
        let clients: Vec<(StreamName, StreamClient)> = clients.collect();
        let publisher = |(stream, client)| (stream, Publisher::new(client));
        Self {
            buffer: Buffer::new(clients.iter().cloned()),
            publishers: clients.into_iter().map(publisher).collect(),
            cluster: Rc::from(config.stream.cluster.as_str()),
            order_keys: OrderKeys::new(config.callers.order_keys),
            config,
            entropy,
            requests: Requests::default(),
            reading: None,
            claims: IdempotencyClaims::default(),
            secret: CallerSecret::of(&secret),
            deferred: Deferred::default(),
            deadlines: VecDeque::new(),
            in_flight: BTreeMap::new(),
            answers: VecDeque::new(),
            wake_pending: false,
            signing: Signing::default(),
            seal_keys: None,
            now: Now::default(),
            outputs: Outputs::default(),
        }
    }

    /// Returns the same engine with requests to the Stream signed.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signing = Signing::by(signer);
        self
    }

    /// Returns the same engine with requests to the Stream signed by tokens, which
    /// [`Self::renew_token`] brings.
    #[must_use]
    pub fn signed_by_principal(mut self) -> Self {
        self.signing = Signing::by_principal();
        self
    }

    /// Signs requests by this token from now on, until it ends.
    pub fn renew_token(&mut self, signer: Signer, until: Wall) {
        self.signing.renew(signer, until);
    }

    /// Returns whether the Stream has refused a signature since the last call of this.
    pub fn take_refused_signature(&mut self) -> bool {
        self.signing.take_refused()
    }

    /// Returns the same engine with credentials sealed in what it stores.
    #[must_use]
    pub fn sealed_by(mut self, keys: Option<SealKeys>) -> Self {
        self.seal_keys = keys;
        self
    }

    /// Returns what the host shall do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Returns how often the host has to tick, while anything waits.
    #[must_use]
    pub fn tick_period(&self) -> Option<Duration> {
        let idle = self.requests.is_empty()
            && self.deadlines.is_empty()
            && self.buffer.is_empty()
            && !self.claims.is_busy();
        (!idle).then_some(TICK)
    }

    /// Handles one input. A request whose head came in stays paused until its answer.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::RequestHead {
                request,
                head,
                end_of_stream,
            } => {
                self.request_head(request, head, end_of_stream, now);
            }
            Input::RequestBody {
                request,
                buffered_bytes,
                end_of_stream,
            } => {
                self.request_body(request, buffered_bytes, end_of_stream, now);
            }
            Input::RequestTrailers { request, trailers } => {
                self.request_trailers(request, trailers, now);
            }
            Input::RequestGone(request) => self.request_gone(request),
            Input::Body(request, body) => self.body_read(request, body),
            Input::SlotRead(bytes, version) => {
                self.slot_read(bytes.as_deref(), version, now.wall);
                self.gather();
            }
            Input::SlotWritten(is_written) => {
                self.slot_written(is_written);
                self.gather();
            }
            Input::KeyReleased(holder) => {
                self.claims.release(holder);
                self.gather();
            }
            Input::CalloutDone(ticket, result) => {
                if self.buffer.is_open(ticket) {
                    self.buffered_stored(ticket, result);
                } else {
                    self.published(ticket, result);
                }
            }
            Input::Wake => {
                self.wake_pending = false;
                self.answer_some();
                self.gather();
            }
            Input::Tick => {
                self.expire(now.steady);
                self.answer_some();
                self.claims.look_again();
                self.gather();
            }
        }
        self.store_buffered();
    }

    fn request_head(&mut self, request: RequestId, head: RequestHead, whole: bool, now: Now) {
        let head_bytes = list_bytes(&head.fields);
        match self.let_in(head, head_bytes) {
            Err(refusal) => self.refuse_now(request, &refusal),
            Ok((head, known)) => {
                self.outputs.count(Metric::WaitingRequests, 1);
                self.requests.begin(request, head, head_bytes, known);
                if whole {
                    self.complete(request, now);
                }
            }
        }
    }

    fn request_body(&mut self, request: RequestId, buffered: usize, whole: bool, now: Now) {
        // Whatever arrives after the answer has no use, and must not reach the route.
        let Some(Accepting::Receiving { body_bytes, .. }) = self.requests.get_mut(request) else {
            return;
        };
        *body_bytes = buffered;
        self.requests.set_body(request, buffered);
        if buffered > self.config.limits.body_bytes_max {
            self.forget(request);
            self.refuse_now(request, &body_too_large(self.config.limits.body_bytes_max));
        } else if !self.refuse_excess(request) && whole {
            self.complete(request, now);
        }
    }

    fn request_trailers(&mut self, request: RequestId, trailers: Fields, now: Now) {
        if let Some(Accepting::Receiving { head, .. }) = self.requests.get_mut(request) {
            let bytes = list_bytes(&trailers);
            head.trailers = trailers;
            if let Err(refusal) = check_head(head) {
                self.forget(request);
                return self.refuse_now(request, &refusal);
            }
            self.requests.add_fields(request, bytes);
            if !self.refuse_excess(request) {
                self.complete(request, now);
            }
        }
    }

    fn request_gone(&mut self, request: RequestId) {
        if self.forget(request) {
            self.outputs.count(Metric::ClientsGone, 1);
        }
        if self.claims.is_busy() {
            self.wake();
        }
    }

    /// A request is complete: it gets its identity and its place in the outbox.
    fn complete(&mut self, request: RequestId, now: Now) {
        let Some(state) = self.requests.get_mut(request) else {
            return;
        };
        let Accepting::Receiving { head, body_bytes } = state else {
            return;
        };
        let (mut head, body_bytes) = (std::mem::take(head), *body_bytes);
        head.id = Some(self.entropy.call_id(now.wall));
        head.accepted_at = Some(now.wall.to_string());
        let remaining = head.deliver_at.map(|at| at.since(now.wall));
        let is_ordered = head.order_key.is_some();
        // A call that is due sooner than the shortest lane waits in the drain. A call with an order
        // key goes to the drain first, which gives it its place in the order (G6).
        let stream = match self.config.lanes.wait(remaining.unwrap_or_default()) {
            Wait::On(lane) if !is_ordered => StreamName::Lane(lane),
            Wait::On(_) | Wait::Over | Wait::InMemory(_) => StreamName::Calls,
        };
        let is_keyed = head.idempotency.is_some();
        *state = Accepting::Waiting {
            head,
            body_bytes,
            stream,
        };
        let deadline = now.steady.plus(self.config.publish.timeout);
        self.deadlines.push_back((deadline, request));
        if is_keyed {
            self.claims.add(request);
            self.wake();
        } else {
            self.enqueue(request);
        }
    }

    /// Puts a request into the outbox of its stream.
    fn enqueue(&mut self, request: RequestId) {
        let Some(Accepting::Waiting { stream, .. }) = self.requests.get(request) else {
            // It has left or has waited too long while its key was claimed.
            return self.claims.end(request, None);
        };
        if self.put_into_outbox(*stream, request) {
            self.wake();
        }
    }

    /// Answers a request that has no state, in its own callback.
    fn refuse_now(&mut self, request: RequestId, refusal: &Refusal) {
        self.outputs.count(refusal.metric(), 1);
        let response = refusal.response(self.config.limits.retry_after);
        self.outputs.push(Output::Respond(request, response));
    }

    /// Refuses a waiting request. It gets the answer when its turn comes.
    fn refuse(&mut self, request: RequestId, refusal: &Refusal) {
        self.free_key(request);
        self.give_back_deferred(request);
        self.outputs.count(refusal.metric(), 1);
        self.answer(request, refusal.response(self.config.limits.retry_after));
    }

    /// Puts an answer into the queue of answers.
    fn answer(&mut self, request: RequestId, response: OutgoingResponse) {
        if let Some(state) = self.requests.get_mut(request) {
            *state = Accepting::Answering;
            self.answers.push_back((request, response));
        }
    }

    /// Forgets a request. Returns false if it isn't known any more.
    fn forget(&mut self, request: RequestId) -> bool {
        self.free_key(request);
        let state = self.requests.get(request);
        // A request that is being published may be stored, and an answered one is stored.
        if matches!(
            state,
            Some(Accepting::Receiving { .. } | Accepting::Waiting { .. })
        ) {
            self.give_back_deferred(request);
        }
        let known = self.requests.remove(request);
        if known {
            self.outputs.count(Metric::WaitingRequests, -1);
            self.sweep();
        }
        known
    }

    /// Gives back the key of a request that does not become a call. The Stream's answer ends a
    /// request that is being published.
    fn free_key(&mut self, request: RequestId) {
        if matches!(self.requests.get(request), Some(Accepting::Waiting { .. })) {
            self.claims.end(request, None);
        }
    }

    /// Asks for a turn of the event loop, unless one is on its way.
    fn wake(&mut self) {
        if !self.wake_pending {
            self.wake_pending = true;
            self.outputs.push(Output::Wake);
        }
    }
}
