//! What has begun, and what stands in the way of its commit.

use std::collections::BTreeSet;

use crate::drain::commit::FetchNumber;
use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::lifecycle::tracked::TrackedRecord;
use crate::drain::lifecycle::window::Window;
use crate::id::{RecordId, StreamName};
use crate::time::Steady;

impl Window {
    /// Returns the last fetch of a stream's present session that has brought a record on which
    /// something was done: it is settled, on its way elsewhere, or was attempted.
    pub(in crate::drain) fn last_begun(&self, source: StreamName) -> Option<FetchNumber> {
        let own = self.tracked.iter().filter(|(id, _)| id.source == source);
        let begun = own.filter(|(_, tracked)| is_begun(tracked));
        begun.filter_map(|(_, tracked)| tracked.fetch).max()
    }

    /// Takes records out of their queues and waits that hold up the commit of others, or that were
    /// attempted before. Returns with each when its wait would have ended.
    pub(in crate::drain) fn take_unbegun(
        &mut self,
        source: StreamName,
        now: Steady,
    ) -> Vec<(RecordId, Option<Steady>)> {
        let Some(last) = self.last_begun(source) else {
            return Vec::new();
        };
        let own = self.tracked.iter().filter(|(id, _)| id.source == source);
        let movable = own
            .filter(|(_, tracked)| tracked.fetch.is_some_and(|fetch| fetch <= last))
            .filter(|(_, tracked)| tracked.may_leave());
        let (mut taken, mut ready) = (Vec::new(), BTreeSet::new());
        for (id, tracked) in movable {
            if let State::Waiting { until } = tracked.state() {
                taken.push((*id, Some(until)));
            } else if tracked.state() == State::Ready {
                taken.push((*id, None));
                ready.insert(*id);
            }
        }
        // All at once, because each removal goes through the queues of all targets.
        self.target_queues.remove(&ready);
        for (id, _) in &taken {
            self.apply(*id, Transition::Pick, now);
        }
        taken
    }

    /// Takes all calls out of the queues of their targets, but these.
    pub(in crate::drain) fn take_ready_besides(
        &mut self,
        others: &BTreeSet<RecordId>,
        now: Steady,
    ) -> BTreeSet<RecordId> {
        let all = self.tracked.iter();
        let ready = all.filter(|(_, tracked)| tracked.state() == State::Ready);
        let ready = ready.map(|(id, _)| *id).filter(|id| !others.contains(id));
        let ready: BTreeSet<RecordId> = ready.collect();
        self.target_queues.remove(&ready);
        for id in &ready {
            self.apply(*id, Transition::Pick, now);
        }
        ready
    }
}

fn is_begun(tracked: &TrackedRecord) -> bool {
    let was_attempted = !tracked.is_note() && tracked.last.is_some();
    was_attempted || tracked.has_begun() || matches!(tracked.state(), State::Settled { .. })
}
