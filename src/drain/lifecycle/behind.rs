//! The places of calls in the window among those with their order key.

use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::lifecycle::tracked::TrackedRecord;
use crate::drain::lifecycle::window::Window;
use crate::id::RecordId;
use crate::time::Steady;

impl Window {
    /// Puts a call into its place among those with its order key. The call keeps it until it is
    /// settled, even while it waits. Returns false if the call is behind an earlier one.
    pub(in crate::drain) fn stand_in_order(&mut self, id: RecordId, now: Steady) -> bool {
        let Some(tracked) = self.tracked.get(&id) else {
            return false;
        };
        let Some(key) = tracked
            .plan
            .as_ref()
            .and_then(|plan| plan.order_key.as_ref())
        else {
            return true;
        };
        let (key, number) = (key.clone(), tracked.number(id));
        let order = self.order.entry(key).or_default();
        if !order.contains(&id) {
            // By number, because the call may have been away. A call that has begun is not
            // interrupted.
            let may_follow = |other: &RecordId| {
                let other_held = self.tracked.get(other);
                other_held
                    .is_some_and(|tracked| !tracked.has_begun() && tracked.number(*other) > number)
            };
            let behind = order.iter().rev().take_while(|other| may_follow(other));
            let at = order.len().saturating_sub(behind.count());
            order.insert(at, id);
        }
        let is_first = order.front() == Some(&id);
        let second = order.get(1).copied();
        if is_first && let Some(second) = second {
            self.step_back(second, now);
        }
        is_first
    }

    /// A call in its target's queue is no longer the first of its key, so it steps back.
    fn step_back(&mut self, id: RecordId, now: Steady) {
        if self.tracked.get(&id).map(TrackedRecord::state) == Some(State::Ready) {
            self.apply(id, Transition::StepBack, now);
        }
    }

    /// Takes a call out of the order of its key. Returns the call whose turn it is now, if any.
    pub(super) fn leave_order(&mut self, id: RecordId) -> Option<RecordId> {
        let plan = self.tracked.get(&id)?.plan.as_ref()?;
        let key = plan.order_key.as_ref()?.clone();
        let order = self.order.get_mut(&key)?;
        let was_first = order.front() == Some(&id);
        order.retain(|other| *other != id);
        let next = order.front().copied();
        if next.is_none() {
            self.order.remove(&key);
        }
        let is_behind = |id: &RecordId| {
            let tracked = self.tracked.get(id);
            tracked.is_some_and(|tracked| tracked.state() == State::Behind)
        };
        next.filter(|next| was_first && is_behind(next))
    }

    /// Looks again whether any call waits for others of its key.
    pub(in crate::drain) fn look_behind(&mut self) {
        let mut all = self.order.values().flatten();
        self.is_any_behind = all.any(|id| {
            let tracked = self.tracked.get(id);
            tracked.is_some_and(|tracked| tracked.state() == State::Behind)
        });
    }
}
