//! A drain without health checks leaves its groups, so that whoever has its partitions next makes
//! no call again whose end is known. It has none when another worker gets them, and before its
//! gateway ends: Envoy's health check fails after `POST /healthcheck/fail`, and when listeners are
//! drained.
//!
//! A commit covers whole fetches ([`crate::drain::commit`]). Attempts under way come to their ends,
//! no others begin, and what else the fetches of settled records have brought goes onto a lane or
//! back to the calls. Then everything that has begun can be committed. What hasn't begun stays
//! where it is on the Stream.

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::drain::lifecycle::state::Transition;
use crate::id::{RecordId, StreamName};
use crate::metric::Metric;
use crate::time::{Now, Steady};

impl DrainEngine {
    /// Returns whether this worker had health checks, and has them no longer: another worker has
    /// them now, or the gateway is about to end.
    fn is_leaving(&self, now: Steady) -> bool {
        self.active_until.is_some_and(|until| until <= now)
    }

    /// Returns when the drain has to begin to leave if no health check comes before.
    pub(super) fn leaving_wakeup(&self, now: Steady) -> Option<Steady> {
        self.active_until
            .filter(|until| *until > now && self.memberships > 0)
    }

    /// Moves what holds up the commit of settled records, if the drain leaves. Returns whether
    /// attempts may begin: what can't be moved has to come to its end here.
    pub(super) fn hand_over(&mut self, now: Now) -> bool {
        if !self.is_leaving(now.steady) {
            return true;
        }
        let Some(shortest) = self.config.lanes.shortest() else {
            return true;
        };
        // Others may have the partitions of a worker that the group has not heard of.
        let heard = self.sessions.iter();
        let heard = heard.filter(|(_, session)| !session.is_unheard(now.steady));
        let sources: Vec<StreamName> = heard.map(|(source, _)| *source).collect();
        let mut is_any_stuck = false;
        for source in sources {
            for (id, until) in self.window.take_unbegun(source, now.steady) {
                let until = until.unwrap_or(now.steady);
                is_any_stuck |= !self.moves_off(id, until, shortest, now);
            }
        }
        self.wake_in_order(now);
        is_any_stuck
    }

    /// Moves a record to another stream: a call onto a lane, a record of a lane to the calls.
    /// Returns false if it has to stay.
    fn moves_off(&mut self, id: RecordId, until: Steady, shortest: Duration, now: Now) -> bool {
        let left = until.since(now.steady);
        let is_moved = match id.source {
            StreamName::Calls => self.move_aside(id, left.max(shortest), now),
            StreamName::Lane(_) => self.hop(id, StreamName::Calls, Duration::ZERO, now),
            StreamName::Dead => false,
        };
        if !is_moved {
            let stays = match left.is_zero() && id.source == StreamName::Calls {
                true => Transition::Enqueue,
                false => Transition::Wait { until },
            };
            self.window.apply(id, stays, now.steady);
        }
        is_moved
    }

    /// Leaves the groups of whose streams nothing has begun that isn't committed.
    pub(super) fn leave_groups(&mut self, now: Steady) {
        if !self.is_leaving(now) {
            return;
        }
        let sources: Vec<StreamName> = self.sessions.keys().copied().collect();
        for source in sources {
            if self.window.last_begun(source).is_none()
                && let Some(session) = self.sessions.get_mut(&source)
                && session.leave()
            {
                self.lose_session(source, now);
            }
        }
    }

    /// Counts the groups of which this worker is a member.
    pub(super) fn count_memberships(&mut self) {
        let members = self.sessions.values().filter(|session| session.is_member());
        let now = members.count();
        let before = std::mem::replace(&mut self.memberships, now);
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if now != before {
            let more = signed(now).saturating_sub(signed(before));
            self.outputs.count(Metric::Memberships, more);
        }
    }
}
