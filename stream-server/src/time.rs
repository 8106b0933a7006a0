//! Time as the rest of the crate sees it: milliseconds since the Unix epoch, passed as an argument.
//!
//! Only [`Clock`] reads the machine's clocks. Everything that decides something takes a [`TimeMs`],
//! so that tests and simulations own the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeMs(pub u64);

impl TimeMs {
    /// Bytes of every moment as text.
    pub(crate) const TEXT_BYTES: usize = "2018-04-20T23:21:12.428Z".len();

    /// Returns the moment `duration_ms` later; stops at the largest moment instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// Reads an RFC 3339 time such as `2026-11-23T01:02:03.456Z`; digits beyond milliseconds are
    /// cut off. `None` for anything else, and for times before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(moment.as_millisecond()).ok().map(Self)
    }
}

/// RFC 3339 in UTC with milliseconds, as OCI Streaming writes it: `2018-04-20T23:21:12.428Z`.
impl fmt::Display for TimeMs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(out, "{moment:.3}")
    }
}

/// The time, as two readings with different promises.
#[derive(Debug)]
pub struct Clock(Source);

#[derive(Debug)]
enum Source {
    Machine {
        started: Instant,
        started_at: TimeMs,
    },
    Given(Arc<GivenTime>),
}

/// The time of a simulation: whatever it was told last, in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct GivenTime {
    /// What [`Clock::wall`] shows.
    pub wall_ms: AtomicU64,
    /// What [`Clock::steady`] shows. It must not go back.
    pub steady_ms: AtomicU64,
}

impl Clock {
    /// Returns a clock that starts at the machine's present wall time.
    #[must_use]
    pub fn start() -> Self {
        Self(Source::Machine {
            started: Instant::now(),
            started_at: wall_now(),
        })
    }

    /// Returns a clock that shows what a simulation says.
    #[must_use]
    pub const fn given(time: Arc<GivenTime>) -> Self {
        Self(Source::Given(time))
    }

    /// Wall time, for what is stored (timestamps of messages). It may jump when the machine's clock
    /// is set.
    #[must_use]
    pub fn wall(&self) -> TimeMs {
        match &self.0 {
            Source::Machine { .. } => wall_now(),
            Source::Given(time) => TimeMs(time.wall_ms.load(Ordering::Relaxed)),
        }
    }

    /// Time that never jumps, for deadlines (reservations, cursors): wall time at the start plus
    /// the time that has passed since.
    #[must_use]
    pub fn steady(&self) -> TimeMs {
        match &self.0 {
            Source::Machine {
                started,
                started_at,
            } => {
                let passed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                started_at.plus_ms(passed_ms)
            }
            Source::Given(time) => TimeMs(time.steady_ms.load(Ordering::Relaxed)),
        }
    }
}

fn wall_now() -> TimeMs {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimeMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::TimeMs;

    #[test]
    fn times_are_written_with_milliseconds_and_z() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_524_266_472_428, "2018-04-20T23:21:12.428Z"),
            (1_524_266_472_000, "2018-04-20T23:21:12.000Z"),
        ] {
            assert_eq!(TimeMs(ms).to_string(), text);
            assert_eq!(TimeMs::parse_rfc3339(text), Some(TimeMs(ms)));
            assert_eq!(text.len(), TimeMs::TEXT_BYTES);
        }
    }

    #[test]
    fn every_moment_takes_as_many_bytes() {
        for ms in [0, 1, 253_402_207_199_999, 253_402_300_799_999, u64::MAX] {
            assert_eq!(TimeMs(ms).to_string().len(), TimeMs::TEXT_BYTES, "{ms}");
        }
    }

    #[test]
    fn microseconds_and_zones_are_understood_and_nonsense_is_not() {
        let expected = Some(TimeMs(1_795_395_723_456));
        for text in [
            "2026-11-23T01:02:03.456000Z",
            "2026-11-23T01:02:03.456Z",
            "2026-11-23T02:02:03.456+01:00",
        ] {
            assert_eq!(TimeMs::parse_rfc3339(text), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "Fri Feb 21 2020",
            "2026-11-23",
            "1950-01-01T00:00:00Z",
        ] {
            assert_eq!(TimeMs::parse_rfc3339(text), None, "{text}");
        }
    }
}
