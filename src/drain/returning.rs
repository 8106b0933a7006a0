//! When calls that are away come back.

use std::time::Duration;

use crate::time::{Now, Steady, Wall};

/// When a call comes back, on both clocks. Its lanes go by the wall clock, which may be set
/// meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    pub(super) steady: Steady,
    pub(super) wall: Wall,
}

impl Return {
    /// Returns the moment `wall` of the wall clock, on both clocks.
    pub(super) fn at(wall: Wall, now: Now) -> Self {
        Self {
            steady: now.steady.plus(wall.since(now.wall)),
            wall,
        }
    }

    /// Returns how long until then.
    pub(super) fn left(&self, now: Now) -> Duration {
        let by_wall = self.wall.since(now.wall);
        self.steady.since(now.steady).max(by_wall)
    }

    /// Returns for how long the call should have been back.
    pub(super) fn late(&self, now: Now) -> Duration {
        let by_wall = now.wall.since(self.wall);
        now.steady.since(self.steady).min(by_wall)
    }
}
