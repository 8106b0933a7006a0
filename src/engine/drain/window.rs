//! The calls held in memory: waiting for a slot, in flight, backing off, dying, or settled and
//! waiting for their commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::{DrainEngine, Purpose};
use crate::call::deliver::commit::FetchNumber;
use crate::call::deliver::dead_letter::{AttemptRecord, Reason};
use crate::call::deliver::dispatch::{self, Marks};
use crate::call::deliver::outcome::{Outcome, classify};
use crate::call::deliver::retry::pause_after;
use crate::call::record;
use crate::config::WindowConfig;
use crate::engine::{CalloutResult, Level, Output};
use crate::id::{Position, RecordId};
use crate::limits::DEAD_LETTER_ATTEMPTS_MAX;
use crate::metric::Metric;
use crate::stream::consume::Message;
use crate::time::{Now, Steady};

/// How long a settled call is remembered whose session was lost before its commit: the next
/// session reads its record again, and it must not be made again.
const SETTLED_REMEMBERED: Duration = Duration::from_secs(120);

/// A turn that was asked for comes within microseconds, unless the asking failed.
const LOST_TURN: Duration = Duration::from_millis(50);

/// Bytes of a target's answer that are read: nobody asks for it yet.
const ANSWER_BYTES: usize = 0;

/// One record that was fetched and isn't committed.
#[derive(Debug)]
pub(super) struct Held {
    /// The fetch of this session that brought it; `None` if that session is lost.
    fetch: Option<FetchNumber>,
    pub(super) record: Rc<Vec<u8>>,
    stored_at: String,
    attempts: u32,
    pub(super) history: Vec<AttemptRecord>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for a slot.
    Ready,
    /// An attempt is under way.
    InFlight,
    /// Waits for its next attempt.
    BackingOff,
    /// Waits for its dead letter to be stored.
    Dying,
    /// Delivered or buried; only the commit is missing.
    Settled { at: Steady },
}

/// All records held.
#[derive(Debug, Default)]
pub(super) struct Window {
    held: BTreeMap<RecordId, Held>,
    ready: VecDeque<RecordId>,
    backing_off: BTreeSet<(Steady, RecordId)>,
    in_flight: usize,
    unsettled: usize,
    bytes: usize,
    /// Attempts that may still be started in this turn of the event loop.
    turn_budget: usize,
    /// A new turn is asked for.
    turn_pending: bool,
}

impl Window {
    /// An empty window.
    pub(super) fn new(config: &WindowConfig) -> Self {
        Self {
            turn_budget: config.per_turn_max,
            ..Self::default()
        }
    }

    /// A new turn of the event loop: attempts may be started again.
    pub(super) fn new_turn(&mut self, config: &WindowConfig) {
        self.turn_budget = config.per_turn_max;
        self.turn_pending = false;
    }

    /// Records held, settled ones included.
    pub(super) fn records(&self) -> usize {
        self.held.len()
    }

    /// Calls that aren't settled.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Bytes of the records of unsettled calls.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next back-off ends, or when to look after a turn that does not come.
    pub(super) fn wakeup(&self, now: Steady) -> Option<Steady> {
        let backoff = self.backing_off.first().map(|(due, _)| *due);
        let rescue = self.turn_pending.then(|| now.plus(LOST_TURN));
        [backoff, rescue].into_iter().flatten().min()
    }

    pub(super) fn get(&self, id: RecordId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// Takes in a fetched record. Gives whether it is settled already: a lost session's record
    /// comes again, and its call is not made again.
    fn take_in(&mut self, message: Message, fetch: FetchNumber) -> Taken {
        let id = message.id();
        match self.held.get_mut(&id) {
            Some(held) if held.fetch.is_some() => Taken::Twice,
            Some(held) => {
                held.fetch = Some(fetch);
                Taken::Again {
                    settled: matches!(held.state, State::Settled { .. }),
                }
            }
            None => {
                self.unsettled += 1;
                self.bytes = self.bytes.saturating_add(message.value.len());
                self.ready.push_back(id);
                let held = Held {
                    fetch: Some(fetch),
                    record: Rc::new(message.value),
                    stored_at: message.stored_at,
                    attempts: 0,
                    history: Vec::new(),
                    state: State::Ready,
                };
                self.held.insert(id, held);
                Taken::New
            }
        }
    }

    /// Forgets records whose commit is done.
    pub(super) fn committed(&mut self, records: &[RecordId]) {
        for id in records {
            self.held.remove(id);
        }
    }

    /// The session is lost: what is held goes on, but belongs to no fetch.
    pub(super) fn detach(&mut self) {
        self.held.values_mut().for_each(|held| held.fetch = None);
    }

    /// Forgets settled calls of lost sessions that nobody has shown us again.
    pub(super) fn forget_stale(&mut self, now: Steady) {
        self.held.retain(|_, held| match held.state {
            State::Settled { at } => held.fetch.is_some() || now < at.plus(SETTLED_REMEMBERED),
            State::Ready | State::InFlight | State::BackingOff | State::Dying => true,
        });
    }

    /// Moves back-offs that are over into the line.
    fn end_backoffs(&mut self, now: Steady) {
        while let Some((due, id)) = self.backing_off.first().copied() {
            if due > now {
                return;
            }
            self.backing_off.pop_first();
            if let Some(held) = self.held.get_mut(&id) {
                held.state = State::Ready;
                self.ready.push_back(id);
            }
        }
    }
}

/// What a fetched record is to the window.
enum Taken {
    New,
    Again { settled: bool },
    Twice,
}

impl DrainEngine {
    /// Takes in what a fetch has brought.
    pub(super) fn take_in(&mut self, messages: Vec<Message>, fetch: FetchNumber) {
        self.outputs.count(
            Metric::Fetched,
            i64::try_from(messages.len()).unwrap_or(i64::MAX),
        );
        let mut new = 0;
        for message in messages {
            let id = message.id();
            match self.window.take_in(message, fetch) {
                Taken::New => {
                    new += 1;
                    self.session.line.add(fetch, id, false);
                }
                Taken::Again { settled } => self.session.line.add(fetch, id, settled),
                Taken::Twice => {}
            }
        }
        self.outputs.count(Metric::Held, new);
    }

    /// Makes attempts that are due and have a slot, but only so many in one turn of the event
    /// loop: the requests of clients share the worker, and go on between two turns.
    pub(super) fn dispatch_due(&mut self, now: Now) {
        self.window.end_backoffs(now.steady);
        while self.window.in_flight < self.config.window.in_flight_max
            && !self.window.ready.is_empty()
        {
            if self.window.turn_budget == 0 {
                if !std::mem::replace(&mut self.window.turn_pending, true) {
                    self.outputs.push(Output::Wake);
                }
                return;
            }
            self.window.turn_budget -= 1;
            if let Some(record) = self.window.ready.pop_front() {
                self.attempt(record, now);
            }
        }
    }

    fn attempt(&mut self, record: RecordId, now: Now) {
        let Some(held) = self.window.held.get_mut(&record) else {
            return;
        };
        let call = match record::decode(&held.record) {
            Ok(call) => call,
            Err(error) => {
                let detail = error.to_string();
                return self.give_up(record, Reason::UnreadableRecord, detail, now);
            }
        };
        held.state = State::InFlight;
        held.attempts = held.attempts.saturating_add(1);
        let id = call
            .head
            .id
            .as_ref()
            .map_or_else(|| fallback_id(record.position), |id| id.0.clone());
        let marks = Marks {
            correlation_id: call
                .head
                .correlation_id
                .clone()
                .unwrap_or_else(|| id.clone()),
            id,
            accepted_at: call
                .head
                .accepted_at
                .clone()
                .unwrap_or_else(|| held.stored_at.clone()),
            attempt: held.attempts,
        };
        let request = dispatch::request(call, &marks, &self.config.default_authority);
        self.window.in_flight += 1;
        self.outputs.count(Metric::Attempts, 1);
        self.outputs.count(Metric::InFlight, 1);
        let timeout = self.config.attempt.timeout;
        self.call_out(
            Purpose::Attempt(record),
            request,
            timeout,
            ANSWER_BYTES,
            now.steady,
        );
    }

    /// An attempt has ended.
    pub(super) fn attempt_done(&mut self, record: RecordId, result: CalloutResult, now: Now) {
        self.window.in_flight = self.window.in_flight.saturating_sub(1);
        self.outputs.count(Metric::InFlight, -1);
        let outcome = classify(&result, now.wall);
        let Some(held) = self.window.held.get_mut(&record) else {
            return;
        };
        let status = match outcome {
            Outcome::Retryable { status, .. } => status,
            Outcome::Rejected { status } => Some(status),
            Outcome::Delivered | Outcome::NotSent => None,
        };
        let attempt = held.attempts;
        if matches!(
            outcome,
            Outcome::Retryable { .. } | Outcome::Rejected { .. }
        ) {
            if held.history.len() >= DEAD_LETTER_ATTEMPTS_MAX {
                held.history.remove(0);
            }
            held.history.push(AttemptRecord {
                attempt,
                at: now.wall.to_string(),
                status,
            });
        }
        match outcome {
            Outcome::Delivered => {
                self.outputs.count(Metric::Delivered, 1);
                self.settle(record, now.steady);
            }
            Outcome::Rejected { status } => {
                let detail = format!("the target answered {status}");
                self.give_up(record, Reason::Rejected, detail, now);
            }
            Outcome::Retryable { retry_after, .. } => {
                if attempt >= self.config.attempt.attempts_max {
                    let last = status.map_or("no answer".to_owned(), |status| status.to_string());
                    let detail = format!("{attempt} attempts failed, the last with {last}");
                    return self.give_up(record, Reason::AttemptsExhausted, detail, now);
                }
                self.outputs.count(Metric::Retried, 1);
                self.back_off(record, attempt, retry_after, now.steady);
            }
            Outcome::NotSent => {
                held.attempts = attempt.saturating_sub(1);
                self.back_off(record, attempt, None, now.steady);
            }
        }
    }

    fn back_off(&mut self, record: RecordId, attempt: u32, asked: Option<Duration>, now: Steady) {
        let pause = pause_after(attempt, asked, &self.config.attempt, &mut self.entropy);
        if let Some(held) = self.window.held.get_mut(&record) {
            held.state = State::BackingOff;
            self.window.backing_off.insert((now.plus(pause), record));
        }
    }

    fn give_up(&mut self, record: RecordId, reason: Reason, detail: String, now: Now) {
        let id = self.call_id(record);
        let line = format!("call {id} becomes a dead letter: {detail}");
        self.outputs.log(Level::Warn, line);
        if let Some(held) = self.window.held.get_mut(&record) {
            held.state = State::Dying;
            self.burials.add(record, reason, detail, now.wall);
        }
    }

    /// Nothing more is to be done for this call but its commit.
    pub(super) fn settle(&mut self, record: RecordId, now: Steady) {
        let Some(held) = self.window.held.get_mut(&record) else {
            return;
        };
        held.state = State::Settled { at: now };
        let content = std::mem::take(&mut held.record);
        held.history = Vec::new();
        self.window.bytes = self.window.bytes.saturating_sub(content.len());
        self.window.unsettled = self.window.unsettled.saturating_sub(1);
        self.outputs.count(Metric::Held, -1);
        if let Some(fetch) = held.fetch {
            self.session.line.settle(fetch);
        }
    }

    /// The id in the record, or one made of its position.
    pub(super) fn call_id(&self, record: RecordId) -> String {
        self.window
            .get(record)
            .and_then(|held| record::decode(&held.record).ok())
            .and_then(|call| call.head.id)
            .map_or_else(|| fallback_id(record.position), |id| id.0)
    }
}

/// The id of a call whose publisher gave it none: the same whenever the record is read.
fn fallback_id(position: Position) -> String {
    format!("p{}-o{}", position.partition, position.offset)
}
