//! Who is called next: calls stand in one line per target, and the lines take turns.
//!
//! A target that is slow, or that may not be called faster, holds up its own line only. How many of
//! its calls are in flight, and how many start in a second, is limited per target.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::id::RecordId;
use crate::time::Steady;

/// What one target may be burdened with.
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
    /// Of every target that has none of its own.
    pub default: TargetLimit,
    /// By target: an origin such as `https://api.example.com`, or the name of a cluster.
    pub own: BTreeMap<String, TargetLimit>,
}

impl TargetLimits {
    fn of(&self, target: &str) -> TargetLimit {
        self.own.get(target).copied().unwrap_or(self.default)
    }
}

/// One target's line.
#[derive(Debug)]
struct Line {
    limit: TargetLimit,
    /// Calls that wait for their turn, with the moment since when.
    waiting: VecDeque<(RecordId, Steady)>,
    in_flight: usize,
    /// Thousandths of an attempt that may be started; filled as time passes.
    tokens: u64,
    filled_at: Steady,
}

/// A target may have in flight so many times as many calls as there are free slots. The more slots
/// are taken, the less a target gets that holds many already, so that some that hang leave room for
/// others whatever the number of slots (as in the sharing of a switch's buffer by a dynamic
/// threshold).
const SHARE_OF_FREE: usize = 2;

/// A whole attempt, in thousandths: at N a second, N thousandths come with each millisecond.
const TOKEN: u64 = 1_000;

impl Line {
    fn new(limit: TargetLimit, now: Steady) -> Self {
        Self {
            limit,
            waiting: VecDeque::new(),
            in_flight: 0,
            tokens: TOKEN,
            filled_at: now,
        }
    }

    /// Adds the tokens of the time that has passed; at most one may be saved up, so that calls are
    /// spread over a second and come in no bursts.
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

    fn may_start(&self, free_slots: usize) -> bool {
        let share = free_slots.saturating_mul(SHARE_OF_FREE);
        let has_slot = self.in_flight < self.limit.in_flight_max.min(share);
        has_slot && (self.limit.per_second_max.is_none() || self.tokens >= TOKEN)
    }

    /// When the next token is there, if only that is missing.
    fn token_due(&self) -> Option<Steady> {
        let rate = u64::from(self.limit.per_second_max?);
        let is_the_cause = !self.waiting.is_empty()
            && self.in_flight < self.limit.in_flight_max
            && self.tokens < TOKEN;
        let missing = TOKEN.saturating_sub(self.tokens).div_ceil(rate.max(1));
        is_the_cause.then(|| Steady(self.filled_at.0.saturating_add(missing)))
    }

    fn is_idle(&self, now: Steady) -> bool {
        // A line that is forgotten starts with a full token; it must have earned it.
        let is_full =
            self.limit.per_second_max.is_none() || self.filled_at.0.saturating_add(1_000) < now.0;
        self.waiting.is_empty() && self.in_flight == 0 && is_full
    }
}

/// All lines.
#[derive(Debug)]
pub struct Lines {
    limits: TargetLimits,
    lines: BTreeMap<Rc<str>, Line>,
    /// Targets with waiting calls, in the order of their turns.
    turns: VecDeque<Rc<str>>,
    waiting: usize,
}

impl Lines {
    /// No line yet.
    #[must_use]
    pub fn new(limits: TargetLimits) -> Self {
        Self {
            limits,
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Calls that wait in all lines.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A call gets in line.
    pub fn add(&mut self, target: &Rc<str>, record: RecordId, now: Steady) {
        let limits = &self.limits;
        let line = self
            .lines
            .entry(target.clone())
            .or_insert_with(|| Line::new(limits.of(target), now));
        if line.waiting.is_empty() {
            self.turns.push_back(target.clone());
        }
        line.waiting.push_back((record, now));
        self.waiting = self.waiting.saturating_add(1);
    }

    /// The next call that may be made, where so many slots are free for calls to any target; it
    /// counts as in flight from here on.
    pub fn next(&mut self, free_slots: usize, now: Steady) -> Option<RecordId> {
        for _ in 0..self.turns.len() {
            let target = self.turns.pop_front()?;
            let Some(line) = self.lines.get_mut(&target) else {
                continue;
            };
            line.fill(now);
            if !line.may_start(free_slots) {
                self.turns.push_back(target);
                continue;
            }
            let Some((record, _)) = line.waiting.pop_front() else {
                continue;
            };
            line.in_flight = line.in_flight.saturating_add(1);
            line.tokens = line.tokens.saturating_sub(TOKEN);
            self.waiting = self.waiting.saturating_sub(1);
            if !line.waiting.is_empty() {
                self.turns.push_back(target);
            }
            return Some(record);
        }
        None
    }

    /// A call to this target isn't in flight any more.
    pub fn ended(&mut self, target: &Rc<str>, now: Steady) {
        if let Some(line) = self.lines.get_mut(target) {
            line.in_flight = line.in_flight.saturating_sub(1);
            if line.is_idle(now) {
                self.lines.remove(target);
            }
        }
    }

    /// Forgets lines that nobody stands in any more, so that their number stays bounded by what is
    /// held.
    pub fn forget_idle(&mut self, now: Steady) {
        self.lines.retain(|_, line| !line.is_idle(now));
    }

    /// When a call may be made that only the rate holds up.
    #[must_use]
    pub fn wakeup(&self) -> Option<Steady> {
        self.turns
            .iter()
            .filter_map(|target| self.lines.get(target)?.token_due())
            .min()
    }

    /// Since when the first call waits of the line that has stood for longest, with others behind.
    #[must_use]
    pub fn stands_since(&self) -> Option<Steady> {
        let lines = self.lines.values().filter(|line| line.waiting.len() > 1);
        lines.filter_map(|line| Some(line.waiting.front()?.1)).min()
    }

    /// Takes out up to `count` calls that may leave from the ends of lines whose first call has
    /// waited since before `patience_ends`: their targets are too slow for what comes in. The
    /// longest lines lose most.
    pub fn take_stuck(
        &mut self,
        count: usize,
        patience_ends: Steady,
        may_leave: impl Fn(RecordId) -> bool,
    ) -> Vec<RecordId> {
        let is_stuck = |line: &Line| {
            let first = line.waiting.front();
            first.is_some_and(|(_, since)| *since < patience_ends)
        };
        let stuck = self.lines.values_mut().filter(|line| is_stuck(line));
        let mut stuck: Vec<_> = stuck.map(|line| (line.waiting.len(), line)).collect();
        let mut taken = Vec::new();
        while taken.len() < count {
            let longest = stuck.iter_mut().max_by_key(|(_, line)| line.waiting.len());
            let Some((unseen, line)) = longest else {
                break;
            };
            *unseen = unseen.saturating_sub(1);
            // The first one stays: a target that recovers is noticed.
            if *unseen == 0 {
                stuck.retain(|(unseen, _)| *unseen > 0);
            } else if let Some((record, _)) = line.waiting.get(*unseen)
                && may_leave(*record)
            {
                taken.push(*record);
                line.waiting.remove(*unseen);
            }
        }
        self.waiting = self.waiting.saturating_sub(taken.len());
        taken
    }

    /// Takes a call out of its line, wherever it stands.
    pub fn remove(&mut self, target: &Rc<str>, record: RecordId) {
        if let Some(line) = self.lines.get_mut(target) {
            let before = line.waiting.len();
            line.waiting.retain(|(waiting, _)| *waiting != record);
            let removed = before.saturating_sub(line.waiting.len());
            self.waiting = self.waiting.saturating_sub(removed);
            if line.waiting.is_empty() {
                self.turns.retain(|turn| turn != target);
            }
        }
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
