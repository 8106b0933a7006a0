//! The only place where a record's state changes. Every index of the window follows from here.

use std::collections::BTreeSet;

use crate::drain::lifecycle::held::Held;
use crate::drain::lifecycle::state::{Change, State, Transition, may_happen};
use crate::drain::lifecycle::window::Window;
use crate::drain::line::Waiting;
use crate::id::RecordId;
use crate::time::Steady;

impl Window {
    /// Changes a record's state. Gives the call whose turn it is among those with its order key,
    /// if the record has given up its place there.
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
        // What it is known by in the order goes with its settlement, so this comes first.
        let next = gives_up_place.then(|| self.leave_order(id)).flatten();
        if transition == Transition::Settle {
            self.drop_record(id);
        }
        let held = self.held.get_mut(&id)?;
        let count = self.counts.get_mut(&id.source);
        let mut count = count.filter(|_| held.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(held);
        }
        let change = held.stage.change(transition, now);
        held.is_note |= transition == Transition::Keep;
        if transition == Transition::Settle {
            held.forget_call();
        }
        if let Some(count) = count {
            count.add(held);
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
                // Those two follow on the line's own choice, which has taken it out.
                if !matches!(transition, Transition::Start | Transition::Pick) {
                    self.lines.remove(&BTreeSet::from([id]));
                }
            }
            State::InFlight => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.lines.ended(id, now);
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
                let held = self.held.get(&id);
                let plan = held.and_then(|held| Some((held, held.plan.as_ref()?)));
                if let Some((held, plan)) = plan {
                    let call = Waiting {
                        record: id,
                        caller: plan.caller,
                        bytes: held.record.len(),
                        aside: held.progress.aside,
                    };
                    self.lines.add(&plan.target, call, now);
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

    /// The next call that its target's line gives its turn, where so many slots are free: its
    /// attempt begins.
    pub(in crate::drain) fn start_next(
        &mut self,
        free_slots: usize,
        now: Steady,
    ) -> Option<RecordId> {
        let id = self.lines.next(free_slots, now)?;
        self.apply(id, Transition::Start, now);
        Some(id)
    }

    /// A record whose wait is over, or which is to be looked at again.
    pub(in crate::drain) fn pop_timer(&mut self, now: Steady) -> Option<RecordId> {
        while let Some((until, id)) = self.first_timer() {
            if until > now {
                return None;
            }
            self.waits.remove(&(until, id));
            self.looks.remove(&(until, id));
            let state = self.held.get(&id).map(Held::state);
            if state == Some(State::Waiting { until }) {
                self.apply(id, Transition::Pick, now);
                return Some(id);
            }
            // What has moved on meanwhile is looked at no more.
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

    /// When the next wait ends, or a call behind others is to be looked at.
    pub(in crate::drain) fn next_timer(&self) -> Option<Steady> {
        self.first_timer().map(|(until, _)| until)
    }

    /// Forgets a record, and gives whether it was unsettled.
    pub(super) fn forget(&mut self, id: RecordId) -> bool {
        self.drop_record(id);
        let Some(held) = self.held.remove(&id) else {
            return false;
        };
        let from = held.state();
        if !may_happen(from.name(), "Forget", "[*]") && self.violation.is_none() {
            self.violation = Some(format!("{id:?} is forgotten while it is {from:?}"));
        }
        let count = self.counts.get_mut(&id.source);
        if let Some(count) = count.filter(|_| held.fetch.is_some()) {
            count.remove(&held);
        }
        held.is_unsettled()
    }
}
