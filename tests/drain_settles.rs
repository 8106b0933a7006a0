//! The drain: what is held, made, tried again, given up and committed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::drain::Input;
use sluice::http::CalloutResult;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{Said, answer, at, drain, drain_engine, field, messages, records, target};

#[test]
fn a_commit_waits_for_the_oldest_unsettled_call() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/slow", "/b"]);
    lab.fetch(2, &["/c"]);
    lab.deliver("/b");
    lab.deliver("/c");
    lab.fetch_nothing(3);
    assert!(!lab.is_open("commit"), "/slow is still unsettled");
    lab.deliver("/slow");
    lab.wait(100);
    let commit = lab.take("commit");
    assert_eq!(target(&commit), "POST calls/commit?cursor=after-3");
}

#[test]
fn a_retryable_failure_is_retried_and_then_delivered() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/a"]);
    for attempt in 1..=3 {
        let call = lab.take("GET /a");
        assert_eq!(field(&call, "async-attempt"), attempt.to_string());
        assert_eq!(field(&call, "async-call-id"), "p0-o0");
        let result = match attempt {
            1 => answer(503, &[("retry-after", "3")], ""),
            2 => CalloutResult::Lost,
            _ => answer(302, &[], ""),
        };
        lab.input(Input::CalloutDone(call.ticket, result));
        if attempt == 1 {
            lab.wait(2_999);
            assert!(!lab.is_open("/a"), "Retry-After is obeyed");
        }
        lab.wait(3_000);
    }
    assert_eq!(lab.said.counted(Metric::Delivered), 1);
    assert_eq!(lab.said.counted(Metric::Retried), 2);
    assert_eq!(lab.said.counted(Metric::Held), 0);
    assert_eq!(lab.said.counted(Metric::InFlight), 0);
}

#[test]
fn a_call_is_given_up_into_a_dead_letter_before_it_is_committed() {
    let mut lab = Lab::joined(r#","attempt":{"retries":1,"backoffBaseMs":1}"#);
    lab.fetch(0, &["/a"]);
    lab.answer("GET /a", answer(500, &[], ""));
    lab.wait(10);
    lab.answer("GET /a", answer(500, &[], ""));
    lab.fetch_nothing(1);
    lab.wait(100);
    assert!(!lab.is_open("commit"), "the letter is not stored yet");
    lab.answer("dead/messages", answer(503, &[], ""));
    lab.wait(1_000);
    let put = lab.take("dead/messages");
    let letter = records(&put).remove(0);
    assert_eq!(letter["reason"], "attempts_exhausted");
    assert_eq!(letter["call"]["path"], "/a");
    assert_eq!(letter["attempts"].as_array().unwrap().len(), 2);
    lab.input(Input::CalloutDone(put.ticket, support::stored(&put, 0)));
    lab.wait(100);
    if lab.is_open("GET calls/messages") {
        lab.fetch_nothing(1);
    }
    assert!(lab.is_open("commit?cursor=after-1"));
    assert_eq!(lab.said.counted(Metric::DeadExhausted), 1);
}

#[test]
fn a_record_that_nobody_understands_does_not_stop_the_others() {
    let mut lab = Lab::joined("");
    let hostile = [
        "\u{0}",
        "{}",
        "[[[[",
        r#"{"path":"/ok"}"#,
        r#"{"path":"/\r\nx:y"}"#,
    ];
    lab.answer("GET calls/messages", messages(0, &hostile));
    lab.deliver("/ok");
    let put = lab.take("dead/messages");
    let reasons = records(&put).into_iter();
    let reasons: Vec<_> = reasons.map(|letter| letter["reason"].clone()).collect();
    assert_eq!(reasons, ["unreadable_record"; 4]);
    lab.input(Input::CalloutDone(put.ticket, support::stored(&put, 0)));
    lab.fetch_nothing(5);
    assert!(lab.is_open("commit?cursor=after-5"));
}

#[test]
fn a_refusal_is_final_at_once() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/a"]);
    lab.answer("GET /a", answer(404, &[], ""));
    assert_eq!(records(&lab.take("dead/messages"))[0]["reason"], "rejected");
}

#[test]
fn what_the_gateway_could_not_send_counts_as_no_attempt() {
    let mut lab = Lab::joined(r#","attempt":{"retries":0}"#);
    lab.fetch(0, &["/a"]);
    for _ in 0..5 {
        lab.answer("GET /a", CalloutResult::NotSent);
        for _ in 0..4 {
            lab.input(Input::HealthCheck);
            lab.wait(2_500);
        }
    }
    assert_eq!(field(&lab.take("GET /a"), "async-attempt"), "1");
}

#[test]
fn no_more_is_held_than_the_window_allows() {
    let mut lab = Lab::joined(r#","window":{"calls":8,"inFlight":2},"fetch":{"records":8}"#);
    let paths = ["/1", "/2", "/3", "/4", "/5", "/6", "/7"];
    lab.fetch(0, &paths);
    assert_eq!(
        lab.open.len(),
        2,
        "two calls are in flight, and nothing more is fetched"
    );
    lab.deliver("/1");
    lab.deliver("/2");
    assert!(
        lab.is_open("limit=2") || lab.is_open("limit=3"),
        "{:?}",
        lab.open
    );
}

#[test]
fn one_turn_of_the_event_loop_starts_only_so_many_attempts() {
    let mut engine = drain_engine("", r#","window":{"perTurn":2}"#);
    let said = drain(&mut engine, Input::HealthCheck, at(0));
    let joined = answer(200, &[], r#"{"value":"start"}"#);
    let said = drain(
        &mut engine,
        Input::CalloutDone(said.callouts[0].ticket, joined),
        at(0),
    );
    let five = messages(0, &[r#"{"path":"/a"}"#; 5]);
    let said = drain(
        &mut engine,
        Input::CalloutDone(said.callouts[0].ticket, five),
        at(0),
    );
    let calls = |said: &Said| {
        said.callouts
            .iter()
            .filter(|c| target(c) == "GET /a")
            .count()
    };
    assert_eq!((calls(&said), said.wakes), (2, 1));
    let done = Input::CalloutDone(said.callouts[0].ticket, answer(200, &[], ""));
    assert_eq!(
        calls(&drain(&mut engine, done, at(0))),
        0,
        "not before the next turn"
    );
    let said = drain(&mut engine, Input::Wake, at(0));
    assert_eq!((calls(&said), said.wakes), (2, 1));
    // Should a turn get lost, the clock brings the next one.
    assert_eq!(engine.wakeup(at(0).steady), Some(at(50).steady));
    assert_eq!(calls(&drain(&mut engine, Input::Tick, at(50))), 1);
}
