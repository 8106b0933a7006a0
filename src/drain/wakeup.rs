//! When the drain has something to do next if nothing happens before, and why.

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::id::StreamName;
use crate::time::Steady;

/// A turn that was asked for comes within microseconds, unless the asking failed.
const LOST_TURN: Duration = Duration::from_millis(50);

/// Why the host has to tick. If several timers end at the same moment, the first one of this list
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeReason {
    /// A callout may be overdue.
    OverdueCallout,
    /// The turn of the event loop that was asked for may be lost.
    LostTurn,
    /// The rate of a target allows another attempt.
    TargetRate,
    /// More is known of how fast a slow target takes its calls. Some may be moved aside.
    MakeRoom,
    /// Something is due for calls with order keys: a note, or a look at calls that wait or are
    /// overdue.
    Order,
    /// The wait of a record ends.
    WaitEnds,
    /// Records of a lost session may be forgotten.
    Forget,
    /// Messages that could not be stored are put again.
    PutAgain,
    /// The session with the stream of calls has a request to send.
    CallsSession,
    /// A session with a lane has a request to send.
    LaneSession,
    /// No health check has come for so long that the drain leaves its groups.
    Leave,
}

impl WakeReason {
    /// Returns the reason's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OverdueCallout => "overdue_callout",
            Self::LostTurn => "lost_turn",
            Self::TargetRate => "target_rate",
            Self::MakeRoom => "make_room",
            Self::Order => "order",
            Self::WaitEnds => "wait_ends",
            Self::Forget => "forget",
            Self::PutAgain => "put_again",
            Self::CallsSession => "calls_session",
            Self::LaneSession => "lane_session",
            Self::Leave => "leave",
        }
    }
}

impl DrainEngine {
    /// Returns the log line for a tick at `now`, for the level `trace`: why the drain wakes, and
    /// how many milliseconds later than planned. A tick that comes too early has the reason `none`,
    /// because the host's timer is periodic and is never put off.
    ///
    /// Call it before the tick is handled, because that sets the timers anew.
    #[must_use]
    pub fn describe_wakeup(&self, now: Steady) -> String {
        match self.next_wakeup(now).filter(|(at, _)| *at <= now) {
            Some((at, reason)) => {
                let late = now.since(at).as_millis();
                format!("event=wakeup reason={} late_ms={late}", reason.name())
            }
            None => "event=wakeup reason=none".to_owned(),
        }
    }

    /// Returns when the host has to tick at the latest; `None` while there is nothing to wait for.
    #[must_use]
    pub fn wakeup(&self, now: Steady) -> Option<Steady> {
        self.next_wakeup(now).map(|(at, _)| at)
    }

    /// Returns when the host has to tick at the latest, and why.
    #[must_use]
    pub fn next_wakeup(&self, now: Steady) -> Option<(Steady, WakeReason)> {
        let timers = self.timers(now).into_iter();
        let running = timers.filter_map(|(reason, at)| Some((at?, reason)));
        running.min()
    }

    /// Returns every timer. A timer that runs has a moment.
    fn timers(&self, now: Steady) -> [(WakeReason, Option<Steady>); 11] {
        let overdue = (!self.open.is_empty()).then_some(self.next_overdue_check);
        let has_slot = self.window.in_flight() < self.config.window.in_flight_max;
        let rate = has_slot
            .then(|| self.window.target_queues().wakeup())
            .flatten();
        let calls = self.session_wakeup(StreamName::Calls, now);
        [
            (WakeReason::OverdueCallout, overdue),
            (
                WakeReason::LostTurn,
                self.turn_pending.then(|| now.plus(LOST_TURN)),
            ),
            (WakeReason::TargetRate, rate),
            (WakeReason::MakeRoom, self.room_wakeup(now)),
            (WakeReason::Order, self.order_wakeup()),
            (WakeReason::WaitEnds, self.window.next_timer()),
            (WakeReason::Forget, self.window.next_forgetting()),
            (WakeReason::PutAgain, self.outbox.wakeup()),
            (WakeReason::CallsSession, calls),
            (WakeReason::LaneSession, self.lanes_wakeup),
            (WakeReason::Leave, self.leaving_wakeup(now)),
        ]
    }
}
