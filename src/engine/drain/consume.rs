//! Reading: the sessions with the stream of calls and with each lane, and what they bring.

use super::room::{is_room_to_fetch, left_max, room};
use super::session::{Demand, Operation};
use super::window::{State, Taken};
use super::{DrainEngine, Purpose};
use crate::call::deliver::commit::FetchNumber;
use crate::engine::{CalloutResult, Level};
use crate::http::IncomingResponse;
use crate::id::{RecordId, Source};
use crate::limits::STREAM_ANSWER_BYTES_MAX;
use crate::metric::Metric;
use crate::stream::consume::{Message, parse_cursor, parse_messages};
use crate::stream::error::{StreamError, expect_ok};
use crate::time::{Now, Steady};

impl DrainEngine {
    /// Sends each session's next request, if one is due and none is open.
    pub(super) fn advance_sessions(&mut self, now: Now) {
        let mut due = Vec::new();
        for (source, session) in &mut self.sessions {
            let demand = demand(
                &self.config,
                &self.window,
                self.active_until,
                *source,
                now.steady,
            );
            if let Some((operation, request)) = session.next(demand, now.steady) {
                due.push((*source, operation, request));
            }
        }
        for (source, operation, request) in due {
            let purpose = Purpose::Session(source, operation);
            let timeout = self.config.fetch.timeout;
            let limit = STREAM_ANSWER_BYTES_MAX;
            self.call_out(purpose, request, timeout, limit, now.steady);
        }
    }

    /// When [`Self::advance_sessions`] has something to do next.
    pub(super) fn sessions_wakeup(&self, now: Steady) -> Option<Steady> {
        let wakeups = self.sessions.iter().filter_map(|(source, session)| {
            session.wakeup(demand(
                &self.config,
                &self.window,
                self.active_until,
                *source,
                now,
            ))
        });
        wakeups.min()
    }

    /// A request of a session has ended.
    pub(super) fn session_done(
        &mut self,
        source: Source,
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
                if session.failed(operation, &error, now.steady) {
                    let left_max = left_max(&self.config, source);
                    let forgotten = self.window.detach(source, left_max, now.steady);
                    self.count_forgotten(forgotten);
                }
                self.outputs.count(Metric::StreamFailures, 1);
                // A lost cursor mends itself; a Stream that refuses needs somebody.
                let level = match error {
                    StreamError::CursorLost(_) => Level::Info,
                    StreamError::Throttled(..) | StreamError::Unanswered(_) => Level::Warn,
                    StreamError::Refused(_) => Level::Error,
                };
                let line = format!("{} failed: {}", operation.name(), error.text());
                self.outputs.log(level, line);
            }
        }
    }

    fn succeed(
        &mut self,
        source: Source,
        operation: &Operation,
        response: &IncomingResponse,
        now: Now,
    ) -> Result<(), StreamError> {
        let Some(session) = self.sessions.get_mut(&source) else {
            return Ok(());
        };
        match operation {
            Operation::Join => {
                let cursor = parse_cursor(&response.body).map_err(StreamError::Refused)?;
                let (group, instance) = session.joined(cursor);
                let line = format!("joined group {group} as {instance} for {source:?}");
                self.outputs.count(Metric::Sessions, 1);
                self.outputs.log(Level::Info, line);
            }
            Operation::Fetch { .. } => {
                let (messages, next) = parse_messages(response).map_err(StreamError::Refused)?;
                if let Some(number) = session.fetched(messages.is_empty(), next, now.steady) {
                    self.take_in(source, messages, number, now);
                }
            }
            Operation::Commit(number) => {
                session.committed(now.steady);
                let records = session.line.committed(*number);
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
    fn take_in(&mut self, source: Source, messages: Vec<Message>, fetch: FetchNumber, now: Now) {
        let fetched = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        self.outputs.count(Metric::Fetched, fetched);
        let ids: Vec<RecordId> = messages.iter().map(|message| message.id(source)).collect();
        for (id, message) in ids.iter().zip(messages) {
            let taken = self.window.take_in(*id, message, fetch);
            if matches!(taken, Taken::Twice) {
                continue;
            }
            let state = self.window.get(*id).map(|held| held.state);
            let is_settled = matches!(state, Some(State::Settled { .. }));
            if let Some(session) = self.sessions.get_mut(&source) {
                session.line.add(fetch, *id, is_settled);
            }
        }
        // Only now, when all of them are known: what follows may settle them.
        for id in ids {
            match self.window.get(id).map(|held| held.state) {
                Some(State::New) => self.begin(id, now),
                Some(State::Suspended { until, .. }) => self.resume(id, until, now),
                _ => {}
            }
        }
    }
}

/// What the drain wants of one of its streams.
fn demand(
    config: &crate::config::DrainConfig,
    window: &super::window::Window,
    active_until: Option<Steady>,
    source: Source,
    now: Steady,
) -> Demand {
    let is_active = active_until.is_some_and(|until| now < until);
    Demand {
        is_active,
        room: room(config, window, source),
        may_fetch: is_active && is_room_to_fetch(config, window, source),
        is_idle: window.count(source).unsettled == 0,
    }
}
