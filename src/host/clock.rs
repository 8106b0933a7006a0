//! Envoy's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Now, Steady, Wall, millis};

/// Reads both clocks.
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods)]
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    #[allow(clippy::disallowed_methods)]
    pub(super) fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            steady: Steady(millis(self.start.elapsed())),
            wall: Wall(millis(wall)),
        }
    }
}
