//! Calls with an order key: one at a time, in their order, whatever happens to the session (G6).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::drain::Input;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at, messages};

fn fetch(lab: &mut Lab, offset: usize, list: &[Value]) {
    lab.bring("calls", offset, list);
}

#[test]
fn calls_with_one_key_are_made_one_at_a_time_and_in_order() {
    let mut lab = Lab::joined(
        r#","attempt":{"backoffBaseMs":1},
        "lanes":[{"streamId":"second","delayMs":1000}]"#,
    );
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    let keyed = |path: &str, key: &str| json!({ "path": path, "orderKey": key });
    let list = [
        keyed("/a1", "a"),
        keyed("/a2", "a"),
        keyed("/b1", "b"),
        json!({ "path": "/free" }),
    ];
    fetch(&mut lab, 0, &list);
    let mut calls = lab.calls();
    calls.sort();
    assert_eq!(calls, ["GET /a1", "GET /b1", "GET /free"]);
    // However long it takes: the key waits, on a lane, and nobody else does.
    lab.answer("GET /a1", answer(503, &[("retry-after", "30")], ""));
    lab.deliver("/b1");
    lab.deliver("/free");
    fetch(&mut lab, 4, &[keyed("/a3", "a"), keyed("/b2", "b")]);
    lab.deliver("/b2");
    let mut away = lab.put("second");
    while away.len() < 3 {
        away.extend(lab.put("second"));
    }
    assert!(!lab.is_open("GET /a"), "{:?}", lab.open);
    // They come back in any order, and are made in theirs.
    let mut back = away;
    for record in &mut back {
        record["progress"]["hops"] = json!(2);
    }
    back.reverse();
    let note = lab.take_notes().remove(0);
    assert_eq!(note["parked"]["keys"][0][1][0][0], 0, "{note}");
    lab.live(31_000);
    fetch(&mut lab, 6, &back);
    lab.deliver("/a1");
    lab.deliver("/a2");
    lab.answer("GET /a3", answer(404, &[], ""));
    assert_eq!(lab.said.counted(Metric::Delivered), 5);
}

#[test]
fn a_dead_letter_lets_the_next_call_of_its_key_go() {
    let mut lab = Lab::joined("");
    let keyed = |path: &str| json!({ "path": path, "orderKey": "a" });
    fetch(&mut lab, 0, &[keyed("/1"), keyed("/2")]);
    lab.answer("GET /1", answer(404, &[], ""));
    assert!(!lab.is_open("GET /2"), "its letter is not stored yet");
    let put = lab.take("dead/messages");
    lab.input(Input::CalloutDone(put.ticket, support::stored(&put, 0)));
    lab.deliver("/2");
}

#[test]
fn a_call_that_is_too_old_lets_the_next_one_go_when_its_dead_letter_is_stored() {
    let mut lab = Lab::joined("");
    let old = json!({
        "path": "/old", "orderKey": "a", "acceptedAt": "2026-11-01T00:00:00Z", "maxAgeMs": 1_000,
    });
    fetch(
        &mut lab,
        0,
        &[old, json!({ "path": "/next", "orderKey": "a" })],
    );
    assert!(!lab.is_open("GET /next"), "the letter is not stored yet");
    let put = lab.take("dead/messages");
    lab.input(Input::CalloutDone(put.ticket, support::stored(&put, 0)));
    lab.deliver("/next");
    assert!(!lab.is_open("GET /old"));
}

/// The same records, stored at the same time.
fn answer_with(lab: &mut Lab, list: &[Value]) {
    let list: Vec<String> = list.iter().map(Value::to_string).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    lab.answer("GET calls/messages", messages(0, &list));
}

#[test]
fn a_lost_session_suspends_what_is_not_under_way() {
    let mut lab = Lab::joined(r#","limits":{"inFlight":1}"#);
    let keyed = |path: &str| json!({ "path": path, "orderKey": "a" });
    let list = [
        keyed("/1"),
        keyed("/2"),
        json!({ "path": "/3" }),
        json!({ "path": "/4" }),
    ];
    answer_with(&mut lab, &list);
    let lost = answer(
        400,
        &[],
        r#"{"code":"InvalidParameter","message":"expired"}"#,
    );
    lab.answer("GET calls/messages", lost);
    lab.deliver("/1");
    assert_eq!(
        lab.calls(),
        Vec::<String>::new(),
        "another drain may have them by now"
    );
    lab.wait(100);
    lab.answer(
        "calls/groupCursors",
        answer(200, &[], r#"{"value":"start"}"#),
    );
    answer_with(&mut lab, &list);
    lab.deliver("/2");
    lab.deliver("/3");
    lab.deliver("/4");
    assert_eq!(lab.said.counted(Metric::Delivered), 4, "each of them once");
    assert_eq!(lab.said.counted(Metric::Attempts), 4);
}

const LOST: &str = r#"{"code":"InvalidParameter","message":"expired"}"#;

/// The drain's session is lost, it joins again, and gets these records from the start.
fn lose_session_and_read_again(lab: &mut Lab, list: &[Value]) {
    lab.answer("GET calls/messages", answer(400, &[], LOST));
    lab.wait(100);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("calls/groupCursors", start);
    answer_with(lab, list);
}

fn with_key_a(path: &str) -> Value {
    json!({ "path": path, "orderKey": "a" })
}

#[test]
fn a_deferred_call_keeps_its_place_among_the_calls_of_its_key() {
    let mut lab = Lab::joined("");
    let due = at(10_000).wall.to_string();
    let deferred = json!({ "path": "/1", "orderKey": "a", "deliverAt": due });
    fetch(&mut lab, 0, &[deferred, with_key_a("/2")]);
    lab.live(9_900);
    assert_eq!(lab.calls(), Vec::<String>::new(), "the first is not due");
    lab.live(100);
    assert_eq!(lab.calls(), ["GET /1"]);
    lab.deliver("/1");
    lab.deliver("/2");
}

#[test]
fn a_call_that_became_first_is_not_early() {
    let mut lab = Lab::joined("");
    let due = at(10_000).wall.to_string();
    let deferred = json!({ "path": "/2", "orderKey": "a", "deliverAt": due });
    fetch(&mut lab, 0, &[with_key_a("/1"), deferred, with_key_a("/3")]);
    lab.deliver("/1");
    lab.live(9_900);
    assert_eq!(lab.calls(), Vec::<String>::new());
    lab.live(100);
    lab.deliver("/2");
    lab.deliver("/3");
}

#[test]
fn a_call_that_waits_for_its_retry_keeps_its_place_when_a_lost_session_is_read_again() {
    let mut lab = Lab::joined("");
    let list = [with_key_a("/1"), with_key_a("/2")];
    answer_with(&mut lab, &list);
    lab.answer("GET /1", answer(503, &[("retry-after", "10")], ""));
    lose_session_and_read_again(&mut lab, &list);
    assert_eq!(lab.calls(), Vec::<String>::new(), "the first one waits");
    lab.live(10_000);
    assert_eq!(lab.calls(), ["GET /1"]);
    lab.deliver("/1");
    lab.deliver("/2");
}

#[test]
fn records_that_come_again_while_the_first_call_is_under_way_wait_for_it() {
    let mut lab = Lab::joined("");
    let list = [with_key_a("/1"), with_key_a("/2")];
    answer_with(&mut lab, &list);
    lose_session_and_read_again(&mut lab, &list);
    assert_eq!(lab.calls(), ["GET /1"], "made once, and alone");
    lab.answer("GET /1", answer(503, &[("retry-after", "1")], ""));
    assert_eq!(lab.calls(), Vec::<String>::new());
    lab.live(1_000);
    lab.deliver("/1");
    lab.deliver("/2");
    assert_eq!(lab.said.counted(Metric::Attempts), 3);
}

#[test]
fn a_call_whose_session_was_lost_is_not_tried_again_before_it_is_read_again() {
    let mut lab = Lab::joined("");
    let list = [with_key_a("/1"), with_key_a("/2"), json!({ "path": "/3" })];
    answer_with(&mut lab, &list);
    lab.answer("GET calls/messages", answer(400, &[], LOST));
    lab.answer("GET /1", answer(503, &[], ""));
    lab.answer("GET /3", answer(503, &[], ""));
    lab.wait(1_000);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("calls/groupCursors", start);
    lab.live(20_000);
    assert_eq!(lab.calls(), Vec::<String>::new(), "another drain has them");
    fetch(&mut lab, 0, &list);
    lab.live(1_000);
    assert_eq!(lab.calls(), ["GET /1", "GET /3"], "they came back");
    lab.deliver("/1");
    lab.deliver("/2");
}

#[test]
fn a_call_behind_one_that_another_drain_has_finished_goes_on() {
    let mut lab = Lab::joined("");
    let list = [with_key_a("/1"), with_key_a("/2")];
    answer_with(&mut lab, &list);
    lab.answer("GET calls/messages", answer(400, &[], LOST));
    lab.wait(100);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("calls/groupCursors", start);
    fetch(&mut lab, 1, &list[1..]);
    assert_eq!(lab.calls(), ["GET /1"], "they must not overlap");
    lab.answer("GET /1", answer(503, &[], ""));
    lab.deliver("/2");
}

#[test]
fn a_drain_that_its_group_has_not_heard_starts_no_call_with_a_key() {
    let mut lab = Lab::joined(r#","group":{"timeoutMs":1000,"leaseMs":60000}"#);
    let list = [with_key_a("/1"), with_key_a("/2"), json!({ "path": "/3" })];
    let list = list.map(|record| record.to_string());
    let list = list.each_ref().map(String::as_str);
    lab.answer("GET calls/messages", messages(0, &list));
    // The process stands still, with a request to the Stream open.
    lab.millis += 1_500;
    lab.deliver("/1");
    lab.answer("GET /3", answer(503, &[], ""));
    assert!(!lab.is_open("GET /2"), "another drain may have made it");
    // No answer proves that it hasn't: the drain starts over, and makes what it is given again.
    lab.fetch_nothing(3);
    lab.wait(100);
    assert!(!lab.is_open("GET /2"));
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"again"}"#));
    lab.answer("GET calls/messages", messages(0, &list));
    lab.deliver("/2");
    assert!(!lab.is_open("GET /1"));
}
