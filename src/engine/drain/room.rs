//! A full window: calls in the way of others are moved aside, onto lanes from which they come back.

use std::time::Duration;

use super::DrainEngine;
use super::left::LeftMax;
use super::outbox::Destination;
use super::window::Window;
use crate::call::deliver::lanes::Wait;
use crate::config::DrainConfig;
use crate::id::{RecordId, Source};
use crate::limits::LEFT_SETTLED_MIN;
use crate::metric::Metric;
use crate::time::{Now, Steady, millis};

/// A call that is moved aside waits at most this many times as long as the shortest lane.
const ASIDE_DOUBLINGS_MAX: u32 = 6;

/// Patience ends after this: clocks show whole milliseconds.
const A_MOMENT: Duration = Duration::from_millis(1);

/// How many more records of a stream may be held.
pub(super) fn room(config: &DrainConfig, window: &Window, source: Source) -> usize {
    let held = window.count(source);
    let unsettled = calls_max(config, source).saturating_sub(held.unsettled);
    let uncommitted = config.window.uncommitted_max.saturating_sub(held.records);
    unsettled.min(uncommitted)
}

/// Whether that is enough for a fetch: many small ones would cost too much.
pub(super) fn is_room_to_fetch(config: &DrainConfig, window: &Window, source: Source) -> bool {
    let limits = &config.window;
    let worthwhile = config
        .fetch
        .records_max
        .min(calls_max(config, source).div_ceil(4))
        .min(limits.uncommitted_max);
    let bytes_max = match source {
        Source::Calls => limits.bytes_max,
        Source::Lane(_) => limits.bytes_max / 4,
    };
    window.count(source).bytes < bytes_max && room(config, window, source) >= worthwhile
}

/// How much sessions that were lost may leave in memory.
pub(super) fn left_max(config: &DrainConfig, source: Source) -> LeftMax {
    LeftMax {
        unsettled: calls_max(config, source),
        records: config.window.uncommitted_max.max(LEFT_SETTLED_MIN),
    }
}

fn calls_max(config: &DrainConfig, source: Source) -> usize {
    match source {
        Source::Calls => config.window.calls_max,
        Source::Lane(_) => config.window.lane_records_max,
    }
}

impl DrainEngine {
    /// Where the window is too full to fetch, moves calls aside: first those whose targets are too
    /// slow for what comes in, then those that rest between two attempts.
    pub(super) fn make_room(&mut self, now: Now) {
        // The very condition of a fetch: between two different ones the drain would stand still.
        if is_room_to_fetch(&self.config, &self.window, Source::Calls) {
            return;
        }
        let Some(shortest) = self.config.lanes.shortest() else {
            return;
        };
        let window = &self.config.window;
        // Those on their way make room too, as soon as they are stored.
        let count = window.calls_max.div_ceil(4);
        let count = count.saturating_sub(self.outbox.bound_for_lanes());
        let patience_ends = Steady(now.steady.0.saturating_sub(millis(window.patience)));
        let stuck = self.window.take_stuck(count, patience_ends);
        let resting = count.saturating_sub(stuck.len());
        for id in stuck {
            let pause = self.pause_aside(id, shortest);
            if !self.move_aside(id, pause, now) {
                self.window.line_up(id, now.steady);
            }
        }
        // A few of them are not what fills the window.
        let is_waiting_long = self.sessions.get(&Source::Calls).is_none_or(|session| {
            now.steady > session.last_fetch().plus(self.config.window.patience)
        });
        let least = if is_waiting_long { 1 } else { resting };
        for (until, id) in self.window.take_resting(least, resting) {
            if !self.move_aside(id, shortest, now) {
                self.window.wait(id, until);
            }
        }
    }

    /// When [`Self::make_room`] has something to do next, should nothing happen before.
    pub(super) fn room_wakeup(&self, now: Steady) -> Option<Steady> {
        let is_full = !is_room_to_fetch(&self.config, &self.window, Source::Calls);
        let may_move = is_full && self.config.lanes.shortest().is_some();
        let since = may_move.then(|| self.window.lines.stands_since()).flatten();
        let due = since.map(|since| since.plus(self.config.window.patience).plus(A_MOMENT));
        // What is over already and did not help is not worth a tick.
        due.filter(|due| *due > now)
    }

    /// Each time that a call is moved aside it stays away for twice as long.
    fn pause_aside(&mut self, id: RecordId, shortest: Duration) -> Duration {
        let aside = self.window.get_mut(id).map_or(0, |held| {
            held.progress.aside = held.progress.aside.saturating_add(1);
            held.progress.aside
        });
        let doublings = aside.saturating_sub(1).min(ASIDE_DOUBLINGS_MAX);
        shortest.saturating_mul(1 << doublings)
    }

    /// Puts a call onto a lane, but not for so long that it would be too old for an attempt.
    fn move_aside(&mut self, id: RecordId, pause: Duration, now: Now) -> bool {
        let delay_max = self.plan(id).map(|plan| plan.limits.delay_max(now.wall));
        let pause = pause.min(delay_max.unwrap_or_default());
        let Wait::On(lane) = self.config.lanes.wait(pause) else {
            return false;
        };
        let hopped = self.hop(id, Destination::Lane(lane), pause, now);
        if hopped {
            self.outputs.count(Metric::MovedAside, 1);
        }
        hopped
    }
}
