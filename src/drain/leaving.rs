//! A drain without health checks leaves its groups, so that whoever has its partitions next makes
//! no call again whose end is known. It has none when another worker gets them, and before its
//! gateway ends: Envoy's health check fails after `POST /healthcheck/fail`, and when listeners are
//! drained.
//!
//! A commit covers whole fetches ([`crate::drain::commit`]). Attempts under way come to their ends,
//! no others begin, and what else the fetches of settled records have brought goes onto a lane or
//! back to the calls. Then everything that has begun can be committed. What hasn't begun stays
//! where it is on the Stream.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::drain::lifecycle::state::Transition;
use crate::drain::{DrainEngine, Purpose};
use crate::id::{RecordId, StreamName};
use crate::metric::Metric;
use crate::time::{Now, Steady};

/// While records that can't be moved are attempted, the others wait, and are looked at again after
/// this long.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

impl DrainEngine {
    /// Returns whether this worker had health checks, and has them no longer: another worker has
    /// them now, or the gateway is about to end.
    fn is_leaving(&self, now: Steady) -> bool {
        self.active_until.is_some_and(|until| until <= now)
    }

    /// Returns when the drain has to begin to leave if no health check comes before.
    /// After that, it returns when the drain waits no longer for attempts under way.
    pub(super) fn leaving_wakeup(&self, now: Steady) -> Option<Steady> {
        let until = self.active_until?;
        if until > now {
            return Some(until).filter(|_| self.memberships > 0 || self.is_active);
        }
        let patience = until.plus(self.config.group.leave);
        (patience > now && self.window.in_flight() > 0).then_some(patience)
    }

    /// Moves what holds up the commit of settled records, if the drain leaves. What can't be moved
    /// has to come to its end here, and nothing else begins. Returns whether attempts may begin.
    pub(super) fn hand_over(&mut self, now: Now) -> bool {
        if !self.is_leaving(now.steady) {
            return true;
        }
        let Some(shortest) = self.config.lanes.shortest() else {
            return true;
        };
        let is_patient = self.is_patient(now.steady);
        if !is_patient {
            self.leave_attempts(now);
        }
        // Others may have the partitions of a worker that the group has not heard of.
        let heard = self.sessions.iter();
        let heard = heard.filter(|(_, session)| !session.is_unheard(now.steady));
        let sources: Vec<StreamName> = heard.map(|(source, _)| *source).collect();
        let mut stuck = BTreeSet::new();
        for source in sources {
            for (id, until) in self.window.take_unbegun(source, now.steady) {
                let until = until.unwrap_or(now.steady);
                let is_moved = self.moves_off(id, until, shortest, now)
                    || !is_patient && self.moves_behind(id, until, now);
                if !is_moved {
                    self.keep(id, until, now);
                    stuck.insert(id);
                }
            }
        }
        self.wake_in_order(now);
        // Later, an attempt that began would be left at once, and begun anew.
        if stuck.is_empty() || !is_patient {
            return false;
        }
        let until = now.steady.plus(OTHERS_WAIT);
        for id in self.window.take_ready_besides(&stuck, now.steady) {
            let wait = Transition::Wait { until };
            self.window.apply(id, wait, now.steady);
        }
        true
    }

    /// Returns whether a drain that leaves still waits for attempts under way.
    fn is_patient(&self, now: Steady) -> bool {
        let since = self.active_until.unwrap_or(now);
        since.plus(self.config.group.leave) > now
    }

    /// Waits no longer for attempts under way. Their calls are in doubt as if the gateway had been
    /// killed: they are made again, with the same number.
    fn leave_attempts(&mut self, now: Now) {
        let attempts = self.open.iter().filter_map(|(ticket, (_, purpose))| {
            let Purpose::Attempt(id, _) = purpose else {
                return None;
            };
            let tracked = self.window.get(*id)?;
            (!tracked.is_of_lost_session()).then_some((*ticket, *id))
        });
        for (ticket, id) in attempts.collect::<Vec<_>>() {
            self.open.remove(&ticket);
            self.outputs.count(Metric::InFlight, -1);
            self.outputs.count(Metric::LeftAttempts, 1);
            self.leave_attempt(id, now);
        }
    }

    /// Moves a record to another stream: a call onto a lane, a record of a lane to the calls.
    /// Returns false if that is impossible.
    fn moves_off(&mut self, id: RecordId, until: Steady, shortest: Duration, now: Now) -> bool {
        let left = until.since(now.steady);
        match id.source {
            // It would become a dead letter.
            StreamName::Calls if self.is_too_many(id) => false,
            StreamName::Calls => self.move_aside(id, left.max(shortest), now),
            StreamName::Lane(_) => self.hop(id, StreamName::Calls, Duration::ZERO, now),
            StreamName::Dead => false,
        }
    }

    /// Puts a call that no lane is short enough for onto its own stream once more, where whoever
    /// has the partition next reads it. It would keep the drain from its end, although nothing
    /// begins here any more. Returns false if that is impossible.
    fn moves_behind(&mut self, id: RecordId, until: Steady, now: Now) -> bool {
        // It is away for a moment only: there is room for it beyond the share of its caller.
        let may_move = id.source == StreamName::Calls && !self.parked.is_full();
        may_move && self.hop(id, StreamName::Calls, until.since(now.steady), now)
    }

    /// Keeps a record that can't be moved.
    fn keep(&mut self, id: RecordId, until: Steady, now: Now) {
        let is_due = until <= now.steady && id.source == StreamName::Calls;
        let stays = match is_due {
            true => Transition::Enqueue,
            false => Transition::Wait { until },
        };
        self.window.apply(id, stays, now.steady);
    }

    /// Leaves the groups of whose streams nothing has begun that isn't committed.
    pub(super) fn leave_groups(&mut self, now: Steady) {
        if !self.is_leaving(now) {
            return;
        }
        let sources: Vec<StreamName> = self.sessions.keys().copied().collect();
        for source in sources {
            let is_held_up = source == StreamName::Calls && self.parked.is_contradicted();
            if !is_held_up
                && self.window.last_begun(source).is_none()
                && let Some(session) = self.sessions.get_mut(&source)
                && session.leave()
            {
                self.lose_session(source, now);
            }
        }
    }

    /// Counts whether this worker has health checks, and the groups of which it is a member.
    pub(super) fn count_memberships(&mut self, now: Steady) {
        let is_active = self.active_until.is_some_and(|until| until > now);
        if is_active != std::mem::replace(&mut self.is_active, is_active) {
            let more = if is_active { 1 } else { -1 };
            self.outputs.count(Metric::ActiveDrains, more);
        }
        let members = self.sessions.values().filter(|session| session.is_member());
        let count = members.count();
        let before = std::mem::replace(&mut self.memberships, count);
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if count != before {
            let more = signed(count).saturating_sub(signed(before));
            self.outputs.count(Metric::Memberships, more);
        }
    }
}
