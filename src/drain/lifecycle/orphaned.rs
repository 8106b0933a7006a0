//! Records of lost sessions in the window. They wait until they are read again, don't count against
//! the window meanwhile, and are forgotten after a while.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::lifecycle::tracked::TrackedRecord;
use crate::drain::lifecycle::window::Window;
use crate::id::{RecordId, StreamName};
use crate::time::Steady;

/// How long a record of a lost session is remembered. The next session reads it again, and a
/// settled call must not be made again. After this time an unsettled one belongs to whoever reads
/// it.
const LOST_REMEMBERED: Duration = Duration::from_secs(120);

/// The time between two searches for records that may be forgotten.
const FORGETTING_PAUSE: Duration = Duration::from_secs(10);

/// How much lost sessions may leave of one stream: as much as one session may hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::drain) struct OrphanedMax {
    pub(in crate::drain) unsettled: usize,
    pub(in crate::drain) records: usize,
}

impl Window {
    /// Returns when records of lost sessions may be forgotten next; `None` if there are none.
    pub(in crate::drain) fn next_forgetting(&self) -> Option<Steady> {
        self.next_forgetting
    }

    /// Handles a lost session. Attempts under way go on. Everything else waits until it is read
    /// again, because another drain may have it by now. Returns how many unsettled records were
    /// forgotten because earlier lost sessions have left so many.
    pub(in crate::drain) fn detach(
        &mut self,
        source: StreamName,
        orphaned_max: OrphanedMax,
        now: Steady,
    ) -> usize {
        self.counts.remove(&source);
        let mut lost = Vec::new();
        let tracked = self
            .tracked
            .iter_mut()
            .filter(|(id, _)| id.source == source);
        for (id, tracked) in tracked {
            tracked.fetch = None;
            let until = match tracked.state() {
                State::New | State::Picked | State::Ready | State::Behind | State::Note => now,
                State::Waiting { until } => until,
                State::InFlight
                | State::Suspended { .. }
                | State::Leaving { .. }
                | State::Settled { .. } => continue,
            };
            lost.push((*id, tracked.state(), until));
        }
        let ready = lost.iter().filter(|(_, state, _)| *state == State::Ready);
        let ready: BTreeSet<RecordId> = ready.map(|(id, ..)| *id).collect();
        // All at once, because each removal goes through the queues of all targets.
        self.target_queues.remove(&ready);
        for id in ready {
            self.apply(id, Transition::Pick, now);
        }
        for (id, _, until) in lost {
            self.apply(id, Transition::Suspend { until }, now);
        }
        self.next_forgetting
            .get_or_insert(now.plus(LOST_REMEMBERED));
        self.forget_oldest(source, orphaned_max)
    }

    /// Forgets the oldest records of lost sessions beyond the bounds, and returns how many of them
    /// were unsettled. Records with an attempt or messages under way stay.
    fn forget_oldest(&mut self, source: StreamName, orphaned_max: OrphanedMax) -> usize {
        let (mut suspended, mut settled) = (Vec::new(), Vec::new());
        let orphaned = self
            .tracked
            .iter()
            .filter(|(id, tracked)| id.source == source && tracked.fetch.is_none());
        for (id, tracked) in orphaned {
            match tracked.state() {
                State::Suspended { since, .. } => suspended.push((since, *id)),
                State::Settled { at } => settled.push((at, *id)),
                State::New
                | State::Picked
                | State::Ready
                | State::Behind
                | State::Note
                | State::InFlight
                | State::Waiting { .. }
                | State::Leaving { .. } => {}
            }
        }
        let mut forgotten = 0;
        for (mut orphaned, max) in [
            (suspended, orphaned_max.unsettled),
            (settled, orphaned_max.records),
        ] {
            orphaned.sort_unstable();
            let excess = orphaned.len().saturating_sub(max);
            let oldest = orphaned.into_iter().take(excess);
            forgotten += oldest.filter(|(_, id)| self.forget(*id)).count();
        }
        forgotten
    }

    /// Forgets records of lost sessions that were not read again, and returns how many of them were
    /// unsettled.
    pub(in crate::drain) fn forget_stale(&mut self, now: Steady) -> usize {
        self.target_queues.forget_idle(now);
        let is_stale = |tracked: &TrackedRecord| match tracked.state() {
            State::Settled { at } => tracked.fetch.is_none() && now >= at.plus(LOST_REMEMBERED),
            State::Suspended { since, .. } => now >= since.plus(LOST_REMEMBERED),
            State::New
            | State::Picked
            | State::Ready
            | State::Behind
            | State::Note
            | State::InFlight
            | State::Waiting { .. }
            | State::Leaving { .. } => false,
        };
        let stale = self.tracked.iter().filter(|(_, tracked)| is_stale(tracked));
        let stale: Vec<RecordId> = stale.map(|(id, _)| *id).collect();
        if self.next_forgetting.is_some_and(|at| at <= now) {
            let any_lost = self.tracked.values().any(|tracked| tracked.fetch.is_none());
            self.next_forgetting = any_lost.then(|| now.plus(FORGETTING_PAUSE));
        }
        stale.into_iter().filter(|id| self.forget(*id)).count()
    }
}
