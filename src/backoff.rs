//! Pauses after failures, which double.

use std::time::Duration;

/// Pauses that double from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub last: Duration,
}

impl Backoff {
    /// Returns the pause after so many failures in a row, counted from 1.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            last: Duration::from_secs(1),
        };
        let pauses = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|failures| backoff.pause(failures));
        let millis = [100, 100, 200, 400, 800, 1_000, 1_000, 1_000];
        assert_eq!(pauses, millis.map(Duration::from_millis));
    }
}
