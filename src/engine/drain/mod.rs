//! Drives step 2: records are fetched, calls made, results settled, offsets committed.
//!
//! Three parts share one engine: the [`session`] with the consumer group (cursor, fetch, commit,
//! heartbeat; one request at a time), the [`window`] of calls held in memory, and the [`burial`]
//! of those that are given up. After every input [`DrainEngine::advance`] starts whatever may
//! start.

mod burial;
mod session;
mod window;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Callout, CalloutResult, Output, Outputs};
use crate::config::DrainConfig;
use crate::http::OutgoingRequest;
use crate::id::{Entropy, RecordId, Ticket};
use crate::metric::Metric;
use crate::time::{Now, Steady};
use burial::Burials;
use session::{Operation, Session};
use window::Window;

/// A callout whose answer is this much overdue is taken for lost, although the host promises one.
const OVERDUE: Duration = Duration::from_secs(5);

/// How often overdue callouts are looked for.
const OVERDUE_CHECK: Duration = Duration::from_secs(1);

/// What happens to the drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A health check: this worker shall drain.
    Heartbeat,
    /// The Stream has new records.
    News,
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
    Session(Operation),
    Attempt(RecordId),
    Burial,
}

/// The drain's state machine; one per worker, and one member of the consumer group.
pub struct DrainEngine {
    config: DrainConfig,
    entropy: Entropy,
    session: Session,
    window: Window,
    burials: Burials,
    open: BTreeMap<Ticket, (Steady, Purpose)>,
    next_overdue_check: Steady,
    /// Until when this worker may fetch; health checks extend it.
    active_until: Option<Steady>,
    stream_cluster: Rc<str>,
    dispatch_cluster: Rc<str>,
    outputs: Outputs,
}

impl DrainEngine {
    /// A drain that sleeps until its first heartbeat.
    #[must_use]
    pub fn new(config: DrainConfig, mut entropy: Entropy) -> Self {
        Self {
            session: Session::new(&config, entropy.uuid()),
            window: Window::new(&config.window),
            burials: Burials::new(&config),
            open: BTreeMap::new(),
            next_overdue_check: Steady(0),
            active_until: None,
            stream_cluster: Rc::from(config.stream.cluster.as_str()),
            dispatch_cluster: Rc::from(config.dispatch_cluster.as_str()),
            outputs: Outputs::default(),
            config,
            entropy,
        }
    }

    /// What the host shall do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// When the host shall tick at the latest; `None` while there is nothing to wait for.
    #[must_use]
    pub fn wakeup(&self, now: Steady) -> Option<Steady> {
        let overdue = (!self.open.is_empty()).then_some(self.next_overdue_check);
        let session = self.session_wakeup(now);
        let window = self.window.wakeup(now);
        [overdue, window, self.burials.wakeup(), session]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Heartbeat => {
                self.active_until = Some(now.steady.plus(self.config.group.lease));
                self.outputs.count(Metric::Heartbeats, 1);
                self.window.forget_stale(now.steady);
            }
            Input::News => self.session.wake(),
            Input::Wake => self.window.new_turn(&self.config.window),
            Input::CalloutDone(ticket, result) => self.callout_done(ticket, result, now),
            Input::Tick => {
                self.window.new_turn(&self.config.window);
                self.give_up_overdue(now);
            }
        }
        self.advance(now);
    }

    /// Starts everything that may start now.
    fn advance(&mut self, now: Now) {
        self.dispatch_due(now);
        self.bury(now);
        self.advance_session(now);
    }

    fn active(&self, now: Steady) -> bool {
        self.active_until.is_some_and(|until| now < until)
    }

    fn callout_done(&mut self, ticket: Ticket, result: CalloutResult, now: Now) {
        match self.open.remove(&ticket) {
            Some((_, Purpose::Session(operation))) => self.session_done(operation, result, now),
            Some((_, Purpose::Attempt(record))) => self.attempt_done(record, result, now),
            Some((_, Purpose::Burial)) => self.burial_done(result, now),
            // Answered twice, or after we gave it up: the first result counted.
            None => {}
        }
    }

    /// The host owes an answer to every callout. Should it ever fail to, nothing may hang.
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

    /// Opens a callout.
    fn call_out(
        &mut self,
        purpose: Purpose,
        request: OutgoingRequest,
        timeout: Duration,
        answer_bytes_max: usize,
        now: Steady,
    ) {
        let ticket = self.outputs.next_ticket();
        let cluster = match purpose {
            Purpose::Attempt(_) => self.dispatch_cluster.clone(),
            Purpose::Session(_) | Purpose::Burial => self.stream_cluster.clone(),
        };
        if self.open.is_empty() {
            self.next_overdue_check = now.plus(OVERDUE_CHECK);
        }
        self.open
            .insert(ticket, (now.plus(timeout).plus(OVERDUE), purpose));
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
