//! Times, as letters have them (RFC 3339) and as people write them.

use jiff::Timestamp;
use sluice::time_text::parse_duration;

/// Reads RFC 3339.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Returns the time with milliseconds, such as `2026-11-23T04:36:00.123Z`, for programs.
#[must_use]
pub fn exact(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

/// Returns the time to the second, such as `2026-11-23T04:36:00Z`, for people; `--since` accepts
/// it.
#[must_use]
pub fn rough(moment: Timestamp) -> String {
    // Formatting cuts everything below the given precision.
    format!("{moment:.0}")
}

/// Reads a time as people write it: RFC 3339, or a duration back from `now`, such as `90s`, `30m`,
/// `2h` or `7d`, in all forms that the filter accepts.
///
/// # Errors
/// What may be written.
pub fn given(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(moment) = parse(text) {
        return Ok(moment);
    }
    let back = parse_duration(text).ok();
    back.and_then(|duration| now.checked_sub(duration).ok())
        .ok_or_else(|| {
            format!(
                "{text:?} is not a valid time; write RFC 3339 such as 2026-11-23T04:36:00Z, or a \
                 duration back such as 90s, 30m, 2h or 7d"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_durations_back() {
        let now = parse("2026-11-25T12:00:00Z").unwrap();
        for (text, moment) in [
            ("2026-11-23T04:36:00.123Z", "2026-11-23T04:36:00.123Z"),
            ("2026-11-23T06:36:00+02:00", "2026-11-23T04:36:00.000Z"),
            ("90s", "2026-11-25T11:58:30.000Z"),
            ("30m", "2026-11-25T11:30:00.000Z"),
            ("2h", "2026-11-25T10:00:00.000Z"),
            ("7d", "2026-11-18T12:00:00.000Z"),
            ("1d12h", "2026-11-24T00:00:00.000Z"),
            ("PT90S", "2026-11-25T11:58:30.000Z"),
        ] {
            assert_eq!(exact(given(text, now).unwrap()), moment, "{text}");
        }
        for text in [
            "",
            "h",
            "2",
            "2w",
            "-2h",
            "yesterday",
            "99999999999d",
            "4294967295d",
            "2ä",
        ] {
            assert!(given(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn people_get_seconds() {
        assert_eq!(
            rough(parse("2026-11-23T04:36:00.999Z").unwrap()),
            "2026-11-23T04:36:00Z"
        );
    }
}
