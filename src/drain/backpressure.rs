//! When the window is full, calls that are in the way of others are moved aside onto lanes. From
//! there they come back.

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::drain::config::DrainConfig;
use crate::drain::lifecycle::orphaned::OrphanedMax;
use crate::drain::lifecycle::state::Transition;
use crate::drain::lifecycle::window::Window;
use crate::id::{RecordId, StreamName};
use crate::lanes::Wait;
use crate::limits::ORPHANED_SETTLED_MIN;
use crate::metric::Metric;
use crate::time::{Now, Steady};

/// A call that is moved aside is away for at most this many times the delay of the shortest lane,
/// so that a target that has recovered gets its calls soon.
const ASIDE_TIMES_MAX: u32 = 64;

/// Returns how many more records of a stream may be held.
pub(super) fn room(config: &DrainConfig, window: &Window, source: StreamName) -> usize {
    let tracked = window.count(source);
    let unsettled = calls_max(config, source).saturating_sub(tracked.unsettled);
    let uncommitted = config
        .window
        .uncommitted_max
        .saturating_sub(tracked.records);
    unsettled.min(uncommitted)
}

/// Returns whether there is enough room for a fetch. Many small fetches would cost too much.
pub(super) fn is_room_to_fetch(config: &DrainConfig, window: &Window, source: StreamName) -> bool {
    let limits = &config.window;
    let worthwhile = config
        .fetch
        .records_max
        .min(calls_max(config, source).div_ceil(4))
        .min(limits.uncommitted_max);
    let bytes_max = match source {
        StreamName::Calls => limits.bytes_max,
        StreamName::Lane(_) | StreamName::Dead => limits.bytes_max / 4,
    };
    window.count(source).bytes < bytes_max && room(config, window, source) >= worthwhile
}

/// Returns how much lost sessions may leave in memory.
pub(super) fn orphaned_max(config: &DrainConfig, source: StreamName) -> OrphanedMax {
    OrphanedMax {
        unsettled: calls_max(config, source),
        records: config.window.uncommitted_max.max(ORPHANED_SETTLED_MIN),
    }
}

fn calls_max(config: &DrainConfig, source: StreamName) -> usize {
    match source {
        StreamName::Calls => config.window.calls_max,
        StreamName::Lane(_) | StreamName::Dead => config.window.lane_records_max,
    }
}

/// Returns how many calls have to leave the window because they are in the way of others. Calls
/// that wait for slow targets leave half of the window to all others, and half of its bytes besides
/// what is in flight.
fn room_wanted(config: &DrainConfig, window: &Window, is_full: bool) -> usize {
    let limits = &config.window;
    let tracked = window.count(StreamName::Calls);
    let a_quarter = limits.calls_max.div_ceil(4);
    if is_full || tracked.bytes > (limits.bytes_max / 4).saturating_mul(3) {
        return a_quarter;
    }
    tracked.unsettled.saturating_sub(limits.calls_max / 2)
}

impl DrainEngine {
    /// Moves calls aside that are in the way of others: those whose targets are too slow for what
    /// comes in, and, if the window is too full to fetch, those that rest between two attempts.
    pub(super) fn make_room(&mut self, now: Now) {
        // This is the same condition as that of a fetch. With two different ones the drain could
        // stand still.
        let is_full = !is_room_to_fetch(&self.config, &self.window, StreamName::Calls);
        // Calls that are on their way to lanes make room too, as soon as they are stored.
        let count = room_wanted(&self.config, &self.window, is_full);
        let count = count.saturating_sub(self.outbox.bound_for_lanes());
        let Some(shortest) = self.config.lanes.shortest().filter(|_| count > 0) else {
            return;
        };
        let longest = self.longest_aside(shortest);
        let slow = self.window.take_slow(count, is_full, longest, now.steady);
        let resting = count.saturating_sub(slow.len());
        for (id, wait) in slow {
            let pause = self.pause_aside(id, wait, shortest, longest);
            if !self.move_aside(id, pause, now) {
                self.window.apply(id, Transition::Enqueue, now.steady);
            }
        }
        if !is_full {
            return;
        }
        // Don't park a handful of calls: they aren't the cause.
        let is_waiting_long = self.sessions.get(&StreamName::Calls).is_none_or(|session| {
            now.steady > session.last_fetch().plus(self.config.window.patience)
        });
        let least = if is_waiting_long { 1 } else { resting };
        for (until, id) in self.window.take_resting(least, resting, now.steady) {
            if !self.move_aside(id, shortest, now) {
                self.window
                    .apply(id, Transition::Wait { until }, now.steady);
            }
        }
    }

    /// Returns when [`Self::make_room`] has something to do next if nothing happens before.
    pub(super) fn room_wakeup(&self, now: Steady) -> Option<Steady> {
        let is_full = !is_room_to_fetch(&self.config, &self.window, StreamName::Calls);
        let wanted = room_wanted(&self.config, &self.window, is_full);
        let may_move = wanted > 0 && self.config.lanes.shortest().is_some();
        may_move
            .then(|| self.window.target_queues().judged_at(now))
            .flatten()
    }

    /// Returns for how long a call is moved aside at most: what a single lane serves, because each
    /// further lane costs a hop.
    fn longest_aside(&self, shortest: Duration) -> Duration {
        let max = shortest.saturating_mul(ASIDE_TIMES_MAX);
        let delays = self.config.lanes.iter().map(|(_, lane)| lane.delay);
        delays
            .filter(|delay| *delay <= max)
            .max()
            .unwrap_or(shortest)
    }

    /// Returns for how long a call is moved aside: until it would have its turn. If its target
    /// takes no calls, nobody knows that time; then the call goes onto a longer lane each time.
    fn pause_aside(
        &mut self,
        id: RecordId,
        wait: Option<Duration>,
        shortest: Duration,
        longest: Duration,
    ) -> Duration {
        let aside = self.window.get_mut(id).map_or(0, |tracked| {
            tracked.progress.aside = tracked.progress.aside.saturating_add(1);
            tracked.progress.aside
        });
        let mut delays = self.config.lanes.iter().map(|(_, lane)| lane.delay);
        let next = usize::try_from(aside).unwrap_or(usize::MAX);
        let pause = wait.or_else(|| delays.nth(next)).unwrap_or(longest);
        pause.clamp(shortest, longest)
    }

    /// Puts a call onto a lane, but not for so long that it would be too old for an attempt.
    pub(super) fn move_aside(&mut self, id: RecordId, pause: Duration, now: Now) -> bool {
        let delay_max = self.plan(id).map(|plan| plan.limits.delay_max(now.wall));
        let pause = pause.min(delay_max.unwrap_or_default());
        let Wait::On(lane) = self.config.lanes.wait(pause) else {
            return false;
        };
        let hopped = self.hop(id, StreamName::Lane(lane), pause, now);
        if hopped {
            self.outputs.count(Metric::MovedAside, 1);
        }
        hopped
    }
}
