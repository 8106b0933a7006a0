//! The session with the consumer group: join, fetch, commit, heartbeat; one request at a time.
//!
//! A cursor that is refused ends the session. The next one starts where the group has committed;
//! what is still held in memory is recognised when it is read again.

use std::time::Duration;

use super::{DrainEngine, Purpose};
use crate::call::deliver::commit::{CommitLine, FetchNumber};
use crate::config::DrainConfig;
use crate::engine::{CalloutResult, Level};
use crate::http::{IncomingResponse, OutgoingRequest};
use crate::limits::STREAM_ANSWER_BYTES_MAX;
use crate::metric::Metric;
use crate::stream::StreamClient;
use crate::stream::consume::{Cursor, parse_cursor, parse_messages};
use crate::stream::error::{StreamError, expect_ok};
use crate::time::{Now, Steady};

/// Pauses after failures of the Stream double from the first to the last.
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(100);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a request of the session does.
#[derive(Debug)]
pub(super) enum Operation {
    Join,
    Fetch { limit: usize },
    Commit(FetchNumber),
    Heartbeat,
}

/// What is known of our membership.
#[derive(Debug)]
pub(super) struct Session {
    client: StreamClient,
    instance: String,
    /// Where reading goes on; `None`: not a member.
    cursor: Option<Cursor>,
    pub(super) line: CommitLine,
    busy: bool,
    /// The Stream has news, or may have: do not wait for the next regular fetch.
    woken: bool,
    /// Whether the session's latest fetch or commit was a fetch.
    fetched_last: bool,
    last_fetch: Steady,
    next_fetch: Steady,
    next_commit: Steady,
    last_contact: Steady,
    /// Nothing is sent before this.
    not_before: Steady,
    failures: u32,
    /// Records asked for; smaller after answers that were too large to arrive.
    fetch_limit: usize,
}

impl Session {
    pub(super) fn new(config: &DrainConfig, instance: String) -> Self {
        Self {
            client: StreamClient::new(&config.stream.authority, &config.stream.stream_id),
            instance,
            cursor: None,
            line: CommitLine::default(),
            busy: false,
            woken: false,
            fetched_last: false,
            last_fetch: Steady(0),
            next_fetch: Steady(0),
            next_commit: Steady(0),
            last_contact: Steady(0),
            not_before: Steady(0),
            failures: 0,
            fetch_limit: config.fetch.records_max,
        }
    }

    /// The Stream has new records.
    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    fn fetch_due(&self, min_interval: Duration) -> Steady {
        let earliest = self.last_fetch.plus(min_interval);
        if self.woken {
            earliest
        } else {
            self.next_fetch.max(earliest)
        }
    }
}

impl DrainEngine {
    /// Sends the session's next request, if one is due and none is open.
    pub(super) fn advance_session(&mut self, now: Now) {
        let at = now.steady;
        if self.session.busy || at < self.session.not_before {
            return;
        }
        let Some(cursor) = self.session.cursor.clone() else {
            // Without a session what is held goes on, and is committed by whoever reads it again.
            if self.active(at) {
                self.join(at);
            }
            return;
        };
        if !self.active(at) && self.window.unsettled() == 0 && self.session.line.is_empty() {
            // Another worker has the health check now: leave the group by falling silent.
            self.session.cursor = None;
            return;
        }
        let fetch_due =
            self.may_fetch(at) && self.session.fetch_due(self.config.fetch.min_interval) <= at;
        let commit = self.commit_due(at);
        // News are fetched before a commit is made, but in a flood of news the two take turns:
        // what is settled and not committed is made again after a crash.
        let fetch_first = self.session.woken && !(commit.is_some() && self.session.fetched_last);
        if fetch_due && fetch_first {
            self.fetch(&cursor, at);
        } else if let Some((number, cursor)) = commit {
            self.session.fetched_last = false;
            let request = self.session.client.consumer_commit(&cursor);
            self.send(Operation::Commit(number), request, at);
        } else if fetch_due {
            self.fetch(&cursor, at);
        } else if self.heartbeat_due() <= at {
            let request = self.session.client.consumer_heartbeat(&cursor);
            self.send(Operation::Heartbeat, request, at);
        }
    }

    /// When [`Self::advance_session`] has something to do next.
    pub(super) fn session_wakeup(&self, now: Steady) -> Option<Steady> {
        let session = &self.session;
        if session.busy {
            return None;
        }
        if session.cursor.is_none() {
            return self.active(now).then_some(session.not_before);
        }
        let fetch = self
            .may_fetch(now)
            .then(|| session.fetch_due(self.config.fetch.min_interval));
        let commit = session.line.committable().map(|_| session.next_commit);
        let next = [fetch, commit]
            .into_iter()
            .flatten()
            .fold(self.heartbeat_due(), Ord::min);
        Some(next.max(session.not_before))
    }

    fn join(&mut self, now: Steady) {
        let group = &self.config.group;
        let request = self.session.client.create_group_cursor(
            &group.name,
            &self.session.instance,
            group.timeout,
        );
        self.send(Operation::Join, request, now);
    }

    fn fetch(&mut self, cursor: &Cursor, now: Steady) {
        let room = self.room().max(1);
        let limit = self
            .session
            .fetch_limit
            .min(self.config.fetch.records_max)
            .min(room);
        let request = self.session.client.get_messages(cursor, limit);
        self.session.woken = false;
        self.session.fetched_last = true;
        self.session.last_fetch = now;
        self.send(Operation::Fetch { limit }, request, now);
    }

    fn send(&mut self, operation: Operation, request: OutgoingRequest, now: Steady) {
        self.session.busy = true;
        let timeout = self.config.fetch.timeout;
        let purpose = Purpose::Session(operation);
        self.call_out(purpose, request, timeout, STREAM_ANSWER_BYTES_MAX, now);
    }

    /// How many records may be taken in.
    fn room(&self) -> usize {
        let window = &self.config.window;
        let calls = window.calls_max.saturating_sub(self.window.unsettled());
        calls.min(window.uncommitted_max.saturating_sub(self.window.records()))
    }

    /// Whether there is room for a fetch that is worth its while.
    fn may_fetch(&self, now: Steady) -> bool {
        let window = &self.config.window;
        let worthwhile = self
            .config
            .fetch
            .records_max
            .min(window.calls_max.div_ceil(4));
        self.active(now)
            && self.window.bytes() < window.bytes_max
            && self.room() >= worthwhile.min(window.uncommitted_max)
    }

    fn commit_due(&self, now: Steady) -> Option<(FetchNumber, Cursor)> {
        if now < self.session.next_commit {
            return None;
        }
        let (number, cursor) = self.session.line.committable()?;
        Some((number, cursor.clone()))
    }

    fn heartbeat_due(&self) -> Steady {
        self.session
            .last_contact
            .plus(self.config.group.timeout / 3)
    }

    /// A request of the session has ended.
    pub(super) fn session_done(&mut self, operation: Operation, result: CalloutResult, now: Now) {
        self.session.busy = false;
        let done =
            expect_ok(result).and_then(|response| self.succeed(&operation, &response, now.steady));
        match done {
            Ok(()) => {
                self.session.failures = 0;
                self.session.last_contact = now.steady;
            }
            Err(error) => self.fail_session(&operation, &error, now.steady),
        }
    }

    fn succeed(
        &mut self,
        operation: &Operation,
        response: &IncomingResponse,
        now: Steady,
    ) -> Result<(), StreamError> {
        match operation {
            Operation::Join => {
                let cursor = parse_cursor(&response.body).map_err(StreamError::Refused)?;
                self.session.cursor = Some(cursor);
                self.session.woken = true;
                self.outputs.count(Metric::Sessions, 1);
                let name = &self.config.group.name;
                let line = format!("joined group {name} as {}", self.session.instance);
                self.outputs.log(Level::Info, line);
            }
            Operation::Fetch { .. } => {
                let (messages, next) = parse_messages(response).map_err(StreamError::Refused)?;
                if messages.is_empty() {
                    self.session.next_fetch = now.plus(self.config.fetch.idle_interval);
                } else {
                    self.session.next_fetch = now;
                    let number = self.session.line.fetched(next.clone());
                    self.take_in(messages, number);
                }
                self.session.cursor = Some(next);
                self.grow_fetch_limit();
            }
            Operation::Commit(number) => {
                let records = self.session.line.committed(*number);
                self.window.committed(&records);
                self.session.next_commit = now.plus(self.config.fetch.commit_interval);
                self.outputs.count(Metric::Committed, 1);
            }
            Operation::Heartbeat => {
                let cursor = parse_cursor(&response.body).map_err(StreamError::Refused)?;
                self.session.cursor = Some(cursor);
            }
        }
        Ok(())
    }

    fn fail_session(&mut self, operation: &Operation, error: &StreamError, now: Steady) {
        self.outputs.count(Metric::StreamFailures, 1);
        self.session.failures = self.session.failures.saturating_add(1);
        let doublings = self.session.failures.saturating_sub(1).min(10);
        let mut pause = FAILURE_PAUSE_MIN
            .saturating_mul(1 << doublings)
            .min(FAILURE_PAUSE_MAX);
        match error {
            StreamError::CursorLost(_) => {
                self.session.cursor = None;
                self.session.line.clear();
                self.window.detach();
            }
            StreamError::Throttled(asked, _) => pause = pause.max(asked.unwrap_or_default()),
            StreamError::Unanswered(_) => {
                if let Operation::Fetch { limit } = operation {
                    // Perhaps the answer was larger than Envoy takes: ask for less.
                    self.session.fetch_limit = (limit / 2).max(1);
                }
            }
            StreamError::Refused(_) => {}
        }
        self.session.woken = true;
        self.session.not_before = now.plus(pause);
        let name = match operation {
            Operation::Join => "CreateGroupCursor",
            Operation::Fetch { .. } => "GetMessages",
            Operation::Commit(_) => "ConsumerCommit",
            Operation::Heartbeat => "ConsumerHeartbeat",
        };
        // A lost cursor mends itself; a Stream that refuses needs somebody.
        let level = match error {
            StreamError::CursorLost(_) => Level::Info,
            StreamError::Throttled(..) | StreamError::Unanswered(_) => Level::Warn,
            StreamError::Refused(_) => Level::Error,
        };
        self.outputs
            .log(level, format!("{name} failed: {}", error.text()));
    }

    fn grow_fetch_limit(&mut self) {
        let doubled = self.session.fetch_limit.saturating_mul(2);
        self.session.fetch_limit = doubled.min(self.config.fetch.records_max);
    }
}
