//! Times and durations as people and other publishers write them, read without a clock.
//!
//! This is own code because the crates that read both forms add several hundred kilobytes to the
//! filter and accept forms without a fixed length, such as months. Fractions of a millisecond are
//! rounded up, so that nothing that waits for such a time is early.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::time::{Wall, days_from_civil, millis};

/// The last millisecond of the year 9999, the last year that RFC 3339 can write.
pub const LATEST: Wall = Wall(253_402_300_799_999);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// Units of `1h30m`, with their lengths in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];
/// Units of ISO 8601 before and after the `T`.
const ISO_DATE_UNITS: [(&str, u64); 2] = [("W", WEEK), ("D", DAY)];
const ISO_TIME_UNITS: [(&str, u64); 3] = [("H", HOUR), ("M", MINUTE), ("S", SECOND)];

/// Why a text is not a valid duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDuration {
    /// A number without a unit may mean seconds or milliseconds.
    NoUnit,
    /// Years and months have no fixed length.
    Calendar,
    /// It has a minus sign.
    Negative,
    /// It has more milliseconds than 64 bits can count.
    TooLong,
    /// It has none of the forms.
    Malformed,
}

impl fmt::Display for NoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoUnit => "has no unit, so that it may mean seconds or milliseconds",
            Self::Calendar => "counts years or months, which have no fixed length",
            Self::Negative => "is negative",
            Self::TooLong => "is too long",
            Self::Malformed => "is not a valid duration",
        })
    }
}

/// Reads a duration: `90s`, `250ms`, `1.5h`, sums such as `1h30m` with the longest unit first, or
/// ISO 8601-1 §5.5.2.2 without years and months: `PT90S`, `P1DT12H`, `P2W`. A day has 24 hours.
///
/// # Errors
/// Why it is not a valid duration.
pub fn parse_duration(text: &str) -> Result<Duration, NoDuration> {
    if text.starts_with('-') {
        return Err(NoDuration::Negative);
    }
    let Some(iso) = text.strip_prefix('P') else {
        let number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        if !text.is_empty() && text.bytes().all(number) {
            return Err(NoDuration::NoUnit);
        }
        return Ok(Duration::from_millis(sum(text, &UNITS)?));
    };
    let (date, time) = match iso.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (iso, None),
    };
    if date.contains(['Y', 'M']) {
        return Err(NoDuration::Calendar);
    }
    let days = match (date, time) {
        ("", Some(_)) => 0,
        _ => sum(date, &ISO_DATE_UNITS)?,
    };
    let rest = time.map_or(Ok(0), |time| sum(time, &ISO_TIME_UNITS))?;
    let total = days.checked_add(rest).ok_or(NoDuration::TooLong)?;
    Ok(Duration::from_millis(total))
}

/// Adds up one or more `NUMBER UNIT`, each unit at most once and in the order of `units`. Only the
/// last number may have a fraction.
fn sum(text: &str, mut units: &[(&str, u64)]) -> Result<u64, NoDuration> {
    let (mut rest, mut total, mut fraction) = (text, 0_u64, false);
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
        let (number, after) = rest
            .split_at_checked(end.ok_or(NoDuration::Malformed)?)
            .ok_or(NoDuration::Malformed)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after
            .split_at_checked(end.unwrap_or(after.len()))
            .ok_or(NoDuration::Malformed)?;
        let place = units.iter().position(|(name, _)| *name == unit);
        let (_, unit_ms) = place
            .and_then(|place| units.get(place))
            .filter(|_| !fraction)
            .ok_or(NoDuration::Malformed)?;
        fraction = number.contains(['.', ',']);
        let length = product(number, *unit_ms)?;
        total = total.checked_add(length).ok_or(NoDuration::TooLong)?;
        units = units
            .get(place.unwrap_or_default() + 1..)
            .unwrap_or_default();
        if after.is_empty() {
            return Ok(total);
        }
        rest = after;
    }
}

/// Returns a decimal number of a unit, in milliseconds.
fn product(number: &str, unit_ms: u64) -> Result<u64, NoDuration> {
    let (whole, fraction) = match number.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, fraction_of(fraction, unit_ms)),
        None => (number, Some(0)),
    };
    if whole.is_empty() || !digits(whole) {
        return Err(NoDuration::Malformed);
    }
    let fraction = fraction.ok_or(NoDuration::Malformed)?;
    // The text has only digits, so only an overflow can make this fail.
    let whole: u64 = whole.parse().map_err(|_| NoDuration::TooLong)?;
    whole
        .checked_mul(unit_ms)
        .and_then(|length| length.checked_add(fraction))
        .ok_or(NoDuration::TooLong)
}

/// Returns a decimal fraction of one or more digits of a unit, in milliseconds, rounded up. Digits
/// after the ninth only decide whether something is rounded up.
fn fraction_of(fraction: &str, unit_ms: u64) -> Option<u64> {
    const DIGITS: usize = 9;
    if fraction.is_empty() || !digits(fraction) {
        return None;
    }
    let (first, rest) = fraction.split_at(fraction.len().min(DIGITS));
    let scale = 10_u64.pow(u32::try_from(first.len()).ok()?);
    let is_more = rest.bytes().any(|digit| digit != b'0');
    let number = first.parse::<u64>().ok()?.checked_add(u64::from(is_more))?;
    Some(number.checked_mul(unit_ms)?.div_ceil(scale))
}

/// Reads a time in any accepted form: RFC 3339, HTTP-date (RFC 9110 §5.6.7, all three forms), or
/// Unix seconds, with or without a fraction. A time before 1970 counts as 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<Wall> {
    parse_unix_seconds(text)
        .or_else(|| parse_rfc_3339(text))
        .or_else(|| parse_http_date(text))
}

/// Reads an HTTP-date (RFC 9110 §5.6.7).
#[must_use]
pub fn parse_http_date(text: &str) -> Option<Wall> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(Wall(millis(date.duration_since(UNIX_EPOCH).ok()?)))
}

/// Reads seconds since 1970, such as `1795408560` or `1795408560.25`, up to the year 9999.
#[must_use]
pub fn parse_unix_seconds(text: &str) -> Option<Wall> {
    let time = Wall(product(text, SECOND).ok()?);
    (time <= LATEST && !text.contains(',')).then_some(time)
}

/// Reads a time of RFC 3339 §5.6, in either case, with an offset, with a fraction of any number of
/// digits, and with a leap second where there can be one: it counts as the following second.
#[must_use]
pub fn parse_rfc_3339(text: &str) -> Option<Wall> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction_ms) = match time.split_once('.') {
        Some((clock, fraction)) => (clock, fraction_of(fraction, SECOND)?),
        None => (time, 0),
    };
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = seconds - offset_seconds(zone)?;
    // RFC 3339 §5.7: leap seconds end a day in UTC.
    if second == 60 && seconds.rem_euclid(86_400) != 0 {
        return None;
    }
    let seconds = u64::try_from(seconds.max(0)).ok()?;
    let time = Wall(seconds * SECOND + fraction_ms);
    (time <= LATEST).then_some(time)
}

/// Returns the seconds by which local time is ahead of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, offset) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(offset), _) => (1, offset),
        (_, Some(offset)) => (-1, offset),
        (None, None) => return None,
    };
    let [hours, minutes] = numbers(offset, ':', [2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Reads numbers of exactly these widths, with a separator between them.
fn numbers<const COUNT: usize>(
    text: &str,
    separator: char,
    widths: [usize; COUNT],
) -> Option<[i64; COUNT]> {
    let mut result = [0; COUNT];
    let mut parts = text.split(separator);
    for (number, width) in result.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *number = digits(part).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(result)
}

impl Serialize for Wall {
    /// Writes RFC 3339.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wall {
    /// Reads RFC 3339, or a number of Unix seconds, which may be easier for other publishers.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WallVisitor)
    }
}

struct WallVisitor;

impl Visitor<'_> for WallVisitor {
    type Value = Wall;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time of RFC 3339 or Unix seconds, up to the year 9999")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Wall, E> {
        parse_rfc_3339(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Wall, E> {
        let time = seconds.checked_mul(SECOND).map(Wall);
        time.filter(|time| *time <= LATEST)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Wall, E> {
        self.visit_u64(u64::try_from(seconds).unwrap_or_default())
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Wall, E> {
        let millis = format!("{:.0}", (seconds * 1_000.0).ceil().max(0.0));
        let time = millis.parse().ok().map(Wall);
        time.filter(|time| *time <= LATEST)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(seconds), &self))
    }
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_fixed_length() {
        for (text, expected_ms) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("0s", 0),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1.5h", 5_400_000),
            ("1h0.0000001s", 3_600_001),
            ("0.1234567890s", 124),
            ("0.1230000000000000000000000s", 123),
            ("PT0.12300000000000000000000001S", 124),
            ("PT90S", 90_000),
            ("PT0.25S", 250),
            ("PT0,25S", 250),
            ("PT1H30M", 5_400_000),
            ("P1DT12H", 129_600_000),
            ("P2W", 1_209_600_000),
            ("P1W1D", 691_200_000),
            ("18446744073709551615ms", u64::MAX),
        ] {
            let expected = Ok(Duration::from_millis(expected_ms));
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (reason, texts) in [
            (NoDuration::NoUnit, &["90", "0", "1.5", "."][..]),
            (
                NoDuration::Calendar,
                &["P1Y", "P1M", "P1Y2M3DT4H", "P1MT1M"],
            ),
            (NoDuration::Negative, &["-5s", "-PT5S", "-1"]),
            (
                NoDuration::TooLong,
                &[
                    "18446744073709551616ms",
                    "18446744073709551615s",
                    "213503982335d",
                    "18446744073709551615ms1ms",
                    "P30500568904943W",
                    "99999999999999999999999999999999d",
                ],
            ),
            (
                NoDuration::Malformed,
                &[
                    "", "s", "5 s", "5S", "5x", "5min", "1m1h", "1s1s", "1.5h30m", "+5s", "1e3s",
                    "P", "PT", "PT5", "P5", "P1DT", "P5S", "PT5D", "PT1S1H", "pt5s", "P-1D", ".5s",
                    "5.s", "1.2.3s", "5s ", "\u{665}s", "5\u{b5}s",
                ],
            ),
        ] {
            for text in texts {
                // A unit that is there twice is malformed before it is too long.
                let expected = match *text {
                    "18446744073709551615ms1ms" => NoDuration::Malformed,
                    _ => reason,
                };
                assert_eq!(parse_duration(text), Err(expected), "{text:?}");
            }
        }
    }

    #[test]
    fn one_moment_is_read_in_every_form() {
        for text in [
            "2026-11-23T04:36:00Z",
            "2026-11-23t04:36:00z",
            "2026-11-23T04:36:00.000000000Z",
            "2026-11-23T06:06:00+01:30",
            "2026-11-22T20:36:00-08:00",
            "2026-11-23T04:36:00-00:00",
            "Mon, 23 Nov 2026 04:36:00 GMT",
            "Monday, 23-Nov-26 04:36:00 GMT",
            "Mon Nov 23 04:36:00 2026",
            "1795408560",
            "1795408560.0",
        ] {
            assert_eq!(parse_time(text), Some(Wall(1_795_408_560_000)), "{text}");
        }
    }

    #[test]
    fn fractions_are_rounded_up_and_leap_seconds_are_the_next_second() {
        for (text, expected) in [
            ("2026-11-23T04:36:00.1Z", "2026-11-23T04:36:00.100Z"),
            ("2026-11-23T04:36:00.0001Z", "2026-11-23T04:36:00.001Z"),
            ("2026-11-23T04:36:00.9999Z", "2026-11-23T04:36:01.000Z"),
            (
                "2026-11-23T04:36:00.1234567890Z",
                "2026-11-23T04:36:00.124Z",
            ),
            (
                "2026-11-23T04:36:00.1000000000000Z",
                "2026-11-23T04:36:00.100Z",
            ),
            (
                "2026-11-23T04:36:00.1000000000001+00:00",
                "2026-11-23T04:36:00.101Z",
            ),
            (
                "2026-11-23T04:36:00.99999999999999999999Z",
                "2026-11-23T04:36:01.000Z",
            ),
            ("1795408560.0000000000001", "2026-11-23T04:36:00.001Z"),
            ("1795408560.0001", "2026-11-23T04:36:00.001Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"),
            ("1969-12-31T23:59:59Z", "1970-01-01T00:00:00.000Z"),
            ("0000-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("253402300799", "9999-12-31T23:59:59.000Z"),
        ] {
            let time = parse_time(text).map(|time| time.to_string());
            assert_eq!(time.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "tomorrow",
            "5s",
            "-5",
            "1e9",
            "1,5",
            "253402300800",
            "99999999999999999999",
            "2026-11-23",
            "2026-11-23T04:36:00",
            "2026-11-23 04:36:00Z",
            "2026-11-23T04:36Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T04:60:00Z",
            "2026-11-23T04:36:60Z",
            "2026-11-23T04:36:61Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-23T04:36:00+24:00",
            "2026-11-23T04:36:00+1:00",
            "2026-11-23T04:36:00+0100",
            "2026-11-23T04:36:00.Z",
            "2026-11-23T04:36:00.1234567890xZ",
            "2026-11-23T04:36:00.123456789-Z",
            "2026-11-23T04:36:00ZZ",
            "+2026-11-23T04:36:00Z",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T23:59:59.9999Z",
            "Mon, 23 Nov 2026 04:36:00 CET",
            "Mon, 32 Nov 2026 04:36:00 GMT",
        ] {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
