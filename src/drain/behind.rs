//! The places of calls among those with their order key, in the window.

use std::collections::BTreeSet;

use crate::drain::held::State;
use crate::drain::window::Window;
use crate::id::RecordId;
use crate::time::Steady;

impl Window {
    /// Gives a call its place among those with its order key, which it keeps until it is settled,
    /// also while it waits. False where it is behind an earlier one.
    pub(super) fn stand_in_order(&mut self, id: RecordId) -> bool {
        let Some(held) = self.held.get(&id) else {
            return false;
        };
        let Some(key) = held.plan.as_ref().and_then(|plan| plan.order_key.as_ref()) else {
            return true;
        };
        let (key, number) = (key.clone(), held.number(id));
        let order = self.order.entry(key).or_default();
        if !order.contains(&id) {
            // By number: it may have been away. What has begun is not interrupted.
            let may_follow = |other: &RecordId| {
                let other_held = self.held.get(other);
                other_held.is_some_and(|held| !held.has_begun() && held.number(*other) > number)
            };
            let behind = order.iter().rev().take_while(|other| may_follow(other));
            let at = order.len().saturating_sub(behind.count());
            order.insert(at, id);
        }
        let is_first = order.front() == Some(&id);
        let second = order.get(1).copied();
        if is_first {
            second.into_iter().for_each(|second| self.step_back(second));
        } else {
            self.stay_behind(id, None);
        }
        is_first
    }

    /// A call that was first of its key, and stands in its target's line, is so no more.
    fn step_back(&mut self, id: RecordId) {
        if let Some(held) = self.held.get_mut(&id)
            && held.state == State::Ready
        {
            self.lines.remove(&BTreeSet::from([id]));
            held.state = State::Behind;
        }
    }

    /// A call gives up its place among those with its order key. Gives the call whose turn it is
    /// with that, if any.
    pub(super) fn leave_order(&mut self, id: RecordId) -> Option<RecordId> {
        let plan = self.held.get(&id)?.plan.as_ref()?;
        let key = plan.order_key.as_ref()?.clone();
        let order = self.order.get_mut(&key)?;
        let was_first = order.front() == Some(&id);
        order.retain(|other| *other != id);
        let next = order.front().copied();
        if next.is_none() {
            self.order.remove(&key);
        }
        let is_behind = |id: &RecordId| {
            let held = self.held.get(id);
            held.is_some_and(|held| held.state == State::Behind)
        };
        next.filter(|next| was_first && is_behind(next))
    }

    /// A call waits for others of its key, and is looked at again at this moment.
    pub(super) fn stay_behind(&mut self, id: RecordId, look: Option<Steady>) {
        if let Some(held) = self.held.get_mut(&id) {
            held.state = State::Behind;
            self.is_any_behind = true;
            self.timers.extend(look.map(|look| (look, id)));
        }
    }
}
