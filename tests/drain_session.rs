//! The session with the consumer group: its pace, its losses, and what a lost one changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::json;
use sluice::drain::Input;
use sluice::http::CalloutResult;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, field, messages, target};

#[test]
fn after_a_lost_session_nothing_is_made_twice() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/done", "/running"]);
    lab.deliver("/done");
    let expired = r#"{"code":"InvalidParameter","message":"The cursor is expired."}"#;
    lab.answer("GET calls/messages", answer(400, &[], expired));
    lab.wait(1_000);
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"again"}"#));
    // The group starts over at what it has committed: both records come again, and a new one.
    lab.fetch(0, &["/done", "/running", "/new"]);
    assert!(!lab.is_open("GET /done"));
    assert_eq!(
        lab.open
            .iter()
            .filter(|callout| target(callout) == "GET /running")
            .count(),
        1
    );
    lab.deliver("/running");
    lab.deliver("/new");
    lab.fetch_nothing(3);
    lab.wait(100);
    assert!(lab.is_open("commit?cursor=after-3"));
    assert_eq!(lab.said.counted(Metric::Delivered), 3);
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

/// The group may have let us in again without a word: so does the stream server where another drain
/// has committed everything that we had read.
#[test]
fn who_was_not_heard_of_for_too_long_starts_over_with_what_it_holds() {
    let mut lab = Lab::joined(r#","group":{"timeoutMs":1000}"#);
    let records = ["/head", "/next"].map(|path| format!(r#"{{"path":"{path}","orderKey":"k"}}"#));
    let records = records.each_ref().map(String::as_str);
    lab.answer("GET calls/messages", messages(0, &records));
    lab.answer("GET /head", answer(503, &[], ""));
    // The whole process stands still, with a fetch open that is answered as if nothing had been.
    lab.wait(3_000);
    assert!(!lab.is_open("GET /head"), "nobody has heard of us");
    lab.fetch_nothing(2);
    lab.wait(100);
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"again"}"#));
    lab.wait(500);
    assert!(!lab.is_open("GET /head"), "another drain has made it");
    // What comes again is ours, and goes on.
    lab.answer("GET calls/messages", messages(1, &records[1..]));
    lab.deliver("/next");
    assert_eq!(lab.said.counted(Metric::Delivered), 1);
}

#[test]
fn a_stream_that_was_away_is_joined_as_soon_as_it_takes_the_cursor_back() {
    let mut lab = Lab::joined(r#","group":{"leaseMs":600000}"#);
    for _ in 0..6 {
        let fetch = lab.take("GET calls/messages");
        lab.input(Input::CalloutDone(fetch.ticket, CalloutResult::Lost));
        lab.wait(5_000);
    }
    lab.answer("GET calls/messages", answer(400, &[], "{}"));
    lab.wait(100);
    assert!(lab.is_open("groupCursors"));
}

#[test]
fn a_group_that_refuses_is_asked_less_and_less_often() {
    let mut lab = Lab::joined("");
    lab.answer("GET calls/messages", answer(400, &[], "{}"));
    for pause in [100, 200, 400] {
        lab.wait(pause - 1);
        assert!(!lab.is_open("groupCursors"), "not before {pause} ms");
        lab.wait(1);
        lab.answer("groupCursors", answer(400, &[], "{}"));
    }
}

#[test]
fn what_a_lost_session_has_left_does_not_fill_the_window() {
    let mut lab = Lab::joined(r#","window":{"calls":2},"limits":{"inFlight":1}"#);
    lab.fetch(0, &["/running", "/waiting"]);
    // The window is full; what is open now is what keeps the session alive.
    lab.wait(4_000);
    lab.input(Input::HealthCheck);
    lab.answer("calls/heartbeat", answer(400, &[], "{}"));
    lab.wait(1_000);
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"again"}"#));
    lab.fetch(0, &["/running", "/waiting"]);
    lab.deliver("/running");
    lab.deliver("/waiting");
    lab.fetch_nothing(2);
    lab.wait(100);
    assert!(lab.is_open("commit?cursor=after-2"));
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_worker_without_health_checks_forgets_what_it_has_lost() {
    let mut lab = Lab::joined(r#","limits":{"inFlight":1}"#);
    lab.fetch(0, &["/running", "/waiting"]);
    lab.answer("GET calls/messages", answer(400, &[], "{}"));
    lab.deliver("/running");
    assert_eq!(lab.said.counted(Metric::Held), 1);
    let now = support::at(lab.millis).steady;
    let due = lab.engine.wakeup(now).map(|due| due.since(now));
    assert!(due.is_some_and(|due| due.as_secs() <= 120), "{due:?}");
    lab.wait(120_000);
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_stream_that_was_made_anew_has_other_records_at_the_same_offsets() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/done", "/running"]);
    lab.deliver("/done");
    lab.answer("GET calls/messages", answer(400, &[], "{}"));
    lab.wait(1_000);
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"again"}"#));
    let records = [r#"{"path":"/other"}"#, r#"{"path":"/another"}"#];
    let anew = support::messages_stored_at("2026-11-24T00:00:00.000Z", 0, &records);
    lab.answer("GET calls/messages", anew);
    lab.deliver("/other");
    lab.fetch_nothing(2);
    lab.wait(100);
    assert!(
        !lab.is_open("commit"),
        "/another is not settled by what was there before"
    );
    lab.deliver("/running");
    lab.deliver("/another");
    lab.wait(100);
    assert!(lab.is_open("commit?cursor=after-2"));
}

#[test]
fn answers_that_are_too_large_to_arrive_are_asked_for_in_smaller_pieces() {
    let mut lab = Lab::joined("");
    for limit in [256, 128, 64] {
        let fetch = lab.take("GET calls/messages");
        assert!(target(&fetch).contains(&format!("limit={limit}")));
        lab.input(Input::CalloutDone(fetch.ticket, CalloutResult::Lost));
        lab.wait(1_000);
    }
}

#[test]
fn an_idle_drain_polls_and_a_wake_ends_the_pause() {
    let mut lab = Lab::joined(r#","fetch":{"idleIntervalMs":1000}"#);
    lab.fetch_nothing(0);
    lab.wait(999);
    assert!(!lab.is_open("GET calls/messages"));
    lab.input(Input::RecordsAvailable);
    assert!(lab.is_open("GET calls/messages"));
    // News that come while a fetch is under way may have missed it.
    lab.input(Input::RecordsAvailable);
    lab.fetch_nothing(0);
    assert!(lab.is_open("GET calls/messages"));
}

#[test]
fn a_flood_of_news_does_not_hold_back_commits() {
    let mut lab = Lab::joined(r#","fetch":{"commitIntervalMs":0}"#);
    for round in 0..5 {
        lab.fetch(round, &["/a"]);
        lab.deliver("/a");
        lab.input(Input::RecordsAvailable);
        lab.fetch_nothing(round + 1);
        lab.answer("commit", answer(200, &[], r#"{"value":"x"}"#));
    }
}

#[test]
fn the_pace_that_the_stream_allows_is_kept() {
    let mut lab = Lab::joined(r#","fetch":{"minIntervalMs":200}"#);
    lab.fetch(0, &["/a"]);
    assert!(!lab.is_open("GET calls/messages"));
    lab.input(Input::RecordsAvailable);
    lab.wait(199);
    assert!(!lab.is_open("GET calls/messages"));
    lab.wait(1);
    let throttled = answer(429, &[], "next request can be made in 700 ms");
    lab.answer("GET calls/messages", throttled);
    lab.wait(699);
    assert!(!lab.is_open("GET calls/messages"));
    lab.wait(1);
    assert!(lab.is_open("GET calls/messages"));
}

#[test]
fn a_busy_drain_shows_that_it_lives() {
    let mut lab = Lab::joined(r#","window":{"calls":1},"group":{"timeoutMs":3000}"#);
    lab.fetch(0, &["/slow"]);
    lab.wait(1_000);
    lab.answer("heartbeat", answer(200, &[], r#"{"value":"later"}"#));
    assert!(!lab.is_open("heartbeat"));
    lab.wait(1_000);
    assert!(lab.is_open("heartbeat?cursor=later"));
}

#[test]
fn a_worker_without_health_checks_finishes_its_calls_and_falls_silent() {
    let mut lab = Lab::joined(r#","group":{"leaseMs":1000}"#);
    lab.fetch(0, &["/a"]);
    lab.wait(1_000);
    lab.fetch_nothing(1);
    lab.deliver("/a");
    lab.wait(100);
    lab.answer("commit", answer(200, &[], r#"{"value":"x"}"#));
    for _ in 0..20 {
        lab.wait(1_000);
        assert!(lab.open.is_empty(), "{:?}", lab.open);
    }
    lab.input(Input::HealthCheck);
    assert!(lab.is_open("groupCursors"), "a health check brings it back");
}

#[test]
fn a_callout_that_is_never_answered_is_given_up() {
    let mut lab = Lab::joined(r#","attempt":{"timeoutMs":1000,"backoffBaseMs":1}"#);
    lab.fetch(0, &["/a"]);
    let lost = lab.take("GET /a");
    lab.wait(30_000);
    lab.wait(10);
    assert_eq!(field(&lab.take("GET /a"), "async-attempt"), "2");
    lab.input(Input::CalloutDone(lost.ticket, answer(200, &[], "")));
    assert_eq!(
        lab.said.counted(Metric::Delivered),
        0,
        "the late answer is ignored"
    );
}

#[test]
fn a_worker_that_lost_its_session_and_its_health_check_holds_no_partition() {
    let mut lab = Lab::joined(r#","group":{"leaseMs":1000}"#);
    lab.fetch(0, &["/a"]);
    lab.wait(1_000);
    lab.answer("GET calls/messages", answer(400, &[], "{}"));
    lab.deliver("/a");
    for _ in 0..20 {
        lab.wait(1_000);
        assert!(lab.open.is_empty(), "{:?}", lab.open);
    }
}

#[test]
fn a_worker_without_health_checks_lets_others_have_what_has_not_begun() {
    let lanes = r#","lanes":[{"streamId":"lane","delayMs":1000}]"#;
    let config = r#","group":{"leaseMs":1000,"timeoutMs":60000},"limits":{"inFlight":1}"#;
    let mut lab = Lab::joined(&format!("{config}{lanes}"));
    let joined = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("lane/groupCursors", joined);
    lab.fetch(0, &["/a", "/b"]);
    lab.wait(1_000);
    lab.fetch(2, &["/c"]);
    lab.deliver("/a");
    assert!(!lab.is_open("GET /b"), "no attempt begins any more");
    let moved = lab.put("lane");
    assert_eq!(moved.len(), 1, "the other one of the fetch makes way");
    assert_eq!(moved[0]["path"], "/b");
    lab.answer("lane/messages", messages(0, &[]));
    lab.wait(100);
    lab.answer("calls/commit", answer(200, &[], r#"{"value":"x"}"#));
    assert_eq!(lab.said.counted(Metric::Memberships), 0);
    for _ in 0..100 {
        lab.wait(1_000);
        assert!(lab.open.is_empty(), "the third one waits: {:?}", lab.open);
    }
}

#[test]
fn a_leaving_drain_waits_for_a_call_that_hangs_only_so_long() {
    let lanes = r#","lanes":[{"streamId":"lane","delayMs":1000}]"#;
    let group = r#","group":{"leaseMs":1000,"timeoutMs":60000,"leaveMs":5000}"#;
    let mut lab = Lab::joined(&format!(
        r#","attempt":{{"timeoutMs":300000}}{group}{lanes}"#
    ));
    lab.answer(
        "lane/groupCursors",
        answer(200, &[], r#"{"value":"start"}"#),
    );
    lab.fetch(0, &["/hangs"]);
    lab.fetch(1, &["/a"]);
    lab.deliver("/a");
    lab.wait(1_000);
    lab.fetch_nothing(2);
    lab.answer("lane/messages", messages(0, &[]));
    lab.wait(4_900);
    assert_eq!(lab.said.counted(Metric::LeftAttempts), 0);
    assert!(
        !lab.is_open("calls/commit"),
        "it would forget the call that hangs"
    );
    let hangs = lab.take("GET /hangs");
    lab.wait(200);
    let moved = lab.put("lane");
    assert_eq!(moved[0]["path"], "/hangs");
    assert!(
        moved[0]["progress"]["attempts"].is_null(),
        "as if there was none"
    );
    lab.wait(100);
    lab.answer("calls/commit", answer(200, &[], r#"{"value":"x"}"#));
    lab.input(Input::CalloutDone(hangs.ticket, answer(200, &[], "")));
    let counted = |metric| lab.said.counted(metric);
    assert_eq!(counted(Metric::LeftAttempts), 1);
    assert_eq!(counted(Metric::Delivered), 1, "a late answer is ignored");
    assert_eq!(counted(Metric::InFlight), 0);
    assert_eq!(counted(Metric::Memberships), 0);
    assert_eq!(counted(Metric::ActiveDrains), 0);
}

#[test]
fn a_record_that_cannot_be_moved_lets_no_others_begin() {
    let lanes = r#","lanes":[{"streamId":"lane","delayMs":10000}]"#;
    let config = r#","group":{"leaseMs":1000,"timeoutMs":60000},"limits":{"inFlight":1}"#;
    let mut lab = Lab::joined(&format!("{config}{lanes}"));
    lab.answer(
        "lane/groupCursors",
        answer(200, &[], r#"{"value":"start"}"#),
    );
    let short = json!({ "id": "/short", "path": "/short", "maxAgeMs": 9_000 });
    lab.bring("calls", 0, &[json!({ "id": "/a", "path": "/a" }), short]);
    lab.fetch(2, &["/c"]);
    lab.wait(1_000);
    lab.fetch_nothing(3);
    lab.answer("lane/messages", messages(0, &[]));
    lab.deliver("/a");
    assert!(lab.is_open("GET /short"), "no lane is short enough for it");
    lab.deliver("/short");
    for _ in 0..30 {
        assert!(!lab.is_open("GET /c"), "{:?}", lab.open);
        lab.wait(100);
        if lab.is_open("calls/commit") {
            lab.answer("calls/commit", answer(200, &[], r#"{"value":"x"}"#));
        }
    }
    assert_eq!(lab.said.counted(Metric::Memberships), 0);
}

#[test]
fn a_call_that_cannot_be_moved_is_not_made_again_and_again_by_a_drain_that_leaves() {
    let lanes = r#","lanes":[{"streamId":"lane","delayMs":60000}]"#;
    let group = r#","group":{"leaseMs":1000,"timeoutMs":600000,"leaveMs":5000}"#;
    let mut lab = Lab::joined(&format!(
        r#","attempt":{{"timeoutMs":300000}}{group}{lanes}"#
    ));
    lab.answer(
        "lane/groupCursors",
        answer(200, &[], r#"{"value":"start"}"#),
    );
    let short = json!({ "id": "/short", "path": "/short", "maxAgeMs": 50_000 });
    lab.bring("calls", 0, &[json!({ "id": "/a", "path": "/a" }), short]);
    lab.deliver("/a");
    lab.wait(6_100);
    for _ in 0..20 {
        lab.wait(100);
    }
    assert_eq!(lab.said.counted(Metric::Attempts), 2, "{:?}", lab.open);
    assert_eq!(lab.said.counted(Metric::LeftAttempts), 1);
    let behind = lab.put("calls");
    assert_eq!(
        behind[0]["path"], "/short",
        "it doesn't keep the drain from its end"
    );
}
