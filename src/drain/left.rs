//! What lost sessions leave in the window: it waits until it is read again, takes no room
//! meanwhile, and is forgotten after a while.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::drain::held::{Held, State};
use crate::drain::window::Window;
use crate::id::{RecordId, Source};
use crate::time::Steady;

/// How long a record is remembered whose session was lost: the next session reads it again, and
/// what is settled must not be done again. What isn't settled then belongs to whoever reads it.
const LOST_REMEMBERED: Duration = Duration::from_secs(120);

/// Between two looks for records that may be forgotten.
const FORGETTING_PAUSE: Duration = Duration::from_secs(10);

/// How much lost sessions may leave of one stream: as much as one session may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftMax {
    pub(super) unsettled: usize,
    pub(super) records: usize,
}

impl Window {
    /// When records of lost sessions may be forgotten next; `None`: there are none.
    pub(super) fn next_forgetting(&self) -> Option<Steady> {
        self.next_forgetting
    }

    /// A session is lost: what is under way goes on; everything else waits until it is read again,
    /// because another drain may have it by now. Gives how many unsettled records are forgotten,
    /// because sessions lost before have left so many.
    pub(super) fn detach(&mut self, source: Source, left_max: LeftMax, now: Steady) -> usize {
        self.counts.remove(&source);
        let mut ready = BTreeSet::new();
        let lost = self.held.iter_mut().filter(|(id, _)| id.source == source);
        for (id, held) in lost {
            held.fetch = None;
            let until = match held.state {
                State::New | State::Ready | State::Behind => now,
                State::Waiting { until } => until,
                State::InFlight
                | State::Suspended { .. }
                | State::Leaving { .. }
                | State::Settled { .. } => continue,
            };
            self.timers.remove(&(until, *id));
            if let Some(plan) = &held.plan {
                if held.state == State::Ready {
                    ready.insert(*id);
                }
                if let Some(order) = plan.order_key.as_ref().and_then(|k| self.order.get_mut(k)) {
                    order.retain(|other| other != id);
                }
            }
            held.state = State::Suspended { until, since: now };
        }
        self.lines.remove(&ready);
        self.order.retain(|_, order| !order.is_empty());
        self.next_forgetting
            .get_or_insert(now.plus(LOST_REMEMBERED));
        self.forget_oldest(source, left_max)
    }

    /// Of what lost sessions have left, forgets what is beyond the bounds, the oldest first. What
    /// is under way stays.
    fn forget_oldest(&mut self, source: Source, left_max: LeftMax) -> usize {
        let (mut suspended, mut settled) = (Vec::new(), Vec::new());
        let left = self
            .held
            .iter()
            .filter(|(id, held)| id.source == source && held.fetch.is_none());
        for (id, held) in left {
            match held.state {
                State::Suspended { since, .. } => suspended.push((since, *id)),
                State::Settled { at } => settled.push((at, *id)),
                State::New
                | State::Ready
                | State::Behind
                | State::InFlight
                | State::Waiting { .. }
                | State::Leaving { .. } => {}
            }
        }
        let mut forgotten = 0;
        for (mut left, max) in [(suspended, left_max.unsettled), (settled, left_max.records)] {
            left.sort_unstable();
            let excess = left.len().saturating_sub(max);
            let oldest = left.into_iter().take(excess);
            forgotten += oldest.filter(|(_, id)| self.forget(*id)).count();
        }
        forgotten
    }

    /// Forgets records of lost sessions that nobody has shown us again, and gives how many of them
    /// were unsettled.
    pub(super) fn forget_stale(&mut self, now: Steady) -> usize {
        self.lines.forget_idle(now);
        let is_stale = |held: &Held| match held.state {
            State::Settled { at } => held.fetch.is_none() && now >= at.plus(LOST_REMEMBERED),
            State::Suspended { since, .. } => now >= since.plus(LOST_REMEMBERED),
            State::New
            | State::Ready
            | State::Behind
            | State::InFlight
            | State::Waiting { .. }
            | State::Leaving { .. } => false,
        };
        let stale = self.held.iter().filter(|(_, held)| is_stale(held));
        let stale: Vec<RecordId> = stale.map(|(id, _)| *id).collect();
        if self.next_forgetting.is_some_and(|at| at <= now) {
            let any_lost = self.held.values().any(|held| held.fetch.is_none());
            self.next_forgetting = any_lost.then(|| now.plus(FORGETTING_PAUSE));
        }
        stale.into_iter().filter(|id| self.forget(*id)).count()
    }
}
