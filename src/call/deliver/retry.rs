//! Step 2c: when the next attempt is made.

use std::time::Duration;

use crate::config::AttemptConfig;
use crate::id::Entropy;
use crate::time::millis;

/// The pause after the `attempt`th attempt (from 1): exponential with full jitter, but never
/// shorter than what the target asked for, as far as the ceiling allows that.
#[must_use]
pub fn pause_after(
    attempt: u32,
    asked: Option<Duration>,
    config: &AttemptConfig,
    entropy: &mut Entropy,
) -> Duration {
    let doublings = attempt.saturating_sub(1).min(32);
    let ceiling = config.backoff_base.saturating_mul(1 << doublings.min(31));
    let jitter = entropy.up_to(millis(ceiling.min(config.backoff_max)));
    let asked = asked.unwrap_or_default().min(config.retry_after_max);
    Duration::from_millis(jitter).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AttemptConfig {
        AttemptConfig {
            timeout: Duration::from_secs(1),
            attempts_max: 10,
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(60),
        }
    }

    #[test]
    fn pauses_grow_up_to_the_ceiling_and_are_spread() {
        let mut entropy = Entropy::from_seed([1; 32]);
        for (attempt, ceiling) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (u32::MAX, 1_000)] {
            let pauses: Vec<u64> = (0..500)
                .map(|_| millis(pause_after(attempt, None, &config(), &mut entropy)))
                .collect();
            assert!(pauses.iter().all(|pause| *pause <= ceiling));
            assert!(pauses.iter().any(|pause| *pause < ceiling / 4));
            assert!(pauses.iter().any(|pause| *pause > ceiling * 3 / 4));
        }
    }

    #[test]
    fn the_target_may_ask_for_more_but_not_for_ever() {
        let mut entropy = Entropy::from_seed([1; 32]);
        let mut pause = |asked| {
            pause_after(1, Some(Duration::from_secs(asked)), &config(), &mut entropy).as_secs()
        };
        assert_eq!(pause(7), 7);
        assert_eq!(pause(1_000_000), 60);
    }
}
