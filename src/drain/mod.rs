//! Drives step 2: records are fetched, calls made, results settled, offsets committed.
//!
//! | part | what it does |
//! |---|---|
//! | [`session`], [`consume`] | reads calls and lanes, each stream as a member of a group |
//! | [`plan`] | what has to be known of a call |
//! | [`lifecycle`] | holds what is read until it is committed, and changes its states |
//! | [`disposition`], [`lane`] | decides what becomes of a record |
//! | [`misrouted`] | puts calls under their order keys that stand elsewhere |
//! | [`order`] | keeps the order of keys |
//! | [`parked`], [`absent`], [`learning`], [`notes`] | know which of their calls are away |
//! | [`target_queue`], [`queue`], [`pace`] | calls wait for their target and turn |
//! | [`backpressure`] | moves calls aside that are in the way of others |
//! | [`leaving`] | leaves the groups before the gateway ends |
//! | [`route`], [`dispatch`] | a call becomes the request that its target sees |
//! | [`attempt`], [`outcome`], [`retry`] | makes calls, and learns from their results |
//! | [`dead_letter`] | what is stored of a call that is given up |
//! | [`commit`] | the settled prefix is committed |
//! | [`outbox`] | puts hops, replies and dead letters onto their streams |
//! | [`wakeup`] | when something is to be done next, and why |
//! | [`refused`] | what becomes of those that the Stream refuses for good |
//!
//! After every input [`DrainEngine::advance`] starts whatever may start.

mod absent;
mod attempt;
mod backpressure;
pub mod commit;
pub mod config;
mod consume;
pub mod dead_letter;
pub mod dispatch;
mod disposition;
mod hop_dedup;
mod lane;
mod learning;
mod leaving;
mod lifecycle;
mod misrouted;
mod notes;
mod order;
mod outbox;
pub mod outcome;
mod owners;
mod pace;
mod parked;
pub mod plan;
mod queue;
mod refused;
pub mod retry;
mod returning;
pub mod route;
mod session;
pub mod target_queue;
mod wakeup;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::drain::config::DrainConfig;
use crate::drain::route::{ReplySecrets, Router, Upstream};
use crate::engine::signing::{Covers, Signing};
use crate::engine::{Callout, Output, Outputs};
use crate::http::{CalloutResult, OutgoingRequest};
use crate::id::{Entropy, RecordId, StreamName, Ticket};
use crate::metric::Metric;
use crate::record::seal::SealKeys;
use crate::stream::signing::Signer;
use crate::time::{Now, Steady, Wall};
pub use lifecycle::state::state_diagram;
use lifecycle::window::Window;
use outbox::Outbox;
use parked::Parked;
use session::{Operation, Session};
pub use wakeup::WakeReason;

/// A callout whose answer is this much overdue is taken for lost, although the host promises one.
const OVERDUE: Duration = Duration::from_secs(5);

/// How often overdue callouts are looked for.
const OVERDUE_CHECK: Duration = Duration::from_secs(1);

/// After this time, and twice the group's time limit, the drain no longer waits for a call that
/// went onto a lane and has not come back.
const PARKED_OVERDUE: Duration = Duration::from_secs(60);

/// What happens to the drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A health check: this worker has to drain.
    HealthCheck,
    /// The Stream has new records.
    RecordsAvailable,
    /// The answer to [`Output::Wake`]: a new turn of the event loop.
    Wake,
    /// The answer to [`Output::Callout`].
    CalloutDone(Ticket, CalloutResult),
    /// Time has passed.
    Tick,
}

/// What an open callout is for.
#[derive(Debug)]
enum Purpose {
    Session(StreamName, Operation),
    Attempt(RecordId, Upstream),
    Publish(StreamName),
}

/// The drain's state machine; one per worker, and one member of each consumer group.
pub struct DrainEngine {
    config: DrainConfig,
    entropy: Entropy,
    router: Router,
    sessions: BTreeMap<StreamName, Session>,
    window: Window,
    parked: Parked,
    outbox: Outbox,
    open: BTreeMap<Ticket, (Steady, Purpose)>,
    next_overdue_check: Steady,
    /// Until when this worker may fetch; health checks extend it.
    active_until: Option<Steady>,
    /// In how many groups this worker is a member, as it was last counted.
    memberships: usize,
    /// Whether this worker counts as one with health checks.
    is_active: bool,
    /// Attempts that may still be started in this turn of the event loop.
    turn_budget: usize,
    /// Whether a new turn was asked for.
    turn_pending: bool,
    /// When a session with a lane has something to do next.
    lanes_wakeup: Option<Steady>,
    stream_cluster: Rc<str>,
    signing: Signing,
    seal_keys: Option<SealKeys>,
    outputs: Outputs,
}

impl DrainEngine {
    /// Returns a drain that sleeps until its first health check. Replies are signed with `secrets`.
    #[must_use]
    pub fn new(config: DrainConfig, secrets: ReplySecrets, mut entropy: Entropy) -> Self {
        let instance = entropy.uuid();
        let lanes = config
            .lanes
            .iter()
            .map(|(number, _)| StreamName::Lane(number));
        let sources = std::iter::once(StreamName::Calls).chain(lanes);
        let session = |source| (source, Session::new(&config, source, instance.clone()));
        Self {
            sessions: sources.map(session).collect(),
            router: Router::new(&config.dispatch, config.targets.clone(), secrets),
            window: Window::new(&config),
            parked: Parked::new(
                instance,
                config.window.parked_calls_max,
                PARKED_OVERDUE.saturating_add(config.group.timeout.saturating_mul(2)),
            ),
            outbox: Outbox::new(&config),
            open: BTreeMap::new(),
            next_overdue_check: Steady(0),
            active_until: None,
            memberships: 0,
            is_active: false,
            turn_budget: config.window.per_turn_max,
            turn_pending: false,
            lanes_wakeup: None,
            stream_cluster: Rc::from(config.stream.cluster.as_str()),
            signing: Signing::default(),
            seal_keys: None,
            outputs: Outputs::default(),
            config,
            entropy,
        }
    }

    /// Returns the same drain with requests to the Stream signed.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signing = Signing::by(signer);
        self
    }

    /// Returns the same drain with requests to the Stream signed by tokens, which
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

    /// Returns the same drain with keys that open what is sealed in records, and that seal the
    /// headers of replies.
    #[must_use]
    pub fn sealed_by(mut self, keys: Option<SealKeys>) -> Self {
        self.seal_keys = keys;
        self
    }

    /// Returns what the host shall do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Compares everything that is kept about the records with their states, for tests.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.window.check()
    }

    /// Handles one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        // Most inputs are results of attempts, which don't concern the lanes.
        let concerns_lanes = !self.is_attempt(&input);
        match input {
            Input::HealthCheck => {
                self.active_until = Some(now.steady.plus(self.config.group.lease));
                self.outputs.count(Metric::Heartbeats, 1);
                self.forget_stale(now.steady);
            }
            Input::RecordsAvailable => {
                if let Some(session) = self.sessions.get_mut(&StreamName::Calls) {
                    session.wake();
                }
            }
            Input::Wake => self.new_turn(),
            Input::CalloutDone(ticket, result) => self.callout_done(ticket, result, now),
            Input::Tick => {
                self.new_turn();
                self.give_up_overdue(now);
            }
        }
        self.advance(concerns_lanes, now);
    }

    fn is_attempt(&self, input: &Input) -> bool {
        let Input::CalloutDone(ticket, _) = input else {
            return false;
        };
        let open = self.open.get(ticket);
        matches!(open, Some((_, Purpose::Attempt(..))))
    }

    /// Forgets records of lost sessions that were not read again. A worker without health checks
    /// has to do that too, so a timer of its own tells when.
    fn forget_stale(&mut self, now: Steady) {
        let forgotten = self.window.forget_stale(now);
        self.count_forgotten(forgotten);
    }

    /// Counts unsettled records that are no longer held. They belong to whoever reads them.
    fn count_forgotten(&mut self, forgotten: usize) {
        let forgotten = i64::try_from(forgotten).unwrap_or(i64::MAX);
        self.outputs.count(Metric::Held, forgotten.saturating_neg());
    }

    /// Begins a new turn of the event loop: attempts may be started again.
    fn new_turn(&mut self) {
        self.turn_budget = self.config.window.per_turn_max;
        self.turn_pending = false;
    }

    /// Starts everything that may start now.
    fn advance(&mut self, concerns_lanes: bool, now: Now) {
        if self
            .window
            .next_forgetting()
            .is_some_and(|at| at <= now.steady)
        {
            self.forget_stale(now.steady);
        }
        self.end_waits(now);
        self.wake_in_order(now);
        self.make_room(now);
        self.park(now);
        self.wake_in_order(now);
        if self.hand_over(now) {
            self.dispatch_due(now);
        }
        self.advance_notes(now);
        self.publish(now);
        self.advance_session(StreamName::Calls, now);
        if concerns_lanes || self.lanes_wakeup.is_some_and(|due| due <= now.steady) {
            self.advance_lanes(now);
        }
        self.leave_groups(now.steady);
        self.count_memberships(now.steady);
    }

    fn callout_done(&mut self, ticket: Ticket, result: CalloutResult, now: Now) {
        match self.open.remove(&ticket) {
            Some((_, Purpose::Session(source, operation))) => {
                self.session_done(source, &operation, result, now);
            }
            Some((_, Purpose::Attempt(record, _))) => self.attempt_done(record, result, now),
            Some((_, Purpose::Publish(stream_name))) => self.published(stream_name, result, now),
            // Answered twice, or after it was given up: the first result has counted.
            None => {}
        }
    }

    /// Gives up callouts without an answer. The host promises an answer to every callout, but if it
    /// ever fails to give one, nothing may hang.
    fn give_up_overdue(&mut self, now: Now) {
        if now.steady < self.next_overdue_check {
            return;
        }
        self.next_overdue_check = now.steady.plus(OVERDUE_CHECK);
        let overdue: Vec<Ticket> = self
            .open
            .iter()
            .filter(|(_, (deadline, _))| *deadline < now.steady)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in overdue {
            self.callout_done(ticket, CalloutResult::Lost, now);
        }
    }

    /// Opens a callout, signed where something is to be covered.
    fn call_out(
        &mut self,
        purpose: Purpose,
        mut request: OutgoingRequest,
        covers: Option<Covers>,
        timeout: Duration,
        answer_bytes_max: usize,
        now: Now,
    ) {
        let (signing, outputs) = (&mut self.signing, &mut self.outputs);
        let mut sign = |covers| signing.sign(&mut request, covers, now.wall, outputs);
        let may_be_sent = covers.is_none_or(&mut sign);
        let now = now.steady;
        let ticket = self.outputs.next_ticket();
        let cluster = match &purpose {
            Purpose::Attempt(_, upstream) => self.router.cluster(*upstream),
            Purpose::Session(..) | Purpose::Publish(_) => self.stream_cluster.clone(),
        };
        if self.open.is_empty() {
            self.next_overdue_check = now.plus(OVERDUE_CHECK);
        }
        self.open
            .insert(ticket, (now.plus(timeout).plus(OVERDUE), purpose));
        if !may_be_sent {
            return self.outputs.push(Output::Unsigned(ticket));
        }
        let callout = Callout {
            ticket,
            cluster,
            request,
            timeout,
            answer_bytes_max,
        };
        self.outputs.push(Output::Callout(callout));
    }
}
