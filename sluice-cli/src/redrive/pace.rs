//! How fast calls go back: a target that has just recovered should not be flooded.

use std::time::Duration;

use crate::limits::{PUT_MESSAGES_MAX, PUTS_PER_SECOND};

/// A rate that is kept on average from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    per_second: u32,
}

impl Pace {
    /// Returns a pace of so many calls in a second; 0 means without limit.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { per_second }
    }

    /// Returns how many calls one PutMessages may have.
    #[must_use]
    pub fn batch_count(self) -> usize {
        if self.per_second == 0 {
            return PUT_MESSAGES_MAX;
        }
        let count = usize::try_from(self.per_second.div_ceil(PUTS_PER_SECOND));
        count.unwrap_or(PUT_MESSAGES_MAX).min(PUT_MESSAGES_MAX)
    }

    /// Returns how long to wait before more calls go, if `sent` have gone since the start, which
    /// was `elapsed` ago.
    #[must_use]
    pub fn wait(self, sent: u64, elapsed: Duration) -> Duration {
        if self.per_second == 0 {
            return Duration::ZERO;
        }
        let due = sent.saturating_mul(1_000) / u64::from(self.per_second);
        Duration::from_millis(due).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_on_average() {
        let pace = Pace::new(50);
        assert_eq!(pace.batch_count(), 10);
        assert_eq!(pace.wait(0, Duration::ZERO), Duration::ZERO);
        assert_eq!(
            pace.wait(10, Duration::from_millis(30)),
            Duration::from_millis(170)
        );
        assert_eq!(pace.wait(10, Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(Pace::new(1).batch_count(), 1);
        assert_eq!(Pace::new(1).wait(3, Duration::ZERO), Duration::from_secs(3));
        assert_eq!(Pace::new(u32::MAX).batch_count(), PUT_MESSAGES_MAX);
    }

    #[test]
    fn zero_is_without_bound() {
        assert_eq!(Pace::new(0).batch_count(), PUT_MESSAGES_MAX);
        assert_eq!(Pace::new(0).wait(1_000_000, Duration::ZERO), Duration::ZERO);
    }
}
