//! The only place where a record's state changes. Every index of the window follows from here.

use std::collections::BTreeSet;

use crate::drain::lifecycle::state::{Change, State, Transition, may_happen};
use crate::drain::lifecycle::tracked::TrackedRecord;
use crate::drain::lifecycle::window::Window;
use crate::drain::target_queue::Waiting;
use crate::id::RecordId;
use crate::time::Steady;

impl Window {
    /// Changes a record's state. If the record has given up its place among those with its order
    /// key, returns the call whose turn it is now.
    pub(in crate::drain) fn apply(
        &mut self,
        id: RecordId,
        transition: Transition,
        now: Steady,
    ) -> Option<RecordId> {
        let gives_up_place = matches!(
            transition,
            Transition::Settle | Transition::Suspend { .. } | Transition::Depart
        );
        // Settling removes the plan, which names the order key. So this comes first.
        let next = gives_up_place.then(|| self.leave_order(id)).flatten();
        if transition == Transition::Settle {
            self.drop_record(id);
        }
        let tracked = self.tracked.get_mut(&id)?;
        let count = self.counts.get_mut(&id.source);
        let mut count = count.filter(|_| tracked.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(tracked);
        }
        let change = tracked.stage.change(transition, now);
        tracked.is_note |= transition == Transition::Keep;
        if transition == Transition::Settle {
            tracked.forget_call();
        }
        if let Some(count) = count {
            count.add(tracked);
        }
        self.note_violation(id, transition, change);
        self.leave_state(id, change.from, transition, now);
        self.enter_state(id, change.to, transition, now);
        next
    }

    /// Keeps the indexes of the state that a record has left.
    fn leave_state(&mut self, id: RecordId, from: State, transition: Transition, now: Steady) {
        match from {
            State::Ready => {
                // With these two the target's queue has taken the call out itself.
                if !matches!(transition, Transition::Start | Transition::Pick) {
                    self.target_queues.remove(&BTreeSet::from([id]));
                }
            }
            State::InFlight => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.target_queues.ended(id, now);
            }
            State::Waiting { until } => {
                self.waits.remove(&(until, id));
                self.looks.remove(&(until, id));
            }
            State::New
            | State::Picked
            | State::Behind
            | State::Note
            | State::Suspended { .. }
            | State::Leaving { .. }
            | State::Settled { .. } => {}
        }
    }

    /// Keeps the indexes of the state that a record has entered.
    fn enter_state(&mut self, id: RecordId, to: State, transition: Transition, now: Steady) {
        match to {
            State::Ready => {
                let tracked = self.tracked.get(&id);
                let plan = tracked.and_then(|tracked| Some((tracked, tracked.plan.as_ref()?)));
                if let Some((tracked, plan)) = plan {
                    let call = Waiting {
                        record: id,
                        caller: plan.caller,
                        bytes: tracked.record.len(),
                        aside: tracked.progress.aside,
                    };
                    self.target_queues.add(&plan.target, call, now);
                }
            }
            State::InFlight => self.in_flight = self.in_flight.saturating_add(1),
            State::Waiting { until } => {
                self.waits.insert((until, id));
            }
            State::Behind => {
                if let Transition::StayBehind { look } = transition {
                    self.is_any_behind = true;
                    self.looks.extend(look.map(|look| (look, id)));
                }
            }
            State::New
            | State::Picked
            | State::Note
            | State::Suspended { .. }
            | State::Leaving { .. }
            | State::Settled { .. } => {}
        }
    }

    fn note_violation(&mut self, id: RecordId, transition: Transition, change: Change) {
        if !change.is_allowed && self.violation.is_none() {
            let Change { from, to, .. } = change;
            self.violation = Some(format!("{transition:?} of {id:?}: {from:?} to {to:?}"));
        }
    }

    /// Starts the attempt of the next call, if `free_slots` allow one: the queues of the targets
    /// decide which. Returns that call.
    pub(in crate::drain) fn start_next(
        &mut self,
        free_slots: usize,
        now: Steady,
    ) -> Option<RecordId> {
        let id = self.target_queues.next(free_slots, now)?;
        self.apply(id, Transition::Start, now);
        Some(id)
    }

    /// Returns a record whose wait is over, or that has to be looked at again.
    pub(in crate::drain) fn pop_timer(&mut self, now: Steady) -> Option<RecordId> {
        while let Some((until, id)) = self.first_timer() {
            if until > now {
                return None;
            }
            self.waits.remove(&(until, id));
            self.looks.remove(&(until, id));
            let state = self.tracked.get(&id).map(TrackedRecord::state);
            if state == Some(State::Waiting { until }) {
                self.apply(id, Transition::Pick, now);
                return Some(id);
            }
            // A record that has moved on meanwhile is not looked at any more.
            if state == Some(State::Behind) {
                return Some(id);
            }
        }
        None
    }

    fn first_timer(&self) -> Option<(Steady, RecordId)> {
        let firsts = [self.waits.first(), self.looks.first()];
        firsts.into_iter().flatten().min().copied()
    }

    /// Returns when the next wait ends, or when a call behind others has to be looked at.
    pub(in crate::drain) fn next_timer(&self) -> Option<Steady> {
        self.first_timer().map(|(until, _)| until)
    }

    /// Forgets a record, and returns whether it was unsettled.
    pub(super) fn forget(&mut self, id: RecordId) -> bool {
        self.drop_record(id);
        let Some(tracked) = self.tracked.remove(&id) else {
            return false;
        };
        let from = tracked.state();
        if !may_happen(from.name(), "Forget", "[*]") && self.violation.is_none() {
            self.violation = Some(format!("{id:?} is forgotten while it is {from:?}"));
        }
        let count = self.counts.get_mut(&id.source);
        if let Some(count) = count.filter(|_| tracked.fetch.is_some()) {
            count.remove(&tracked);
        }
        tracked.is_unsettled()
    }
}

#[cfg(test)]
#[path = "stale_timer_tests.rs"]
mod tests;
