//! What callers may ask for: every option with good and bad values, and what a refusal says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use sluice::accept::options::Options;
use sluice::call_option::CallOption;
use sluice::record::reply_address::ReplyAddress;
use sluice::time::Wall;

use support::asking::{NOW, ask, gateway, refused};

fn options(name: &str, value: &str) -> Options {
    let admitted = ask(&gateway(""), &[(name, value.as_bytes())]);
    admitted
        .unwrap_or_else(|refusal| panic!("{name}: {value}: {refusal:?}"))
        .options
}

#[test]
fn the_earliest_time_is_read_in_every_form() {
    let in_a_minute = Some(Wall(NOW.0 + 60_000));
    for (name, value, expected) in [
        ("Async-Deliver-At", "2026-11-23T04:37:00Z", in_a_minute),
        (
            "Async-Deliver-At",
            "2026-11-23t05:37:00.000+01:00",
            in_a_minute,
        ),
        (
            "Async-Deliver-At",
            "Mon, 23 Nov 2026 04:37:00 GMT",
            in_a_minute,
        ),
        (
            "Async-Deliver-At",
            "Monday, 23-Nov-26 04:37:00 GMT",
            in_a_minute,
        ),
        ("Async-Deliver-At", "Mon Nov 23 04:37:00 2026", in_a_minute),
        ("Async-Deliver-At", "1795408620", in_a_minute),
        ("Async-Deliver-At", "1795408619.9999", in_a_minute),
        ("Async-Deliver-At", "2026-11-23T04:36:00Z", None),
        ("Async-Deliver-At", "1994-11-06T08:49:37Z", None),
        ("Async-Deliver-At", "1969-12-31T23:59:59Z", None),
        ("Async-Deliver-At", "0", None),
        (
            "Async-Deliver-At",
            "2027-11-24T04:36:00Z",
            Some(Wall(NOW.0 + 366 * 86_400_000)),
        ),
        ("Async-Delay", "60s", in_a_minute),
        ("Async-Delay", "1m", in_a_minute),
        ("Async-Delay", "60000ms", in_a_minute),
        ("Async-Delay", "PT1M", in_a_minute),
        ("Async-Delay", "0s", None),
        ("Async-Delay", "PT0S", None),
        ("Async-Delay", "366d", Some(Wall(NOW.0 + 366 * 86_400_000))),
    ] {
        assert_eq!(options(name, value).deliver_at, expected, "{name}: {value}");
    }
}

#[test]
fn numbers_and_durations_are_taken_up_to_their_ceilings() {
    let seconds = |number| Some(Duration::from_secs(number));
    for (value, expected) in [
        ("1s", 1),
        ("PT24H", 86_400),
        ("7d", 604_800),
        ("P1W", 604_800),
    ] {
        assert_eq!(options("Async-Max-Age", value).max_age, seconds(expected));
    }
    for (value, expected) in [("1ms", 1), ("1.5s", 1_500), ("5m", 300_000)] {
        let timeout = options("Async-Timeout", value).timeout;
        assert_eq!(timeout, Some(Duration::from_millis(expected)));
    }
    for (value, expected) in [("0", 0), ("007", 7), ("100", 100)] {
        assert_eq!(options("Async-Retries", value).retries, Some(expected));
    }
}

#[test]
fn texts_are_taken_as_they_stand() {
    let long = "x".repeat(256);
    for value in ["c", "a,b;c=\"d\"", long.as_str()] {
        let given = Some(value.to_owned());
        assert_eq!(options("Async-Correlation-Id", value).correlation_id, given);
        assert_eq!(options("Async-Order-Key", value).order_key, given);
    }
    for url in ["http://h", "HTTPS://h:1/a?b", "https://h/%00"] {
        let given = Some(ReplyAddress::Url(url.to_owned()));
        assert_eq!(options("Async-Target", url).target.as_deref(), Some(url));
        assert_eq!(options("Async-Reply-To", url).reply_to, given);
        assert_eq!(options("Async-Failure-To", url).failure_to, given);
    }
    let path = format!("/{}", "x".repeat(8_191));
    let given = Some(ReplyAddress::Path(path.clone()));
    assert_eq!(options("Async-Reply-To", &path).reply_to, given);
}

#[test]
fn an_idempotency_key_is_a_string_with_quotes_or_without() {
    let most = "k".repeat(256);
    for (value, expected) in [
        ("\"8e03978e-40d5\"", "8e03978e-40d5"),
        ("8e03978e-40d5", "8e03978e-40d5"),
        ("\"a b\"", "a b"),
        (r#""a\"b\\c""#, r#"a"b\c"#),
        ("a\"b", "a\"b"),
        (&format!("\"{most}\""), most.as_str()),
    ] {
        let lines: &[(&str, &[u8])] = &[("Idempotency-Key", value.as_bytes())];
        let admitted = ask(&gateway(""), lines).unwrap();
        let key = admitted.options.idempotency_key;
        assert_eq!(key.as_deref(), Some(expected), "{value}");
        let kept = &admitted.head.headers[0];
        assert_eq!(kept.1, value.as_bytes(), "the target sees it as it came");
    }
}

/// Header, value, and what the refusal says of it.
const WRONG: &str = r#"
Async-Delay           | 90                        | : "90" has no unit
Async-Delay           |                           | : "" is not a valid duration. Give a duration
Async-Delay           | soon                      | : "soon" is not a valid duration
Async-Delay           | -5s                       | is negative
Async-Delay           | P1M                       | counts years or months, which have no fixed
Async-Delay           | 366d1ms                   | is too long. Give a duration such as 250ms
Async-Delay           | 99999999999999999999d     | up to 31622400s.
Async-Delay           | 5s, 6s                    | is not a valid duration
Async-Deliver-At      | tomorrow                  | is not a valid time. Give a time as RFC 3339
Async-Deliver-At      | 2026-02-30T00:00:00Z      | is not a valid time
Async-Deliver-At      | 2027-11-24T04:36:00.001Z  | is too far ahead
Async-Deliver-At      | 1795408620000             | is not a valid time: it looks like milliseconds
Async-Max-Age         | 999ms                     | is too short. Give a duration
Async-Max-Age         | 604801s                   | from 1s to 604800s.
Async-Timeout         | 0s                        | is too short
Async-Timeout         | 301s                      | from 1ms to 300s.
Async-Retries         | -1                        | is not a whole number
Async-Retries         | +1                        | is not a whole number
Async-Retries         | 1.0                       | is not a whole number
Async-Retries         | 101                       | is too many. Give a whole number from 0 to 100.
Async-Retries         | 18446744073709551617      | is too many
Async-Target          | /path                     | is a path. Give an absolute http or https URL
Async-Target          | ftp://h                   | must be an absolute http or https URL
Async-Reply-To        | //h/x                     | must not start with two slashes
Async-Reply-To        | h/x                       | must be an absolute http or https URL or start
Async-Reply-To        | http://                   | must be an absolute
Async-Reply-To        | /a b                      | must be visible ASCII, percent-encoded
Async-Failure-To      |                           | must have 1 to 8192 characters
Async-Correlation-Id  |                           | has 0 characters
Async-Correlation-Id  | a b                       | has a character that isn't visible ASCII
Async-Order-Key       | a	b                       | "a\tb" has a character that isn't visible ASCII
Idempotency-Key       | ""                        | has 0 characters
Idempotency-Key       | a b                       | has a character that isn't visible ASCII
Idempotency-Key       | "a                        | has no closing quote
Idempotency-Key       | "a"b"                     | has a quote within
Idempotency-Key       | "a\b"                     | has a backslash that escapes nothing
Idempotency-Key       | "a\"                      | has a backslash that escapes nothing
"#;

/// Returns every way in which an option can be wrong.
fn wrong() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut rows = Vec::new();
    for line in WRONG.trim().lines() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim_matches(' ')).collect();
        rows.push((cells[0], cells[1].as_bytes().to_vec(), cells[2]));
    }
    for option in CallOption::ALL {
        let name = option.default_header();
        let unprintable = "has a character that isn't visible ASCII";
        rows.push((name, vec![0xff], unprintable));
        rows.push((name, vec![b'a', 0], unprintable));
        rows.push((name, b"a\r\nx: y".to_vec(), unprintable));
    }
    let long = "has 257 characters";
    rows.push((
        "Async-Reply-To",
        vec![b'/'; 8_193],
        "must have 1 to 8192 characters",
    ));
    rows.push(("Async-Correlation-Id", vec![b'x'; 257], long));
    rows.push(("Async-Order-Key", vec![b'x'; 257], long));
    rows.push(("Idempotency-Key", vec![b'x'; 257], long));
    rows
}

#[test]
fn a_wrong_option_is_refused_with_its_name_its_value_and_what_is_accepted() {
    for (name, value, problem) in wrong() {
        let (status, header, detail) = refused(&gateway(""), &[(name, &value)]);
        assert_eq!((status, header.as_str()), (400, name), "{detail}");
        assert!(detail.starts_with(&format!("{name}: \"")), "{detail}");
        assert!(detail.contains(problem), "{problem:?} is not in {detail:?}");
        assert!(
            detail.contains(". Give ") && detail.is_ascii() != (value.len() > 64),
            "{detail}"
        );
        assert!(detail.len() < 420, "{detail}");
    }
}

#[test]
fn an_option_stands_there_once() {
    for option in CallOption::ALL {
        let name = option.default_header();
        let (status, header, detail) = refused(&gateway(""), &[(name, b"/x"), (name, b"/x")]);
        assert_eq!((status, header.as_str()), (400, name));
        assert!(detail.starts_with(&format!("{name} stands there more than once. Give ")));
    }
    let both: [(&str, &[u8]); 2] = [
        ("Async-Delay", b"5s"),
        ("Async-Deliver-At", b"2026-11-23T04:37:00Z"),
    ];
    let (_, header, detail) = refused(&gateway(""), &both);
    assert_eq!(header, "Async-Delay");
    assert_eq!(
        detail,
        "Async-Delay stands beside Async-Deliver-At. Give one of the two."
    );
}

#[test]
fn the_reference_shows_what_is_really_said() {
    let reference =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md"));
    let reference = reference.unwrap();
    let shown: Vec<(&str, &str)> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| refused: `")?.strip_suffix(" |"))
        .filter_map(|line| line.split_once("` | "))
        .collect();
    assert!(shown.len() >= CallOption::ALL.len(), "{shown:?}");
    for (request, detail) in shown {
        let (name, value) = request.split_once(": ").unwrap();
        let (_, _, said) = refused(&gateway(""), &[(name, value.as_bytes())]);
        assert_eq!(detail, said, "{request}");
    }
}
