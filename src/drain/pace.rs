//! How fast a queue moves. It shows that a target is slow before any call has waited for it.

use std::time::Duration;

use crate::time::{Steady, millis};

/// Parts of the operator's patience in which starts are counted: short enough to notice soon that a
/// target hangs, long enough that a few slow answers don't count for all.
const PERIODS: u64 = 4;

/// Starts of attempts, counted in periods.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the present period began.
    since: Steady,
    started: usize,
    /// How many starts the last whole period had; `None` if there was none yet.
    last: Option<usize>,
}

impl Pace {
    /// Begins to count, because calls wait now.
    pub(crate) const fn new(now: Steady) -> Self {
        Self {
            since: now,
            started: 0,
            last: None,
        }
    }

    /// Counts the start of an attempt.
    pub(crate) fn start(&mut self, patience: Duration, now: Steady) {
        self.go_on(patience, now);
        self.started = self.started.saturating_add(1);
    }

    /// Returns whether the last of so many waiting calls would wait for longer than the operator
    /// wants.
    pub(crate) fn is_slow(&mut self, waiting: usize, patience: Duration, now: Steady) -> bool {
        self.go_on(patience, now);
        let periods = usize::try_from(PERIODS).unwrap_or(usize::MAX);
        let in_patience = |last: usize| last.saturating_mul(periods);
        self.last.is_some_and(|last| waiting > in_patience(last))
    }

    /// Returns how long a call waits behind so many others, as far as that is known; `None` if
    /// nothing moves.
    pub(crate) fn wait_behind(&self, others: usize, patience: Duration) -> Option<Duration> {
        let (last, others) = (
            self.last.filter(|last| *last > 0)?,
            u64::try_from(others).ok()?,
        );
        let waits = period(patience).saturating_mul(others);
        Some(Duration::from_millis(waits / u64::try_from(last).ok()?))
    }

    /// Returns when more will be known.
    pub(crate) fn period_ends(&self, patience: Duration) -> Steady {
        Steady(self.since.0.saturating_add(period(patience)))
    }

    fn go_on(&mut self, patience: Duration, now: Steady) {
        let (period, passed) = (period(patience), now.0.saturating_sub(self.since.0));
        let periods = passed.checked_div(period).unwrap_or_default();
        if periods > 0 {
            self.last = Some(if periods == 1 { self.started } else { 0 });
            self.started = 0;
            let over = periods.saturating_mul(period);
            self.since = Steady(self.since.0.saturating_add(over));
        }
    }
}

/// Returns the length of a period in milliseconds, at least one.
fn period(patience: Duration) -> u64 {
    (millis(patience) / PERIODS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(400);

    #[test]
    fn a_line_is_slow_where_its_last_call_would_lose_patience() {
        let mut pace = Pace::new(Steady(0));
        for _ in 0..10 {
            pace.start(PATIENCE, Steady(50));
        }
        assert!(!pace.is_slow(1_000, PATIENCE, Steady(99)), "not known yet");
        assert_eq!(pace.period_ends(PATIENCE), Steady(100));
        assert!(!pace.is_slow(40, PATIENCE, Steady(100)), "ten in 100 ms");
        assert!(pace.is_slow(41, PATIENCE, Steady(199)));
        let half_a_second = Some(Duration::from_millis(500));
        assert_eq!(pace.wait_behind(50, PATIENCE), half_a_second);
        pace.start(PATIENCE, Steady(200));
        assert!(pace.is_slow(1, PATIENCE, Steady(200)), "none since");
        assert!(!pace.is_slow(4, PATIENCE, Steady(300)));
        assert!(pace.is_slow(1, PATIENCE, Steady(10_000)));
        assert_eq!(pace.wait_behind(50, PATIENCE), None);
    }
}
