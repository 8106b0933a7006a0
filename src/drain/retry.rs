//! Step 2c: when the next attempt is made, and when the last one was made.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::id::Entropy;
use crate::limits::{LAST_ATTEMPT_DIVISOR, LAST_ATTEMPT_MAX};
use crate::time::{Wall, millis};

/// A call has expired when its time is over, and clocks show whole milliseconds.
const A_MOMENT: Duration = Duration::from_millis(1);

/// How often, how long and within which time a call is attempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first attempt, if the call doesn't ask for a number.
    pub retries_default: u32,
    /// The most that a call may ask for.
    pub retries_max: u32,
    /// How long after its earliest time a call is given up, if it doesn't ask for a time.
    pub max_age_default: Duration,
    /// The most that a call may ask for.
    pub max_age_max: Duration,
    /// Time limit of one attempt, if the call doesn't ask for one.
    pub timeout_default: Duration,
    /// The most that a call may ask for.
    pub timeout_max: Duration,
    /// Upper bounds of the pauses between attempts.
    pub backoff: Backoff,
    /// Longest Retry-After that is obeyed.
    pub retry_after_max: Duration,
}

impl RetryPolicy {
    /// Returns the pause after the `attempt`th attempt (from 1): exponential with full jitter, but
    /// never shorter than the target has asked for, as far as the ceiling allows.
    #[must_use]
    pub fn pause_after(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        entropy: &mut Entropy,
    ) -> Duration {
        let jitter = entropy.up_to(millis(self.backoff.pause(attempt)));
        let asked = asked.unwrap_or_default().min(self.retry_after_max);
        Duration::from_millis(jitter).max(asked)
    }

    /// Returns the limits of one call: what it asks for, within the operator's ceilings.
    #[must_use]
    pub fn limits_of(&self, asked: &Asked) -> CallLimits {
        let retries = asked.retries.unwrap_or(self.retries_default);
        let max_age = asked.max_age.unwrap_or(self.max_age_default);
        let timeout = asked.timeout.unwrap_or(self.timeout_default);
        let max_age = max_age.min(self.max_age_max);
        CallLimits {
            attempts_max: retries.min(self.retries_max).saturating_add(1),
            expires_at: asked.since.plus(max_age),
            end: (max_age / LAST_ATTEMPT_DIVISOR).min(LAST_ATTEMPT_MAX),
            // Envoy takes zero for "no limit".
            timeout: timeout.min(self.timeout_max).max(Duration::from_millis(1)),
        }
    }
}

/// What a call record asks for. Anybody may have written it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `Async-Retries`.
    pub retries: Option<u32>,
    /// `Async-Max-Age`.
    pub max_age: Option<Duration>,
    /// `Async-Timeout`.
    pub timeout: Option<Duration>,
    /// When its age begins to count: its earliest time, or its last redrive.
    pub since: Wall,
}

/// The limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Attempts altogether, at least 1.
    pub attempts_max: u32,
    /// When it is given up.
    pub expires_at: Wall,
    /// The last part of its time, in which its last attempt is made.
    pub end: Duration,
    /// Time limit of one attempt.
    pub timeout: Duration,
}

/// What a failed call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its next attempt, after this time.
    Attempt(Duration),
    /// The end of its time, after this time: its last attempt is already made.
    Expiry(Duration),
}

impl CallLimits {
    /// Returns what follows on this pause. A call isn't given up before its time, so a pause that
    /// is longer than the rest of its time is cut, and a last attempt is made near the end. Many
    /// calls may end at once, so this attempt is made at a random moment in the first half of
    /// [`Self::end`]; the other half is left for getting there.
    #[must_use]
    pub fn next(&self, pause: Duration, now: Wall, entropy: &mut Entropy) -> Next {
        let left = self.expires_at.since(now);
        if left <= self.end {
            return Next::Expiry(left.saturating_add(A_MOMENT));
        }
        let half = self.end / 2;
        let latest = left.saturating_sub(half);
        if pause <= latest {
            return Next::Attempt(pause);
        }
        let earlier = Duration::from_millis(entropy.up_to(millis(half)));
        Next::Attempt(latest.saturating_sub(earlier))
    }

    /// Returns the longest that a call may be kept from its next attempt and still have one.
    #[must_use]
    pub fn delay_max(&self, now: Wall) -> Duration {
        self.expires_at.since(now).saturating_sub(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            retries_default: 10,
            retries_max: 20,
            max_age_default: Duration::from_secs(100),
            max_age_max: Duration::from_secs(1_000),
            timeout_default: Duration::from_secs(1),
            timeout_max: Duration::from_secs(5),
            backoff: Backoff {
                first: Duration::from_millis(100),
                last: Duration::from_secs(1),
            },
            retry_after_max: Duration::from_secs(60),
        }
    }

    #[test]
    fn pauses_grow_up_to_the_ceiling_and_are_spread() {
        let mut entropy = Entropy::from_seed([1; 32]);
        for (attempt, ceiling) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (u32::MAX, 1_000)] {
            let pauses: Vec<u64> = (0..500)
                .map(|_| millis(policy().pause_after(attempt, None, &mut entropy)))
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
            let asked = Some(Duration::from_secs(asked));
            policy().pause_after(1, asked, &mut entropy).as_secs()
        };
        assert_eq!(pause(7), 7);
        assert_eq!(pause(1_000_000), 60);
    }

    #[test]
    fn a_pause_beyond_the_end_leads_to_a_last_attempt_near_it() {
        let mut entropy = Entropy::from_seed([1; 32]);
        let asked = Asked {
            max_age: Some(Duration::from_secs(10)),
            ..Asked::default()
        };
        let limits = policy().limits_of(&asked);
        assert_eq!(limits.end, Duration::from_secs(1));
        let mut next = |pause: u64, now| {
            let next = limits.next(Duration::from_millis(pause), Wall(now), &mut entropy);
            match next {
                Next::Attempt(pause) => (true, now + millis(pause)),
                Next::Expiry(wait) => (false, now + millis(wait)),
            }
        };
        assert_eq!(next(2_000, 5_000), (true, 7_000));
        assert_eq!(next(0, 8_999), (true, 8_999));
        assert_eq!(next(500, 8_999), (true, 9_499));
        let ends: Vec<u64> = (0..100).map(|_| next(3_600_000, 1_500).1).collect();
        assert!(ends.iter().all(|at| (9_000..=9_500).contains(at)));
        assert!(ends.iter().min() < Some(&9_150) && ends.iter().max() > Some(&9_350));
        for now in [9_000, 9_500, 9_999, 10_000] {
            assert_eq!(next(0, now), (false, 10_001), "its last attempt is made");
        }
        assert_eq!(next(0, 20_000), (false, 20_001));
    }

    #[test]
    fn the_end_of_a_long_time_is_short() {
        let limits = |seconds| {
            let policy = RetryPolicy {
                max_age_max: Duration::MAX,
                ..policy()
            };
            let max_age = Some(Duration::from_secs(seconds));
            policy.limits_of(&Asked {
                max_age,
                ..Asked::default()
            })
        };
        assert_eq!(limits(86_400).end, LAST_ATTEMPT_MAX);
        assert_eq!(limits(u64::MAX).end, LAST_ATTEMPT_MAX);
        let nothing = limits(0);
        let mut entropy = Entropy::from_seed([1; 32]);
        let next = nothing.next(Duration::ZERO, Wall(0), &mut entropy);
        assert_eq!(next, Next::Expiry(A_MOMENT));
        let kept = limits(86_400).delay_max(Wall(0));
        assert_eq!(kept, Duration::from_secs(86_400) - LAST_ATTEMPT_MAX);
    }

    #[test]
    fn a_call_may_ask_within_the_ceilings() {
        let since = Wall(5_000);
        let asked = Asked {
            retries: Some(0),
            max_age: Some(Duration::from_secs(7)),
            timeout: Some(Duration::ZERO),
            since,
        };
        let limits = policy().limits_of(&asked);
        assert_eq!(limits.attempts_max, 1);
        assert_eq!(limits.expires_at, Wall(12_000));
        assert_eq!(limits.timeout, Duration::from_millis(1));
        let greedy = Asked {
            retries: Some(u32::MAX),
            max_age: Some(Duration::MAX),
            timeout: Some(Duration::MAX),
            since,
        };
        let limits = policy().limits_of(&greedy);
        assert_eq!(limits.attempts_max, 21);
        assert_eq!(limits.expires_at, Wall(1_005_000));
        assert_eq!(limits.timeout.as_secs(), 5);
        let silent = Asked {
            since,
            ..Asked::default()
        };
        assert_eq!(policy().limits_of(&silent).attempts_max, 11);
    }
}
