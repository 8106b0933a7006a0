//! Calls that aren't due yet: on lanes, in memory, and never early (G5).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at, messages_stored_at};

const LANES: &str = r#","lanes":[{"streamId":"second","delayMs":1000},
    {"streamId":"minute","delayMs":60000}],"attempt":{"backoffBaseMs":1}"#;

/// Returns a drain that has joined all of its groups; every first fetch is open.
fn lab() -> Lab {
    let mut lab = Lab::joined(LANES);
    for lane in ["second", "minute"] {
        lab.answer(
            &format!("{lane}/groupCursors"),
            answer(200, &[], r#"{"value":"start"}"#),
        );
    }
    lab
}

fn fetch(lab: &mut Lab, stream: &str, offset: usize, record: &Value) {
    lab.bring(stream, offset, std::slice::from_ref(record));
}

fn put(lab: &mut Lab, stream: &str) -> Value {
    lab.put(stream).remove(0)
}

/// Lives until something is put onto this stream.
fn next_hop(lab: &mut Lab, stream: &str) -> Value {
    while !lab.is_open("POST second/messages") && !lab.is_open("POST calls/messages") {
        lab.live(10);
        assert!(lab.millis < 100_000, "nothing is put anywhere");
    }
    put(lab, stream)
}

fn due(millis: u64) -> String {
    at(millis).wall.to_string()
}

#[test]
fn a_call_hops_down_the_lanes_and_is_made_when_it_is_due() {
    let mut lab = lab();
    let record = json!({ "id": "c1", "path": "/later", "deliverAt": due(62_500), "x": 1.5 });
    fetch(&mut lab, "calls", 0, &record);
    let on_minute = put(&mut lab, "minute");
    assert_eq!(on_minute["x"], 1.5, "what we don't know stays");
    assert_eq!(on_minute["progress"]["hops"], 1);
    fetch(&mut lab, "minute", 0, &on_minute);
    let on_second = next_hop(&mut lab, "second");
    assert!(lab.millis >= 60_000);
    fetch(&mut lab, "second", 0, &on_second);
    let again = next_hop(&mut lab, "second");
    assert_eq!(again["progress"]["hops"], 3);
    fetch(&mut lab, "second", 1, &again);
    // Less than a second is left after that, which no lane serves.
    let back = next_hop(&mut lab, "calls");
    assert!((62_500..=62_510).contains(&lab.millis), "{}", lab.millis);
    fetch(&mut lab, "calls", 1, &back);
    lab.deliver("/later");
    assert_eq!(lab.said.counted(Metric::EnteredLanes), 3);
    assert_eq!(lab.said.counted(Metric::LeftLanes), 1);
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_call_that_is_due_soon_waits_in_memory_and_holds_up_no_other() {
    let mut lab = lab();
    let soon = json!({ "path": "/soon", "deliverAt": due(900) }).to_string();
    let stored_at = at(0).wall.to_string();
    let both = messages_stored_at(&stored_at, 0, &[&soon, r#"{"path":"/now"}"#]);
    lab.answer("GET calls/messages", both);
    lab.deliver("/now");
    lab.wait(899);
    assert!(!lab.is_open("GET /soon"), "never early");
    lab.wait(1);
    lab.deliver("/soon");
}

#[test]
fn a_deferred_call_does_not_hold_back_the_commit() {
    let mut lab = lab();
    let record = json!({ "path": "/later", "deliverAt": due(3_600_000) });
    fetch(&mut lab, "calls", 0, &record);
    assert!(!lab.is_open("calls/commit"), "it is not on the lane yet");
    let moved = put(&mut lab, "minute");
    assert_eq!(moved["id"], "p0-o0", "it keeps the id that it had");
    lab.fetch_nothing(1);
    lab.wait(100);
    assert!(lab.is_open("calls/commit?cursor=after-1"));
}

#[test]
fn a_long_back_off_is_spent_on_a_lane_with_all_that_has_happened() {
    let mut lab = lab();
    fetch(&mut lab, "calls", 0, &json!({ "id": "c1", "path": "/a" }));
    lab.answer(
        "GET /a",
        answer(503, &[("retry-after", "90")], "come later"),
    );
    let moved = put(&mut lab, "minute");
    let progress = &moved["progress"];
    assert_eq!(progress["attempts"], 1);
    assert_eq!(progress["notBefore"], due(lab.millis + 90_000));
    assert_eq!(progress["history"][0]["status"], 503);
    assert_eq!(progress["history"][0]["excerpt"], "come later");
    lab.live(90_000);
    fetch(&mut lab, "calls", 1, &moved);
    let second = lab.take("GET /a");
    assert_eq!(support::field(&second, "async-attempt"), "2");
}

#[test]
fn a_hop_that_was_published_twice_is_made_once() {
    let mut lab = lab();
    let hop = json!({ "id": "c1", "path": "/a", "progress": { "hops": 4 } });
    fetch(&mut lab, "calls", 0, &hop);
    fetch(&mut lab, "calls", 1, &hop);
    lab.deliver("/a");
    assert!(!lab.is_open("GET /a"));
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 1);
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn what_is_too_old_is_given_up_without_another_attempt() {
    let mut lab = lab();
    let record = json!({ "path": "/old", "acceptedAt": due(0), "maxAgeMs": 5_000 });
    lab.live(5_001);
    fetch(&mut lab, "calls", 0, &record);
    assert!(!lab.is_open("/old"));
    assert_eq!(put(&mut lab, "dead")["reason"], "expired");
}

/// Lives, a step at a time, until a call to this path is open or something is put on a stream.
fn live_until(lab: &mut Lab, part: &str, limit: u64) {
    while !lab.is_open(part) {
        assert!(lab.millis < limit, "no {part}: {:?}", lab.open);
        lab.live(10);
    }
}

#[test]
fn a_call_has_a_last_attempt_near_the_end_of_its_time_and_expires_only_then() {
    // Without lanes, so that every pause is spent in memory.
    for (retry_after, key) in [("3600", None), ("60", Some("k")), ("6", None)] {
        let mut lab = Lab::joined("");
        let mut record = json!({ "id": "c1", "path": "/old", "acceptedAt": due(0),
            "maxAgeMs": 10_000, "replyTo": "/inbox" });
        if let Some(key) = key {
            record["orderKey"] = json!(key);
        }
        fetch(&mut lab, "calls", 0, &record);
        lab.answer("GET /old", answer(503, &[("retry-after", retry_after)], ""));
        live_until(&mut lab, "GET /old", 20_000);
        if retry_after != "6" {
            assert!((9_000..=9_510).contains(&lab.millis), "{}", lab.millis);
            lab.answer("GET /old", answer(503, &[], "not yet"));
        } else {
            assert!((6_000..=6_100).contains(&lab.millis), "{}", lab.millis);
            lab.answer("GET /old", answer(503, &[("retry-after", "9")], ""));
            live_until(&mut lab, "GET /old", 20_000);
            assert!((9_000..=9_510).contains(&lab.millis), "{}", lab.millis);
            lab.answer("GET /old", answer(503, &[("retry-after", "1")], "not yet"));
        }
        assert!(!lab.is_open("POST dead"), "it isn't too old yet");
        live_until(&mut lab, "POST dead", 20_000);
        assert!((10_001..=10_020).contains(&lab.millis), "{}", lab.millis);
        let letter = put(&mut lab, "dead");
        assert_eq!(letter["reason"], "expired");
        let detail = letter["detail"].as_str().unwrap();
        assert!(detail.ends_with("; the last attempt: 503"), "{detail}");
        let reply = put(&mut lab, "calls");
        assert_eq!(reply["reply"]["outcome"], "expired");
        assert_eq!(reply["reply"]["status"], 503);
        assert_eq!(reply["body"], "not yet");
        assert!(!lab.is_open("GET /old"));
        assert_eq!(lab.said.counted(Metric::Held), 0);
    }
}

#[test]
fn a_target_that_is_back_before_the_end_is_met() {
    let mut lab = lab();
    let record = json!({ "id": "c1", "path": "/a", "acceptedAt": due(0), "maxAgeMs": 10_000 });
    fetch(&mut lab, "calls", 0, &record);
    lab.answer("GET /a", answer(429, &[("retry-after", "3600")], ""));
    let mut offset = 0;
    while !lab.is_open("GET /a") {
        assert!(lab.millis < 10_000, "{:?}", lab.open);
        for stream in ["second", "calls"] {
            if lab.is_open(&format!("POST {stream}/messages")) {
                offset += 1;
                let hop = put(&mut lab, stream);
                fetch(&mut lab, stream, offset, &hop);
            }
        }
        lab.live(10);
    }
    assert!(lab.millis > 9_000, "{}", lab.millis);
    lab.deliver("/a");
    assert!(!lab.is_open("POST dead"));
}

#[test]
fn what_the_target_said_before_a_wait_on_a_lane_is_told_when_the_call_has_expired() {
    let mut lab = lab();
    let record = json!({ "id": "c1", "path": "/a", "acceptedAt": due(0), "maxAgeMs": 5_000,
        "replyTo": "/inbox", "progress": { "attempts": 2, "history": [
            { "attempt": 1, "at": due(1), "status": 503, "excerpt": "come later" },
            { "attempt": 2, "at": due(2) }] } });
    lab.live(5_001);
    fetch(&mut lab, "calls", 0, &record);
    let letter = put(&mut lab, "dead");
    let detail = letter["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("; the last attempt: no answer"),
        "{detail}"
    );
    let reply = put(&mut lab, "calls");
    let said = json!({ "callId": "c1", "outcome": "expired", "status": 503, "attempts": 2,
        "cut": true, "headersCut": true });
    assert_eq!(
        (&reply["reply"], &reply["body"]),
        (&said, &json!("come later"))
    );
    let media_type = json!(["content-type", "text/plain;charset=utf-8"]);
    assert_eq!(reply["headers"], json!([media_type]));
}

#[test]
fn a_redriven_call_is_as_young_as_its_redrive() {
    let mut lab = lab();
    lab.live(100_000);
    let record = json!({ "path": "/again", "acceptedAt": due(0), "maxAgeMs": 5_000,
        "progress": { "since": due(100_000), "redrives": 1 } });
    fetch(&mut lab, "calls", 0, &record);
    lab.deliver("/again");
}

#[test]
fn thousands_on_a_lane_need_no_more_memory_than_the_window_has() {
    let mut lab = Lab::joined(
        r#","lanes":[{"streamId":"minute","delayMs":60000}],"window":{"laneRecords":4},
        "fetch":{"records":4}"#,
    );
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("minute/groupCursors", start);
    let record = |n: usize| json!({ "path": format!("/{n}"), "deliverAt": due(60_000) });
    let four: Vec<Value> = (0..4).map(record).collect();
    lab.bring("minute", 0, &four);
    lab.live(30_000);
    assert!(!lab.is_open("GET minute/messages"), "{:?}", lab.open);
    lab.live(31_000);
    assert_eq!(lab.put("calls").len(), 4, "one batch brings them back");
    lab.bring("minute", 4, &four);
}

#[test]
fn a_clock_that_is_set_right_makes_no_call_late() {
    for key in [None, Some("k")] {
        let mut lab = Lab::joined("");
        let mut record = json!({ "id": "c1", "path": "/soon", "deliverAt": due(5_000) });
        if let Some(key) = key {
            record["orderKey"] = json!(key);
        }
        lab.slow_clock = 1_000_000;
        fetch(&mut lab, "calls", 0, &record);
        assert_eq!(lab.calls(), [""; 0]);
        lab.slow_clock = 0;
        while lab.calls().is_empty() {
            lab.live(1_000);
            assert!(lab.millis < 60_000, "it waits for the clock that was wrong");
        }
        assert!(lab.millis >= 5_000, "it isn't early");
    }
}

#[test]
fn a_drain_tells_why_its_timer_wakes_it() {
    let mut lab = Lab::joined("");
    let record = json!({ "path": "/soon", "deliverAt": due(300) });
    fetch(&mut lab, "calls", 0, &record);
    let told = |lab: &Lab, millis| lab.engine.describe_wakeup(at(millis).steady);
    assert_eq!(told(&lab, 299), "event=wakeup reason=none");
    assert_eq!(told(&lab, 302), "event=wakeup reason=wait_ends late_ms=2");
    lab.wait(302);
    assert!(lab.is_open("/soon"));
    assert_eq!(told(&lab, 302), "event=wakeup reason=none");
}
