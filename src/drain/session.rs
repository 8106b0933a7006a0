//! The session with a stream's consumer group: join, fetch, commit, heartbeat; one request at a
//! time. What is to be done next is decided here; [`crate::drain::consume`] does it.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::drain::commit::{CommitTracker, FetchNumber};
use crate::drain::config::DrainConfig;
use crate::http::OutgoingRequest;
use crate::id::StreamName;
use crate::stream::StreamClient;
use crate::stream::consume::Cursor;
use crate::stream::error::StreamError;
use crate::time::Steady;

/// Pauses after failures of the Stream.
const FAILURE_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    last: Duration::from_secs(5),
};

/// The pause before a group is moved on.
const OUTSIDE_PAUSE: Duration = Duration::from_secs(1);

/// An empty lane is looked at at least this often.
const LANE_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// What a request of the session does.
#[derive(Debug)]
pub(super) enum Operation {
    Join,
    /// The whole group goes to the oldest record that the Stream keeps.
    MoveOn,
    Fetch {
        limit: usize,
    },
    Commit(FetchNumber),
    Heartbeat,
}

impl Operation {
    /// Oracle's name of it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Join => "CreateGroupCursor",
            Self::MoveOn => "UpdateGroup",
            Self::Fetch { .. } => "GetMessages",
            Self::Commit(_) => "ConsumerCommit",
            Self::Heartbeat => "ConsumerHeartbeat",
        }
    }
}

/// What the rest of the drain has to say about one of its streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// This worker drains.
    pub(super) is_active: bool,
    /// Records that may be taken in; 0: none.
    pub(super) room: usize,
    /// There is room for a fetch that is worth its while.
    pub(super) may_fetch: bool,
    /// Nothing of the stream is held that isn't settled.
    pub(super) is_idle: bool,
}

/// What is known of our membership in one group.
#[derive(Debug)]
pub(super) struct Session {
    client: StreamClient,
    group: String,
    instance: String,
    timing: Timing,
    records_max: usize,
    /// Where reading goes on; `None`: not a member.
    cursor: Option<Cursor>,
    /// The Stream no longer keeps what the group has to read next.
    is_outside: bool,
    pub(super) commits: CommitTracker,
    busy: bool,
    /// The Stream has news, or may have: do not wait for the next regular fetch.
    woken: bool,
    /// Whether the session's latest fetch or commit was a fetch.
    fetched_last: bool,
    last_fetch: Steady,
    next_fetch: Steady,
    next_commit: Steady,
    /// When the latest request was sent.
    sent_at: Steady,
    /// When the latest request was sent that was answered as it should be: the Stream has heard
    /// of us then or later, however late we learn of it.
    last_contact: Steady,
    /// Nothing is sent before this.
    not_before: Steady,
    failures: u32,
    /// Records asked for; smaller after answers that were too large to arrive.
    fetch_limit: usize,
}

#[derive(Debug)]
struct Timing {
    idle_interval: Duration,
    min_interval: Duration,
    commit_interval: Duration,
    group_timeout: Duration,
}

impl Session {
    pub(super) fn new(config: &DrainConfig, source: StreamName, instance: String) -> Self {
        let lane = match source {
            StreamName::Calls | StreamName::Dead => None,
            StreamName::Lane(number) => config.lanes.get(number),
        };
        let stream_id = lane.map_or(&config.stream.stream_id, |lane| &lane.stream_id);
        let idle_interval = match lane {
            None => config.fetch.idle_interval,
            // Looked at more often than its records wait, a lane adds nothing to their wait.
            Some(lane) => (lane.delay / 4).min(LANE_INTERVAL_MAX),
        };
        Self {
            client: StreamClient::new(&config.stream.authority, stream_id),
            group: config.group.name.clone(),
            instance,
            timing: Timing {
                idle_interval,
                min_interval: config.fetch.min_interval,
                commit_interval: config.fetch.commit_interval,
                group_timeout: config.group.timeout,
            },
            records_max: config.fetch.records_max,
            cursor: None,
            is_outside: false,
            commits: CommitTracker::default(),
            busy: false,
            woken: false,
            fetched_last: false,
            last_fetch: Steady(0),
            next_fetch: Steady(0),
            next_commit: Steady(0),
            sent_at: Steady(0),
            last_contact: Steady(0),
            not_before: Steady(0),
            failures: 0,
            fetch_limit: config.fetch.records_max,
        }
    }

    /// Returns when the last fetch was sent.
    pub(super) fn last_fetch(&self) -> Steady {
        self.last_fetch
    }

    /// The Stream has new records.
    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    /// The session's next request, if one is due and none is open.
    pub(super) fn next(
        &mut self,
        demand: Demand,
        now: Steady,
    ) -> Option<(Operation, OutgoingRequest)> {
        let next = self.choose(demand, now);
        if next.is_some() {
            self.sent_at = now;
        }
        next
    }

    fn choose(&mut self, demand: Demand, now: Steady) -> Option<(Operation, OutgoingRequest)> {
        if self.busy || now < self.not_before {
            return None;
        }
        if self.cursor.is_none() {
            // Without a session what is held goes on, and is committed by whoever reads it again.
            return demand.is_active.then(|| self.join_or_move_on());
        }
        if !demand.is_active && demand.is_idle && self.commits.is_empty() {
            // Another worker has the health check now: leave the group by falling silent.
            self.cursor = None;
            return None;
        }
        let fetch_due = demand.may_fetch && self.fetch_due() <= now;
        let commit_due = self.next_commit <= now && self.commits.committable().is_some();
        // News are fetched before a commit is made, but in a flood of news the two take turns:
        // what is settled and not committed is made again after a crash.
        let fetch_first = self.woken && !(commit_due && self.fetched_last);
        if fetch_due && (fetch_first || !commit_due) {
            self.fetch(demand.room, now)
        } else if commit_due {
            self.commit()
        } else if self.heartbeat_due() <= now {
            self.heartbeat()
        } else {
            None
        }
    }

    /// Leaves the group by falling silent, unless something is to be committed first. Gives
    /// whether it was a member, and is none any more.
    pub(super) fn leave(&mut self) -> bool {
        if self.busy || self.cursor.is_none() || self.commits.committable().is_some() {
            return false;
        }
        self.cursor = None;
        self.commits.clear();
        true
    }

    /// Returns whether it is a member of its group, as far as it knows.
    pub(super) fn is_member(&self) -> bool {
        self.cursor.is_some()
    }

    /// Returns whether the group may consider this member dead.
    pub(super) fn is_unheard(&self, now: Steady) -> bool {
        now >= self.last_contact.plus(self.timing.group_timeout)
    }

    /// Returns whether the group may have considered us dead before it answered, given our
    /// partitions to others, and let us in again without a word. What others have settled and
    /// committed meanwhile is nothing that we may go on with.
    pub(super) fn may_have_been_replaced(&self, operation: &Operation, now: Steady) -> bool {
        let is_silent = match operation {
            Operation::Fetch { .. } | Operation::Heartbeat => true,
            // Joins are explicit; commits for lost partitions are rejected.
            Operation::Join | Operation::MoveOn | Operation::Commit(_) => false,
        };
        is_silent && self.is_unheard(now) && !self.commits.is_empty()
    }

    /// Returns when [`Self::next`] has something to do next.
    pub(super) fn wakeup(&self, demand: Demand) -> Option<Steady> {
        if self.busy {
            return None;
        }
        if self.cursor.is_none() {
            return demand.is_active.then_some(self.not_before);
        }
        let fetch = demand.may_fetch.then(|| self.fetch_due());
        let commit = self.commits.committable().map(|_| self.next_commit);
        let next = [fetch, commit]
            .into_iter()
            .flatten()
            .fold(self.heartbeat_due(), Ord::min);
        Some(next.max(self.not_before))
    }

    fn fetch_due(&self) -> Steady {
        let earliest = self.last_fetch.plus(self.timing.min_interval);
        if self.woken {
            earliest
        } else {
            self.next_fetch.max(earliest)
        }
    }

    fn heartbeat_due(&self) -> Steady {
        self.last_contact.plus(self.timing.group_timeout / 3)
    }

    fn join_or_move_on(&mut self) -> (Operation, OutgoingRequest) {
        self.busy = true;
        if self.is_outside {
            let request = self.client.move_group_to_oldest(&self.group);
            return (Operation::MoveOn, request);
        }
        let timeout = self.timing.group_timeout;
        let request = self
            .client
            .create_group_cursor(&self.group, &self.instance, timeout);
        (Operation::Join, request)
    }

    fn fetch(&mut self, room: usize, now: Steady) -> Option<(Operation, OutgoingRequest)> {
        let limit = self.fetch_limit.min(self.records_max).min(room).max(1);
        let request = self.client.get_messages(self.cursor.as_ref()?, limit);
        self.busy = true;
        self.woken = false;
        self.fetched_last = true;
        self.last_fetch = now;
        Some((Operation::Fetch { limit }, request))
    }

    fn commit(&mut self) -> Option<(Operation, OutgoingRequest)> {
        let (number, cursor) = self.commits.committable()?;
        let request = self.client.consumer_commit(cursor);
        self.busy = true;
        self.fetched_last = false;
        Some((Operation::Commit(number), request))
    }

    fn heartbeat(&mut self) -> Option<(Operation, OutgoingRequest)> {
        let request = self.client.consumer_heartbeat(self.cursor.as_ref()?);
        self.busy = true;
        Some((Operation::Heartbeat, request))
    }

    /// A request was answered as it should be.
    pub(super) fn succeeded(&mut self) {
        self.busy = false;
        self.failures = 0;
        self.last_contact = self.sent_at;
    }

    /// We are a member, and read from here on. Returns group and instance, for the log.
    pub(super) fn joined(&mut self, cursor: Cursor) -> (&str, &str) {
        self.cursor = Some(cursor);
        self.woken = true;
        (&self.group, &self.instance)
    }

    /// The group was moved to the oldest record that the Stream keeps. Returns it, for the log.
    pub(super) fn moved_on(&mut self) -> &str {
        self.is_outside = false;
        &self.group
    }

    /// A heartbeat has brought a fresh cursor.
    pub(super) fn refreshed(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    /// A fetch has brought records; returns the number of the fetch, or `None` if it was empty.
    pub(super) fn fetched(
        &mut self,
        is_empty: bool,
        next: Cursor,
        now: Steady,
    ) -> Option<FetchNumber> {
        self.fetch_limit = self.fetch_limit.saturating_mul(2).min(self.records_max);
        if is_empty {
            self.next_fetch = now.plus(self.timing.idle_interval);
            self.cursor = Some(next);
            return None;
        }
        self.next_fetch = now;
        self.cursor = Some(next.clone());
        Some(self.commits.fetched(next))
    }

    /// A commit is done.
    pub(super) fn committed(&mut self, now: Steady) {
        self.next_commit = now.plus(self.timing.commit_interval);
    }

    /// A request has failed. Returns whether the session is lost with it.
    pub(super) fn failed(
        &mut self,
        operation: &Operation,
        error: &StreamError,
        now: Steady,
    ) -> bool {
        self.busy = false;
        // Whoever takes our cursor back is there again, however long it was away: a new one can be
        // asked for now. Joins that are refused have no cursor, and wait longer each time.
        let is_back = matches!(error, StreamError::CursorLost(_)) && self.cursor.is_some();
        let before = if is_back { 0 } else { self.failures };
        self.failures = before.saturating_add(1);
        let pause = FAILURE_BACKOFF.pause(self.failures);
        let mut asked = Duration::ZERO;
        let mut is_lost = false;
        match error {
            StreamError::CursorLost(_) | StreamError::OutsideRetention(_) => {
                if matches!(error, StreamError::OutsideRetention(_)) {
                    self.is_outside = true;
                    // Should moving on not help, it goes round and round: slowly.
                    asked = OUTSIDE_PAUSE;
                }
                self.cursor = None;
                self.commits.clear();
                is_lost = true;
            }
            StreamError::Throttled(wait, _) => asked = wait.unwrap_or_default(),
            StreamError::Unanswered(_) => {
                if let Operation::Fetch { limit } = operation {
                    // Perhaps the answer was larger than Envoy takes: ask for less.
                    self.fetch_limit = (limit / 2).max(1);
                }
            }
            StreamError::Unauthenticated { .. }
            | StreamError::TooLarge(_)
            | StreamError::Refused(_) => {}
        }
        self.woken = true;
        self.not_before = now.plus(pause.max(asked));
        is_lost
    }
}
