//! How a call waits that is not due yet (G5).
//!
//! A lane is a stream whose records all wait equally long, so that the first one in is the first
//! one due. A call waits on the longest lane that fits into the rest of its wait, then on the next
//! one. The last bit, which is shorter than the shortest lane, it waits in memory.

use std::time::Duration;

use crate::id::LaneNumber;

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The stream's OCID.
    pub stream_id: String,
    /// How long each of its records waits, at least a millisecond.
    pub delay: Duration,
}

/// All lanes, the shortest first. There may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes(Vec<Lane>);

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The call is due.
    Over,
    /// The call waits in memory for so long.
    InMemory(Duration),
    /// The call waits on this lane first.
    On(LaneNumber),
}

impl Lanes {
    /// Returns these lanes, which may be in any order.
    #[must_use]
    pub fn new(mut lanes: Vec<Lane>) -> Self {
        lanes.sort_by_key(|lane| lane.delay);
        Self(lanes)
    }

    /// Returns all lanes, the shortest first.
    pub fn iter(&self) -> impl Iterator<Item = (LaneNumber, &Lane)> {
        (0..).map(LaneNumber).zip(&self.0)
    }

    /// Returns a lane.
    #[must_use]
    pub fn get(&self, number: LaneNumber) -> Option<&Lane> {
        self.0.get(usize::from(number.0))
    }

    /// Returns the shortest wait that a lane serves; `None` without lanes.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        self.0.first().map(|lane| lane.delay)
    }

    /// Returns how a call waits that is due after `remaining`.
    #[must_use]
    pub fn wait(&self, remaining: Duration) -> Wait {
        if remaining.is_zero() {
            return Wait::Over;
        }
        let fitting = self.iter().take_while(|(_, lane)| lane.delay <= remaining);
        match fitting.last() {
            Some((number, _)) => Wait::On(number),
            None => Wait::InMemory(remaining),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(delays: &[u64]) -> Lanes {
        let lane = |delay: &u64| Lane {
            stream_id: format!("lane-{delay}"),
            delay: Duration::from_secs(*delay),
        };
        Lanes::new(delays.iter().map(lane).collect())
    }

    #[test]
    fn a_call_takes_the_longest_lane_that_fits() {
        let lanes = lanes(&[60, 1, 10]);
        for (millis, wait) in [
            (0, Wait::Over),
            (999, Wait::InMemory(Duration::from_millis(999))),
            (1_000, Wait::On(LaneNumber(0))),
            (9_999, Wait::On(LaneNumber(0))),
            (10_000, Wait::On(LaneNumber(1))),
            (60_000, Wait::On(LaneNumber(2))),
            (31_622_400_000, Wait::On(LaneNumber(2))),
        ] {
            assert_eq!(lanes.wait(Duration::from_millis(millis)), wait, "{millis}");
        }
    }

    #[test]
    fn without_lanes_every_wait_is_in_memory() {
        let day = Duration::from_secs(86_400);
        assert_eq!(lanes(&[]).wait(day), Wait::InMemory(day));
    }

    #[test]
    fn hops_down_the_lanes_end_at_the_very_moment() {
        let lanes = lanes(&[1, 10, 60]);
        let mut remaining = Duration::from_millis(93_700);
        let mut hops = 0;
        while let Wait::On(number) = lanes.wait(remaining) {
            remaining -= lanes.get(number).unwrap().delay;
            hops += 1;
        }
        assert_eq!((hops, remaining.as_millis()), (1 + 3 + 3, 700));
    }
}
