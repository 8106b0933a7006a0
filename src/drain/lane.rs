//! How a record waits on a lane and comes back from it.

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::drain::dead_letter::Reason;
use crate::drain::lifecycle::state::Transition;
use crate::drain::outbox::{Content, Publication};
use crate::drain::returning::Return;
use crate::id::{LaneNumber, Position, RecordId, StreamName};
use crate::lanes::Wait;
use crate::metric::Metric;
use crate::record::hop::{RecordIdentity, with_progress};
use crate::record::note::KeyDigest;
use crate::record::progress::Progress;
use crate::time::Now;

impl DrainEngine {
    /// Puts a record onto a lane. Returns false if every lane is longer than the wait.
    pub(super) fn waits_on_lane(&mut self, id: RecordId, remaining: Duration, now: Now) -> bool {
        match self.config.lanes.wait(remaining) {
            Wait::On(number) => self.hop(id, StreamName::Lane(number), remaining, now),
            Wait::Over | Wait::InMemory(_) => false,
        }
    }

    /// Lets a record of a lane wait as long as its lane says.
    pub(super) fn rest(&mut self, id: RecordId, number: LaneNumber, now: Now) {
        let delay = self.config.lanes.get(number).map(|lane| lane.delay);
        let Some(tracked) = self.window.get(id) else {
            return;
        };
        let rested = now.wall.since(tracked.stored_at);
        let left = delay.unwrap_or_default().saturating_sub(rested);
        // The Stream's clock may be ahead of ours. No record waits longer than the lane says.
        let until = now.steady.plus(left.min(delay.unwrap_or_default()));
        self.window
            .apply(id, Transition::Wait { until }, now.steady);
    }

    /// Moves a record that has waited on its lane: to the next lane, or back to the calls.
    pub(super) fn leave_lane(&mut self, id: RecordId, now: Now) {
        let not_before = self.plan(id).map(|plan| plan.not_before);
        let remaining = not_before.unwrap_or_default().since(now.wall);
        let moved = match self.config.lanes.wait(remaining) {
            Wait::On(number) => self.hop(id, StreamName::Lane(number), remaining, now),
            Wait::InMemory(left) => {
                let until = now.steady.plus(left);
                self.window
                    .apply(id, Transition::Wait { until }, now.steady);
                return;
            }
            Wait::Over => self.hop(id, StreamName::Calls, Duration::ZERO, now),
        };
        if !moved {
            // Only a record that somebody else has put onto the lane can be too large.
            let detail = "the record is too large to leave its lane".to_owned();
            self.give_up(id, Reason::UnreadableRecord, detail, None, now);
        }
    }

    /// Puts the record onto another stream, with what has happened to it. Returns false if that is
    /// impossible.
    pub(super) fn hop(
        &mut self,
        id: RecordId,
        to: StreamName,
        remaining: Duration,
        now: Now,
    ) -> bool {
        let Some(tracked) = self.window.get(id) else {
            return false;
        };
        let Some(plan) = tracked.plan.as_ref() else {
            return false;
        };
        let not_before = if remaining.is_zero() {
            plan.not_before
        } else {
            plan.not_before.max(now.wall.plus(remaining))
        };
        let leaves_order = plan.order_key.is_some() && id.source == StreamName::Calls;
        let order = leaves_order.then(|| Position {
            partition: id.position.partition,
            offset: tracked.number(id),
        });
        if let (StreamName::Lane(_), Some(order)) = (id.source, tracked.progress.order)
            && let Some(order_key) = &plan.order_key
        {
            let key = (order.partition, KeyDigest::of(order_key));
            let back_at = Return::at(not_before, now);
            self.parked.absent.moves_on(key, order.offset, back_at);
        }
        let progress = Progress {
            not_before: Some(not_before),
            hops: tracked.progress.hops.saturating_add(1),
            order: order.or(tracked.progress.order),
            ..tracked.progress.clone()
        };
        let identity = RecordIdentity {
            id: &plan.id,
            accepted_at: &plan.accepted_at,
        };
        let Some(message) = with_progress(&tracked.record, &identity, &progress) else {
            return false;
        };
        let key = plan.order_key.as_ref().unwrap_or(&plan.id).to_string();
        let metric = match (id.source, to) {
            (_, StreamName::Lane(_)) => Some(Metric::EnteredLanes),
            (StreamName::Lane(_), StreamName::Calls) => Some(Metric::LeftLanes),
            _ => None,
        };
        let publication = Publication {
            record: id,
            message,
            key: Some(key),
            content: Content::Hop,
            metric,
        };
        if leaves_order && to != StreamName::Calls && self.is_too_many(id) {
            let detail = "too many calls with order keys wait on lanes, many of them with this \
                          one's key (window.parkedCalls)";
            self.give_up(id, Reason::TooManyWaiting, detail.to_owned(), None, now);
            return true;
        }
        self.leave(id, vec![(to, publication)], now);
        if leaves_order {
            self.leaves_in_order(id, Return::at(not_before, now), now);
        }
        true
    }
}
