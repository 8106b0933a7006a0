//! Which call is made next: there is one queue for each target. The queues take turns, and within a
//! queue the callers do.
//!
//! A target that is slow, or that may not be called faster, holds up its own queue only. Each
//! target has a limit of calls in flight, and of starts in a second. One caller has only a share of
//! these, and of all calls in flight, so that calls of others find room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::caller::CallerKey;
use crate::caller::share::{SHARE_OF_FREE, Shares};
use crate::drain::pace::Pace;
use crate::drain::queue::Queue;
pub use crate::drain::queue::Waiting;
use crate::id::RecordId;
use crate::time::Steady;

/// The limits of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLimit {
    /// Calls in flight, at least 1.
    pub in_flight_max: usize,
    /// Attempts started in a second; `None`: any number.
    pub per_second_max: Option<u32>,
}

/// The limits of all targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLimits {
    /// For every target without a limit of its own.
    pub default: TargetLimit,
    /// By target: an origin such as `https://api.example.com`, or the name of a cluster.
    pub own: BTreeMap<String, TargetLimit>,
}

impl TargetLimits {
    fn of(&self, target: &str) -> TargetLimit {
        self.own.get(target).copied().unwrap_or(self.default)
    }
}

/// One target's queue.
#[derive(Debug)]
struct TargetQueue {
    limit: TargetLimit,
    waiting: Queue,
    pace: Pace,
    /// Until when calls that were moved aside keep the target busy after they have come back.
    busy_until: Steady,
    in_flight: Shares,
    /// Thousandths of an attempt that may be started. They are added as time passes.
    tokens: u64,
    filled_at: Steady,
}

/// A whole attempt, in thousandths: at a rate of N in a second, N thousandths come with each
/// millisecond.
const TOKEN: u64 = 1_000;

impl TargetQueue {
    fn new(limit: TargetLimit, now: Steady) -> Self {
        Self {
            limit,
            waiting: Queue::default(),
            pace: Pace::new(now),
            busy_until: now,
            in_flight: Shares::default(),
            tokens: TOKEN,
            filled_at: now,
        }
    }

    /// Adds the tokens for the time that has passed. At most one may be saved up, so that calls are
    /// spread over a second instead of coming in bursts.
    fn fill(&mut self, now: Steady) {
        if let Some(rate) = self.limit.per_second_max {
            let passed = now.0.saturating_sub(self.filled_at.0);
            let tokens = passed.saturating_mul(u64::from(rate));
            // A fast target gets more than one token within the millisecond that a clock shows.
            let saved_max = TOKEN.max(u64::from(rate));
            self.tokens = self.tokens.saturating_add(tokens).min(saved_max);
            self.filled_at = now;
        }
    }

    /// Returns whether the target may get another call. Its calls in flight are limited to a
    /// multiple of the free slots.
    fn may_start(&self, free_slots: usize) -> bool {
        let share = free_slots.saturating_mul(SHARE_OF_FREE);
        let has_slot = self.in_flight.total() < self.limit.in_flight_max.min(share);
        has_slot && (self.limit.per_second_max.is_none() || self.tokens >= TOKEN)
    }

    /// Returns when the next token is there, if nothing else is missing.
    fn token_due(&self) -> Option<Steady> {
        let rate = u64::from(self.limit.per_second_max?);
        let is_the_cause = !self.waiting.is_empty()
            && self.in_flight.total() < self.limit.in_flight_max
            && self.tokens < TOKEN;
        let missing = TOKEN.saturating_sub(self.tokens).div_ceil(rate.max(1));
        is_the_cause.then(|| Steady(self.filled_at.0.saturating_add(missing)))
    }

    fn is_slow(&mut self, patience: Duration, now: Steady) -> bool {
        let waiting = self.waiting.len();
        waiting > 0 && self.pace.is_slow(waiting, patience, now)
    }

    /// Returns how long a call waits behind those that are in the queue and those that come back to
    /// it.
    fn wait_in_queue(&self, patience: Duration, now: Steady) -> Option<Duration> {
        let wait = self.pace.wait_behind(self.waiting.len(), patience)?;
        Some(wait.max(self.busy_until.since(now)))
    }

    fn is_idle(&self, now: Steady) -> bool {
        // A queue that is forgotten starts again with a full token, so its token has to be full
        // before.
        let is_full =
            self.limit.per_second_max.is_none() || self.filled_at.0.saturating_add(1_000) < now.0;
        self.waiting.is_empty() && self.in_flight.total() == 0 && is_full
    }
}

/// A call in flight.
#[derive(Debug)]
struct Started {
    target: Rc<str>,
    caller: CallerKey,
    bytes: usize,
}

/// The place of a call among its caller's calls in the queue of this target.
type Place<'a> = (usize, RecordId, &'a Rc<str>);

/// All queues.
#[derive(Debug)]
pub struct TargetQueues {
    limits: TargetLimits,
    /// How long a call may have to wait for its target before the target counts as slow.
    patience: Duration,
    /// Bytes of the records of calls in flight.
    bytes_max: usize,
    queues: BTreeMap<Rc<str>, TargetQueue>,
    /// Targets with waiting calls, in the order of their turns.
    turns: VecDeque<Rc<str>>,
    waiting: usize,
    started: BTreeMap<RecordId, Started>,
    /// Calls in flight to all targets, and the bytes of their records.
    in_flight: Shares,
    bytes: Shares,
}

impl TargetQueues {
    /// Returns queues without any call.
    #[must_use]
    pub fn new(limits: TargetLimits, patience: Duration, bytes_max: usize) -> Self {
        Self {
            limits,
            patience,
            bytes_max,
            queues: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            started: BTreeMap::new(),
            in_flight: Shares::default(),
            bytes: Shares::default(),
        }
    }

    /// Returns the number of calls that wait in all queues.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a call to the queue of its target.
    pub fn add(&mut self, target: &Rc<str>, call: Waiting, now: Steady) {
        let limits = &self.limits;
        let queue = self
            .queues
            .entry(target.clone())
            .or_insert_with(|| TargetQueue::new(limits.of(target), now));
        if queue.waiting.is_empty() {
            self.turns.push_back(target.clone());
            queue.pace = Pace::new(now);
        }
        queue.waiting.add(call);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// Takes out the next call that may be made and returns it, if `free_slots` for calls to any
    /// target allow one. It counts as in flight from then on.
    pub fn next(&mut self, free_slots: usize, now: Steady) -> Option<RecordId> {
        for _ in 0..self.turns.len() {
            let target = self.turns.pop_front()?;
            let next = self.next_of(&target, free_slots, now);
            let queue = self.queues.get(&target);
            if queue.is_some_and(|queue| !queue.waiting.is_empty()) {
                self.turns.push_back(target);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    fn next_of(&mut self, target: &Rc<str>, free_slots: usize, now: Steady) -> Option<RecordId> {
        let queue = self.queues.get_mut(target)?;
        queue.fill(now);
        if !queue.may_start(free_slots) {
            return None;
        }
        let slots = self.in_flight.total().saturating_add(free_slots);
        let limit = queue.limit.in_flight_max.min(slots);
        let (all, bytes, bytes_max) = (&self.in_flight, &self.bytes, self.bytes_max);
        let taken = &queue.in_flight;
        let may_start = |call: &Waiting| {
            let caller = call.caller;
            // One target gets only a share of what a caller may have in flight, so that the
            // caller's calls to other targets go on.
            let share = all.room(caller, slots).saturating_mul(SHARE_OF_FREE);
            // A single call may always go, however large it is.
            let has_bytes = bytes.total() == 0 || bytes.may_take(caller, call.bytes, bytes_max);
            has_bytes && taken.of(caller) < share && taken.may_take(caller, 1, limit)
        };
        let call = queue.waiting.next(may_start)?;
        queue.pace.start(self.patience, now);
        queue.in_flight.add(call.caller, 1);
        queue.tokens = queue.tokens.saturating_sub(TOKEN);
        self.waiting = self.waiting.saturating_sub(1);
        self.in_flight.add(call.caller, 1);
        self.bytes.add(call.caller, call.bytes);
        let started = Started {
            target: target.clone(),
            caller: call.caller,
            bytes: call.bytes,
        };
        self.started.insert(call.record, started);
        Some(call.record)
    }

    /// Notes that a call isn't in flight any more.
    pub fn ended(&mut self, record: RecordId, now: Steady) {
        let Some(started) = self.started.remove(&record) else {
            return;
        };
        self.in_flight.remove(started.caller, 1);
        self.bytes.remove(started.caller, started.bytes);
        if let Some(queue) = self.queues.get_mut(&started.target) {
            queue.in_flight.remove(started.caller, 1);
            if queue.is_idle(now) {
                self.queues.remove(&started.target);
            }
        }
    }

    /// Forgets queues without calls, so that their number stays bounded by what is held.
    pub fn forget_idle(&mut self, now: Steady) {
        self.queues.retain(|_, queue| !queue.is_idle(now));
    }

    /// Returns when a call may be made that only the rate holds up.
    #[must_use]
    pub fn wakeup(&self) -> Option<Steady> {
        self.turns
            .iter()
            .filter_map(|target| self.queues.get(target)?.token_due())
            .min()
    }

    /// Returns when more will be known of how fast a queue with waiting calls moves.
    #[must_use]
    pub fn judged_at(&self, now: Steady) -> Option<Steady> {
        let queues = self
            .turns
            .iter()
            .filter_map(|target| self.queues.get(target));
        let ends = queues.map(|queue| queue.pace.period_ends(self.patience));
        // The result of a period that is over is already known.
        ends.filter(|end| *end > now).min()
    }

    /// Takes out up to `count` calls that may leave from queues whose targets are too slow for what
    /// comes in. The caller with most calls there loses most, and of its calls those that came
    /// last. The first call of each caller stays in the queue, so that the drain notices when a
    /// target recovers. With `and_firsts`, these may be taken too.
    ///
    /// Returns with each call how long it would have waited, so that calls come back as fast as
    /// their target takes them; `None` if it takes none. No call is away for longer than
    /// `away_max`.
    pub fn take_slow(
        &mut self,
        count: usize,
        and_firsts: bool,
        away_max: Duration,
        now: Steady,
        may_leave: impl Fn(RecordId) -> bool,
    ) -> Vec<(RecordId, Option<Duration>)> {
        let patience = self.patience;
        let mut last: BTreeMap<CallerKey, Vec<Place<'_>>> = BTreeMap::new();
        for (target, queue) in &mut self.queues {
            if !queue.is_slow(patience, now) {
                queue.busy_until = now;
                continue;
            }
            for (place, call) in queue.waiting.iter() {
                if (place > 0 || and_firsts) && may_leave(call.record) {
                    let own = last.entry(call.caller).or_default();
                    own.push((place, call.record, target));
                }
            }
        }
        last.values_mut().for_each(|own| own.sort_unstable());
        let mut taken: BTreeMap<Rc<str>, Vec<RecordId>> = BTreeMap::new();
        for _ in 0..count {
            let most = last.values_mut().max_by_key(|own| own.len());
            let Some((_, record, target)) = most.and_then(Vec::pop) else {
                break;
            };
            taken.entry(target.clone()).or_default().push(record);
        }
        self.remove(&taken.values().flatten().copied().collect());
        let mut away = Vec::new();
        for (target, records) in taken {
            // The calls that came last were taken first.
            let records = records.into_iter().rev().zip(1..);
            if let Some(queue) = self.queues.get_mut(&target) {
                let before = queue.wait_in_queue(patience, now);
                away.extend(records.map(|(record, place)| {
                    let own = queue.pace.wait_behind(place, patience);
                    let wait = before
                        .zip(own)
                        .map(|(before, own)| before.saturating_add(own));
                    let wait = wait.map(|wait| wait.min(away_max));
                    queue.busy_until = queue.busy_until.max(now.plus(wait.unwrap_or_default()));
                    (record, wait)
                }));
            }
        }
        away
    }

    /// Returns all calls that wait in a queue.
    pub(crate) fn standing(&self) -> BTreeSet<RecordId> {
        let calls = self.queues.values().flat_map(|queue| queue.waiting.iter());
        calls.map(|(_, call)| call.record).collect()
    }

    /// Returns all calls in flight.
    pub(crate) fn started(&self) -> BTreeSet<RecordId> {
        self.started.keys().copied().collect()
    }

    /// Compares the sums with the queues.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check(&self) -> Result<(), String> {
        let waiting: usize = self
            .queues
            .values()
            .map(|queue| queue.waiting.iter().count())
            .sum();
        let queues = self.queues.values();
        let in_flight: usize = queues.map(|queue| queue.in_flight.total()).sum();
        let started = self.started.len();
        let bytes: usize = self.started.values().map(|started| started.bytes).sum();
        let agrees = waiting == self.waiting
            && in_flight == started
            && self.in_flight.total() == started
            && self.bytes.total() == bytes;
        if agrees {
            Ok(())
        } else {
            Err(format!("the sums of the target queues: {self:?}"))
        }
    }

    /// Takes these calls out of their queues.
    pub fn remove(&mut self, records: &BTreeSet<RecordId>) {
        if records.is_empty() {
            return;
        }
        for queue in self.queues.values_mut() {
            queue.waiting.remove(records);
        }
        let queues = &self.queues;
        let stands = |target: &Rc<str>| queues.get(target).is_some_and(|l| !l.waiting.is_empty());
        self.turns.retain(stands);
        self.waiting = self.queues.values().map(|queue| queue.waiting.len()).sum();
    }
}

#[cfg(test)]
#[path = "target_queue_tests.rs"]
mod tests;
