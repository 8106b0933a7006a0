//! Reading: the sessions with the stream of calls and with each lane, and what they bring.

use crate::drain::backpressure::{is_room_to_fetch, room};
use crate::drain::commit::FetchNumber;
use crate::drain::lifecycle::state::State;
use crate::drain::lifecycle::window::Taken;
use crate::drain::session::{Demand, Operation};
use crate::drain::{DrainEngine, Purpose};
use crate::engine::Level;
use crate::engine::signing::Covers;
use crate::http::{CalloutResult, IncomingResponse};
use crate::id::{RecordId, StreamName};
use crate::limits::STREAM_ANSWER_BYTES_MAX;
use crate::metric::Metric;
use crate::stream::consume::{Message, parse_cursor, parse_messages};
use crate::stream::error::{StreamError, expect_ok};
use crate::time::{Now, Steady};

impl DrainEngine {
    /// Sends the next request of a session, if one is due and none is open.
    pub(super) fn advance_session(&mut self, source: StreamName, now: Now) {
        let demand = self.demand(source, now.steady);
        let session = self.sessions.get_mut(&source);
        let next = session.and_then(|session| session.next(demand, now.steady));
        let Some((operation, request)) = next else {
            return;
        };
        let purpose = Purpose::Session(source, operation);
        let timeout = self.config.fetch.timeout;
        let limit = STREAM_ANSWER_BYTES_MAX;
        let covers = Some(Covers::Content);
        self.call_out(purpose, request, covers, timeout, limit, now);
    }

    /// The same for all lanes.
    pub(super) fn advance_lanes(&mut self, now: Now) {
        let lanes = self.config.lanes.iter();
        let lanes: Vec<StreamName> = lanes.map(|(number, _)| StreamName::Lane(number)).collect();
        for lane in &lanes {
            self.advance_session(*lane, now);
        }
        let wakeups = lanes.into_iter();
        let wakeups = wakeups.filter_map(|lane| self.session_wakeup(lane, now.steady));
        self.lanes_wakeup = wakeups.min();
    }

    /// Returns when [`Self::advance_session`] has something to do next.
    pub(super) fn session_wakeup(&self, source: StreamName, now: Steady) -> Option<Steady> {
        let session = self.sessions.get(&source)?;
        session.wakeup(self.demand(source, now))
    }

    /// Returns what the drain wants of one of its streams.
    fn demand(&self, source: StreamName, now: Steady) -> Demand {
        let is_active = self.active_until.is_some_and(|until| now < until);
        Demand {
            is_active,
            room: room(&self.config, &self.window, source),
            may_fetch: is_active && is_room_to_fetch(&self.config, &self.window, source),
            is_idle: self.window.count(source).unsettled == 0,
        }
    }

    /// A request of a session has ended.
    pub(super) fn session_done(
        &mut self,
        source: StreamName,
        operation: &Operation,
        result: CalloutResult,
        now: Now,
    ) {
        let done =
            expect_ok(result).and_then(|response| self.succeed(source, operation, &response, now));
        let Some(session) = self.sessions.get_mut(&source) else {
            return;
        };
        match done {
            Ok(()) => session.succeeded(),
            Err(error) => {
                self.parked.trouble_at = now.steady;
                if session.failed(operation, &error, now.steady) {
                    self.lose_session(source, now.steady);
                }
                self.outputs.count(Metric::StreamFailures, 1);
                // A lost cursor mends itself; a Stream that refuses needs somebody.
                let level = match error {
                    StreamError::CursorLost(_) => Level::Info,
                    StreamError::Throttled(..) | StreamError::Unanswered(_) => Level::Warn,
                    StreamError::Unauthenticated { .. }
                    | StreamError::OutsideRetention(_)
                    | StreamError::TooLarge(_)
                    | StreamError::Refused(_) => Level::Error,
                };
                let why = self.signing.describe(&error, now.wall, &mut self.outputs);
                let line = format!("{} failed: {why}", operation.name());
                self.outputs.log(level, line);
            }
        }
    }

    fn succeed(
        &mut self,
        source: StreamName,
        operation: &Operation,
        response: &IncomingResponse,
        now: Now,
    ) -> Result<(), StreamError> {
        let Some(session) = self.sessions.get_mut(&source) else {
            return Ok(());
        };
        if session.may_have_been_replaced(operation, now.steady) {
            let why = "the group had not heard of this drain for group.timeoutMs, and may have \
                       given its partitions to others meanwhile";
            return Err(StreamError::CursorLost(why.to_owned()));
        }
        match operation {
            Operation::Join => {
                let cursor = parse_cursor(&response.body).map_err(StreamError::Refused)?;
                let (group, instance) = session.joined(cursor);
                let line = format!("joined group {group} as {instance} for {source:?}");
                self.outputs.count(Metric::Sessions, 1);
                self.outputs.log(Level::Info, line);
            }
            Operation::MoveOn => {
                let line = format!(
                    "group {} was moved to the oldest record that the Stream still keeps of \
                     {source:?}: records that were older and not settled are lost; give the \
                     stream a longer retention or the drain more room",
                    session.moved_on()
                );
                self.outputs.count(Metric::OutsideRetention, 1);
                self.outputs.log(Level::Error, line);
            }
            Operation::Fetch { limit } => {
                let (messages, next) = parse_messages(response).map_err(StreamError::Refused)?;
                let number = session.fetched(messages.is_empty(), next, now.steady);
                let is_end = source == StreamName::Calls && self.read_in_order(&messages, *limit);
                if let Some(number) = number {
                    self.take_in(source, messages, number, now);
                }
                if is_end {
                    self.reached_the_end();
                }
            }
            Operation::Commit(number) => {
                session.committed(now.steady);
                let records = session.commits.committed(*number);
                self.window.committed(&records);
                self.outputs.count(Metric::Committed, 1);
            }
            Operation::Heartbeat => {
                let cursor = parse_cursor(&response.body).map_err(StreamError::Refused)?;
                session.refreshed(cursor);
            }
        }
        Ok(())
    }

    /// Takes in what a fetch has brought.
    fn take_in(
        &mut self,
        source: StreamName,
        messages: Vec<Message>,
        fetch: FetchNumber,
        now: Now,
    ) {
        let fetched = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        self.outputs.count(Metric::Fetched, fetched);
        let ids: Vec<RecordId> = messages.iter().map(|message| message.id(source)).collect();
        for (id, message) in ids.iter().zip(messages) {
            let taken = self.window.take_in(*id, message, fetch);
            if matches!(taken, Taken::Twice) {
                continue;
            }
            let state = self.window.state(*id);
            let is_settled = matches!(state, Some(State::Settled { .. }));
            if let Some(session) = self.sessions.get_mut(&source) {
                session.commits.add(fetch, *id, is_settled);
            }
        }
        // Only now, when all of them are known: what follows may settle them.
        for id in ids {
            match self.window.state(id) {
                Some(State::New) => self.begin(id, now),
                Some(State::Suspended { until, .. }) => {
                    self.read_again_in_order(id);
                    self.resume(id, until, now);
                }
                Some(_) => self.read_again_in_order(id),
                None => {}
            }
        }
    }
}
