//! The sans-IO façade: inputs and the time go in, outputs come out, nothing else happens.
//!
//! The contract between an engine and whoever drives it (Envoy, a test, a simulator):
//! 1. call `handle(input, now)`;
//! 2. call `poll_output()` until it gives `None`, and perform each output at once, in order; an
//!    output that has an answer ([`Output::ReadBody`], a callout that could not be sent) is
//!    answered by another `handle` before the next `poll_output`;
//! 3. every callout ends in exactly one `CalloutDone`; a second one, or one for an unknown ticket,
//!    is ignored;
//! 4. call `handle(Input::Tick)` when `wakeup()` says so; spurious ticks are harmless.

pub(crate) mod signing;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::http::{OutgoingRequest, OutgoingResponse};
use crate::id::{RequestId, Ticket};
use crate::idempotency::KeyHolder;
use crate::metric::Metric;

/// What the host shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Call `handle` with `Wake` in the next turn of the event loop.
    Wake,
    /// Tell the drain in this Envoy that the Stream has new records.
    WakeDrain,
    /// Read the buffered body of a paused request; answer with `Input::Body` at once.
    ReadBody(RequestId),
    /// Make an HTTP request; answer with `CalloutDone`.
    Callout(Callout),
    /// A request waits for a token to be signed by, so it isn't made: answer with `CalloutDone` and
    /// `NotSent` at once.
    Unsigned(Ticket),
    /// Read a slot of the table of idempotency keys; answer with `Input::SlotRead` at once.
    ReadSlot(u32),
    /// Write a slot, if it still has this version; answer with `Input::SlotWritten` at once.
    WriteSlot {
        /// Which slot.
        slot: u32,
        /// Its new content.
        bytes: Vec<u8>,
        /// The version that it had when it was read.
        version: u32,
    },
    /// Tell the accept roles of this Envoy that the idempotency key of a call is free again.
    ReleaseKey(KeyHolder),
    /// Answer a request.
    Respond(RequestId, OutgoingResponse),
    /// Change a counter or gauge.
    Count(Metric, i64),
    /// Add a value to a histogram.
    Observe(Metric, u64),
    /// Write a line into Envoy's log.
    Log(Level, String),
}

/// An HTTP request through one of Envoy's clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// It comes back with the result.
    pub ticket: Ticket,
    /// The Envoy cluster.
    pub cluster: Rc<str>,
    /// What is sent.
    pub request: OutgoingRequest,
    /// At least a millisecond: Envoy takes zero for "no limit".
    pub timeout: Duration,
    /// How much of the answer's content is needed. With zero, only the status of an answer with 2xx
    /// or 3xx is needed, and its header fields need not be read either. Of any other answer at
    /// least [`crate::limits::EXCERPT_BYTES_MAX`] bytes are read.
    pub answer_bytes_max: usize,
}

/// The level of a log line, in Envoy's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A step of normal work.
    Debug,
    /// A change that an operator wants to see once.
    Info,
    /// Something failed and is being dealt with.
    Warn,
    /// An operator has to act.
    Error,
}

/// Decisions that are not performed yet, and the numbers of callouts.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
    /// Changes of counters. They are summed up until they are performed, because each costs a
    /// hostcall.
    counts: Vec<(Metric, i64)>,
    tickets: u64,
}

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        if let Some(output) = self.queue.pop_front() {
            return Some(output);
        }
        while let Some((metric, by)) = self.counts.pop() {
            if by != 0 {
                return Some(Output::Count(metric, by));
            }
        }
        None
    }

    pub(crate) fn count(&mut self, metric: Metric, by: i64) {
        match self.counts.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, sum)) => *sum = sum.saturating_add(by),
            None => self.counts.push((metric, by)),
        }
    }

    pub(crate) fn log(&mut self, level: Level, line: String) {
        self.push(Output::Log(level, line));
    }

    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.tickets = self.tickets.wrapping_add(1);
        Ticket(self.tickets)
    }
}
