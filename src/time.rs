//! The two clocks of the core. Both are arguments: nothing in here asks a host for the time.
//!
//! Deadlines and pauses are measured on the steady clock, which never jumps. Times in records and
//! answers come from the wall clock.

use std::fmt;
use std::time::Duration;

/// Milliseconds on a clock that never goes back, from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steady(pub u64);

impl Steady {
    /// Returns the moment `duration` after this one; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Returns how long it is from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

impl Wall {
    /// Returns the moment `duration` after this one; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Returns how long it is from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Wall {
    /// Writes RFC 3339 in UTC with milliseconds, such as `2026-11-23T04:36:00.123Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day) = (self.0 / MILLIS_PER_DAY, self.0 % MILLIS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

/// The time on both clocks when an input arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub steady: Steady,
    /// For records and answers.
    pub wall: Wall,
}

const MILLIS_PER_DAY: u64 = 86_400_000;

/// Returns a duration in whole milliseconds; saturates.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the Gregorian date of a day counted from 1970-01-01, by the arithmetic of era, day of
/// era and year of era (400 Gregorian years are always 146,097 days).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Returns the day of a Gregorian date, counted from 1970-01-01. It is the inverse of
/// [`civil_from_days`], for the years 0 to 9999 and valid months and days.
pub(crate) const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_read_as_rfc_3339() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_408_560_123, "2026-11-23T04:36:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Wall(unix_ms).to_string(), expected);
        }
    }

    #[test]
    fn every_day_has_one_date() {
        for day in 0..=2_932_896_u64 {
            let (year, month, date) = civil_from_days(day);
            let [year, month, date] = [year, month, date].map(|part| i64::try_from(part).unwrap());
            let back = days_from_civil(year, month, date);
            assert_eq!(u64::try_from(back), Ok(day), "{year}-{month}-{date}");
        }
    }

    #[test]
    fn steady_arithmetic_saturates() {
        let latest = Steady(u64::MAX);
        assert_eq!(latest.plus(Duration::from_secs(1)), latest);
        assert_eq!(Steady(1).since(latest), Duration::ZERO);
    }
}
