//! The records held in memory, from their fetch to their commit. This module holds containers and
//! their indexes; [`crate::drain::disposition`] decides what happens to a record.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::drain::commit::FetchNumber;
use crate::drain::config::DrainConfig;
use crate::drain::hop_dedup::{CallIdentity, HopDedup};
use crate::drain::lifecycle::count::HeldCount;
use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::lifecycle::tracked::{LastAttempt, TrackedRecord};
use crate::drain::target_queue::TargetQueues;
use crate::http::list_bytes;
use crate::id::{RecordId, StreamName};
use crate::limits::UNDERSTOOD_BYTES_MAX;
use crate::record::{self, Call, RecordError};
use crate::stream::consume::Message;
use crate::time::Steady;

/// All records held.
#[derive(Debug)]
pub(in crate::drain) struct Window {
    pub(super) tracked: BTreeMap<RecordId, TrackedRecord>,
    pub(super) counts: BTreeMap<StreamName, HeldCount>,
    pub(super) target_queues: TargetQueues,
    /// The calls of each order key, in their order. The first one may be made.
    pub(super) order: BTreeMap<Rc<str>, VecDeque<RecordId>>,
    /// Whether some calls may be waiting for others of their key.
    pub(super) is_any_behind: bool,
    /// When waits end: exactly those of the records that wait.
    pub(super) waits: BTreeSet<(Steady, RecordId)>,
    /// When calls that are behind others are looked at again. Some entries belong to records that
    /// have moved on since.
    pub(super) looks: BTreeSet<(Steady, RecordId)>,
    pub(super) in_flight: usize,
    /// Bytes of the records whose decoded call is kept too.
    pub(super) understood_bytes: usize,
    hop_dedup: HopDedup,
    /// When records of lost sessions are searched next.
    pub(super) next_forgetting: Option<Steady>,
    /// The first transition that happened although the table doesn't have it.
    pub(super) violation: Option<String>,
}

/// Returns the queues of targets. Their calls in flight leave half of the window's bytes to what
/// waits.
fn target_queues(config: &DrainConfig) -> TargetQueues {
    let window = &config.window;
    TargetQueues::new(config.limits.clone(), window.patience, window.bytes_max / 2)
}

/// What a fetched record is for the window.
pub(in crate::drain) enum Taken {
    New,
    /// A record of a lost session has come again.
    Again,
    /// This session has already brought the record.
    Twice,
}

impl Window {
    /// Returns an empty window.
    pub(in crate::drain) fn new(config: &DrainConfig) -> Self {
        Self {
            tracked: BTreeMap::new(),
            counts: BTreeMap::new(),
            target_queues: target_queues(config),
            order: BTreeMap::new(),
            is_any_behind: false,
            waits: BTreeSet::new(),
            looks: BTreeSet::new(),
            in_flight: 0,
            understood_bytes: 0,
            hop_dedup: HopDedup::default(),
            next_forgetting: None,
            violation: None,
        }
    }

    pub(in crate::drain) fn count(&self, source: StreamName) -> HeldCount {
        self.counts.get(&source).copied().unwrap_or_default()
    }

    pub(in crate::drain) fn get(&self, id: RecordId) -> Option<&TrackedRecord> {
        self.tracked.get(&id)
    }

    pub(in crate::drain) fn get_mut(&mut self, id: RecordId) -> Option<&mut TrackedRecord> {
        self.tracked.get_mut(&id)
    }

    /// Returns where a record stands, if it is held.
    pub(in crate::drain) fn state(&self, id: RecordId) -> Option<State> {
        self.tracked.get(&id).map(TrackedRecord::state)
    }

    /// Takes in a fetched record.
    pub(in crate::drain) fn take_in(
        &mut self,
        id: RecordId,
        message: Message,
        fetch: FetchNumber,
    ) -> Taken {
        match self.tracked.get_mut(&id) {
            Some(tracked) if tracked.fetch.is_some() => Taken::Twice,
            Some(tracked) => {
                tracked.fetch = Some(fetch);
                self.counts.entry(id.source).or_default().add(tracked);
                Taken::Again
            }
            None => {
                let tracked = TrackedRecord::new(message, fetch);
                self.counts.entry(id.source).or_default().add(&tracked);
                self.tracked.insert(id, tracked);
                Taken::New
            }
        }
    }

    /// Keeps a decoded record until its first attempt. If that would be too much, the record is
    /// decoded once more later.
    pub(in crate::drain) fn keep(&mut self, id: RecordId, call: Call) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            let bytes = self.understood_bytes.saturating_add(tracked.record.len());
            if bytes <= UNDERSTOOD_BYTES_MAX {
                self.understood_bytes = bytes;
                tracked.call = Some(Box::new(call));
            }
        }
    }

    /// Returns the decoded record, for an attempt.
    ///
    /// # Errors
    /// Why the record can't be read.
    pub(in crate::drain) fn understand(&mut self, id: RecordId) -> Result<Call, RecordError> {
        let Some(tracked) = self.tracked.get_mut(&id) else {
            return Err(RecordError("the record is gone".to_owned()));
        };
        match tracked.let_go() {
            Some((bytes, call)) => {
                self.understood_bytes = self.understood_bytes.saturating_sub(bytes);
                Ok(*call)
            }
            None => record::decode(&tracked.record),
        }
    }

    /// Drops the bytes of the record, which are not needed any more.
    pub(in crate::drain) fn drop_record(&mut self, id: RecordId) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            if let Some((bytes, _)) = tracked.let_go() {
                self.understood_bytes = self.understood_bytes.saturating_sub(bytes);
            }
            tracked.record = Rc::default();
        }
    }

    /// Keeps the result of a call's last attempt. Its bytes count like those of a record.
    pub(in crate::drain) fn keep_last(&mut self, id: RecordId, last: LastAttempt) {
        let Some(tracked) = self.tracked.get_mut(&id) else {
            return;
        };
        let answer = last.answer.as_ref();
        let bytes = answer.map_or(0, |answer| {
            list_bytes(&answer.headers).saturating_add(answer.body.len())
        });
        let mut count = self.counts.get_mut(&id.source);
        let mut count = count.as_mut().filter(|_| tracked.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(tracked);
        }
        tracked.bytes = tracked.record.len().saturating_add(bytes);
        tracked.last = Some(Box::new(last));
        if let Some(count) = count {
            count.add(tracked);
        }
    }

    /// Returns whether another record has already brought this call at this point of its way.
    pub(in crate::drain) fn is_repeated_hop(&mut self, id: RecordId) -> bool {
        match self.identity(id) {
            Some((call, hops)) if hops > 0 => self.hop_dedup.is_repeated(call, hops, id),
            Some(_) | None => false,
        }
    }

    /// Remembers that the call of this record has ended: its target has taken it, or its dead
    /// letter is stored. The record itself is settled when its reply is stored too.
    pub(in crate::drain) fn ends(&mut self, id: RecordId) {
        if let Some((call, hops)) = self.identity(id) {
            self.hop_dedup.ends(call, hops, id);
        }
    }

    /// Returns whether the call of this record has ended in another record, an earlier or a later
    /// hop of this one.
    pub(in crate::drain) fn has_ended_elsewhere(&self, id: RecordId) -> bool {
        self.identity(id)
            .is_some_and(|(call, hops)| self.hop_dedup.has_ended(&call, hops, id))
    }

    /// Returns the call that a record belongs to, and its number of hops.
    fn identity(&self, id: RecordId) -> Option<(CallIdentity, u32)> {
        let tracked = self.tracked.get(&id)?;
        let plan = tracked.plan.as_ref()?;
        let (call_id, accepted_at) = (plan.id.clone(), plan.accepted_at.clone());
        let progress = &tracked.progress;
        Some(((call_id, accepted_at, progress.redrives), progress.hops))
    }

    /// Takes up to `count` calls out of queues whose targets are too slow for what comes in.
    /// `firsts` says whether the first call of each caller may be taken too.
    pub(in crate::drain) fn take_slow(
        &mut self,
        count: usize,
        firsts: bool,
        away_max: Duration,
        now: Steady,
    ) -> Vec<(RecordId, Option<Duration>)> {
        let tracked = &self.tracked;
        let may_leave = |id| tracked.get(&id).is_some_and(TrackedRecord::may_leave);
        let target_queues = &mut self.target_queues;
        let slow = target_queues.take_slow(count, firsts, away_max, now, may_leave);
        for (id, _) in &slow {
            self.apply(*id, Transition::Pick, now);
        }
        slow
    }

    /// Takes at least `least` and at most `count` calls that wait in memory for their next attempt,
    /// or none. Those with the longest waits come first. Returns with each when its wait would have
    /// ended.
    pub(in crate::drain) fn take_resting(
        &mut self,
        least: usize,
        count: usize,
        now: Steady,
    ) -> Vec<(Steady, RecordId)> {
        let rests = |id: &RecordId| {
            let tracked = self.tracked.get(id);
            tracked.is_some_and(|tracked| tracked.progress.attempts > 0 && tracked.may_leave())
        };
        let resting = self.waits.iter().rev();
        let resting = resting.filter(|(_, id)| id.source == StreamName::Calls && rests(id));
        let resting: Vec<_> = resting.take(count).copied().collect();
        if resting.len() < least {
            return Vec::new();
        }
        for (_, id) in &resting {
            self.apply(*id, Transition::Pick, now);
        }
        resting
    }

    /// Returns the fetch of the present session that has brought a record.
    pub(in crate::drain) fn fetch(&self, id: RecordId) -> Option<FetchNumber> {
        self.tracked.get(&id)?.fetch
    }

    /// Forgets records that are committed.
    pub(in crate::drain) fn committed(&mut self, records: &[RecordId]) {
        for id in records {
            self.forget(*id);
        }
    }
    /// Returns the number of attempts under way.
    pub(in crate::drain) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the queues of all targets, read-only.
    pub(in crate::drain) fn target_queues(&self) -> &TargetQueues {
        &self.target_queues
    }

    /// Returns the calls of each order key, in their order.
    pub(in crate::drain) fn order(&self) -> impl Iterator<Item = &VecDeque<RecordId>> {
        self.order.values()
    }

    /// Returns whether some calls may be waiting for others of their key.
    pub(in crate::drain) fn is_any_behind(&self) -> bool {
        self.is_any_behind
    }
}
