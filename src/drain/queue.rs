//! The calls that wait for one target, by their callers, who take turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::caller::CallerKey;
use crate::id::RecordId;

/// A call that waits in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its record.
    pub record: RecordId,
    /// Its caller.
    pub caller: CallerKey,
    /// Bytes of its record.
    pub bytes: usize,
    /// How often it was moved aside. Of one caller's calls, those that were moved aside most often
    /// go first.
    pub aside: u32,
}

/// All calls that wait for one target.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    callers: BTreeMap<CallerKey, VecDeque<Waiting>>,
    /// Callers with waiting calls, in the order of their turns.
    turns: VecDeque<CallerKey>,
    len: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a call behind those of its caller that were moved aside as often.
    pub(crate) fn add(&mut self, call: Waiting) {
        let own = self.callers.entry(call.caller).or_default();
        if own.is_empty() {
            self.turns.push_back(call.caller);
        }
        let behind = own.iter().rposition(|other| other.aside >= call.aside);
        own.insert(behind.map_or(0, |index| index.saturating_add(1)), call);
        self.len = self.len.saturating_add(1);
    }

    /// Takes out the first call of the next caller whose call `may_start`, and returns it.
    pub(crate) fn next(&mut self, may_start: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        for _ in 0..self.turns.len() {
            let caller = self.turns.pop_front()?;
            let Some(own) = self.callers.get_mut(&caller) else {
                continue;
            };
            let is_next = own.front().is_some_and(&may_start);
            let next = is_next.then(|| own.pop_front()).flatten();
            if own.is_empty() {
                self.callers.remove(&caller);
            } else {
                self.turns.push_back(caller);
            }
            if next.is_some() {
                self.len = self.len.saturating_sub(1);
                return next;
            }
        }
        None
    }

    /// Returns all calls, each with its place among its caller's calls.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Waiting)> {
        self.callers.values().flat_map(|own| (0..).zip(own))
    }

    /// Takes these calls out, as far as they wait here.
    pub(crate) fn remove(&mut self, records: &BTreeSet<RecordId>) {
        for own in self.callers.values_mut() {
            own.retain(|call| !records.contains(&call.record));
        }
        self.callers.retain(|_, own| !own.is_empty());
        let callers = &self.callers;
        self.turns.retain(|caller| callers.contains_key(caller));
        self.len = self.callers.values().map(VecDeque::len).sum();
    }
}
