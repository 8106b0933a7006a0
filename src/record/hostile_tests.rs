//! Records that somebody else has written with bad intentions.

use super::*;
use crate::time::Wall;

/// Members, a value that they can't have, and the start of the error after the member's name.
const WRONG_MEMBERS: &str = include_str!("../../tests/records/wrong_members.txt");

/// The members that hold text.
const TEXTS: [&str; 11] = [
    "id",
    "correlationId",
    "acceptedAt",
    "method",
    "scheme",
    "authority",
    "replyTo",
    "failureTo",
    "orderKey",
    "route",
    "cluster",
];

#[test]
fn a_wrong_member_is_named() {
    for line in WRONG_MEMBERS.trim().lines() {
        let mut cells = line.split('|').map(|cell| cell.trim_matches(' '));
        let mut next = || cells.next().unwrap();
        let (member, value, problem) = (next(), next(), next());
        let path = if member == "path" {
            ""
        } else {
            r#""path":"/","#
        };
        let record = format!(r#"{{{path}"{member}":{value}}}"#);
        let error = decode(record.as_bytes()).expect_err(&record).0;
        let named = match problem.as_bytes() {
            [b':' | b'[' | b'.', ..] => format!("{member}{problem}"),
            _ => problem.to_owned(),
        };
        assert!(error.contains(&named), "{record}: {error}");
    }
}

#[test]
fn no_text_can_carry_a_line_end_or_half_a_character() {
    for member in TEXTS.into_iter().chain(["path"]) {
        for value in [
            r"/x\r\nx-evil: 1",
            r"https://h/\nx",
            r"/\r",
            r"/\u0000",
            r"/\u007f",
            r"/\u001b[2J",
            r"/\ud800",
            r"/\udc00\ud800",
        ] {
            let path = if member == "path" {
                ""
            } else {
                r#""path":"/","#
            };
            let record = format!(r#"{{{path}"{member}":"{value}"}}"#);
            let error = decode(record.as_bytes()).expect_err(&record).0;
            assert!(error.contains(member), "{record}: {error}");
        }
    }
}

#[test]
fn members_that_stand_there_twice_or_too_deep_spoil_a_record() {
    for (member, value) in [
        ("replyTo", r#""/x""#),
        ("failureTo", r#""/x""#),
        ("deliverAt", "0"),
        ("maxAgeMs", "1"),
        ("retries", "1"),
        ("timeoutMs", "1"),
        ("orderKey", r#""x""#),
        ("route", r#""x""#),
        ("cluster", r#""x""#),
        ("progress", "{}"),
    ] {
        let twice = format!(r#"{{"path":"/","{member}":{value},"{member}":{value}}}"#);
        let error = decode(twice.as_bytes()).expect_err(&twice).0;
        assert!(error.contains("duplicate field"), "{twice}: {error}");
        for brackets in ["[", r#"{"a":"#] {
            let deep = format!(r#"{{"path":"/","{member}":{}"#, brackets.repeat(100_000));
            assert!(decode(deep.as_bytes()).is_err(), "{member}");
            let within = format!(
                r#"{{"path":"/","progress":{{"x":{}"#,
                brackets.repeat(100_000)
            );
            assert!(decode(within.as_bytes()).is_err());
        }
    }
}

#[test]
fn texts_and_lists_have_their_limits() {
    let record = |member: &str, value: &str| format!(r#"{{"path":"/","{member}":{value}}}"#);
    let text = |start: &str, length: usize| format!("\"{start}{}\"", "x".repeat(length));
    let attempts = |count: usize| {
        let one = format!(r#"{{"attempt":1,"at":0,"excerpt":{}}}"#, text("", 2_048));
        format!(r#"{{"history":[{}]}}"#, vec![one; count].join(","))
    };
    for (member, fits, too_long) in [
        ("replyTo", text("/", 8_191), text("/", 8_192)),
        ("failureTo", text("http://", 8_185), text("http://", 8_186)),
        ("orderKey", text("", 256), text("", 257)),
        ("route", text("", 256), text("", 257)),
        ("cluster", text("", 256), text("", 257)),
        ("progress", attempts(20), attempts(21)),
        (
            "progress",
            attempts(1),
            attempts(1).replace(":\"x", ":\"xx"),
        ),
    ] {
        let fits = record(member, &fits);
        assert!(decode(fits.as_bytes()).is_ok(), "{:.80}", fits);
        let too_long = record(member, &too_long);
        let error = decode(too_long.as_bytes()).expect_err(member).0;
        assert!(error.starts_with(member), "{error}");
    }
}

#[test]
fn other_publishers_may_write_times_as_numbers_and_leave_members_out() {
    for (value, expected) in [
        (r#""2026-11-23T05:36:00+01:00""#, Some(1_795_408_560_000)),
        ("1795408560", Some(1_795_408_560_000)),
        ("1795408560.25", Some(1_795_408_560_250)),
        ("1.79540856e9", Some(1_795_408_560_000)),
        ("-1", Some(0)),
        ("-1.5", Some(0)),
        ("null", None),
    ] {
        let record = format!(r#"{{"path":"/","deliverAt":{value},"progress":null}}"#);
        let head = decode(record.as_bytes()).unwrap().head;
        assert_eq!(head.deliver_at, expected.map(Wall), "{value}");
        assert!(head.progress.is_none());
    }
}

#[test]
fn a_mistake_as_long_as_the_record_is_told_in_short() {
    let long = "\u{20ac}".repeat(200_000);
    for record in [
        format!(r#"{{"path":"/","method":"{long}"}}"#),
        format!(r#"{{"path":"/","version":"{long}"}}"#),
        format!(r#"{{"path":"/","deliverAt":"{long}"}}"#),
        format!(r#"{{"path":"/","{long}":}}"#),
        format!(r#"{{"path":"/","bodyBase64":"{long}"}}"#),
    ] {
        let error = decode(record.as_bytes()).expect_err("long").0;
        assert!(error.len() <= 1_000, "{} bytes", error.len());
    }
}
