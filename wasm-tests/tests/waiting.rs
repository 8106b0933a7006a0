//! Calls that are made later, by lanes: deferred ones and long back-offs. Never early, whatever is
//! killed meanwhile, and in nobody's way. Product description, section 7.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::time_text::parse_rfc_3339;
use testkit::http1::Request;
use testkit::server::Answer;
use testkit::stream::CALLS;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

fn later(path: &str, delay: &str) -> Request {
    let request = Request::new("POST", path).marked();
    request.field("Async-Delay", delay).body("content")
}

/// Returns the records that stand on a lane of the local configuration.
fn on_lane(gateway: &Gateway, name: &str) -> Vec<Value> {
    let records = gateway.stream().records(&format!("{CALLS}-{name}"));
    records.iter().map(|record| record.json()).collect()
}

#[test]
fn a_deferred_call_is_never_early_and_in_nobodys_way() {
    let gateway = Gateway::start("deferred");
    let start = Instant::now();
    let accepted = gateway.exchange(&later("/later", "2500ms")).expect(202);
    let receipt = accepted.json();
    assert!(receipt["deliverAt"].as_str() > receipt["acceptedAt"].as_str());
    assert_eq!(
        on_lane(&gateway, "1s").len(),
        1,
        "it went to a lane at once"
    );
    gateway.call("/now");
    gateway.wait_for("/now", 1);
    assert!(gateway.target.of("/later").is_empty());
    gateway.wait("the other one is committed", || {
        gateway.stream().uncommitted().is_empty()
    });
    gateway.wait_for("/later", 1);
    assert!(start.elapsed() >= Duration::from_millis(2_500), "early");
    gateway.wait_until_settled();
    let seen = gateway.target.of("/later").remove(0);
    assert_eq!(seen.message.body, b"content");
    assert_eq!(seen.message.text("async-attempt"), "1");
    assert!(seen.message.field("async-delay").is_none());
}

#[test]
fn what_waits_survives_the_death_of_everything() {
    let mut gateway = Gateway::start("deferred-restart");
    let start = Instant::now();
    let ids: Vec<String> = (0..20)
        .map(|_| gateway.accept(&later("/later", "4s")))
        .collect();
    gateway.set.kill9_envoy().unwrap();
    gateway.set.kill9_stream_server().unwrap();
    gateway.set.restart_stream_server().unwrap();
    gateway.set.restart_envoy().unwrap();
    for id in &ids {
        gateway.wait_for_call(id);
    }
    assert!(start.elapsed() >= Duration::from_secs(4), "early");
    gateway.wait_until_settled();
}

#[test]
fn a_long_back_off_is_spent_on_a_lane_and_survives_a_restart() {
    let target = Target::scripted(|seen| match seen.nth {
        1 => Answer::status(503).with("retry-after", "3"),
        _ => Answer::status(200),
    });
    let mut gateway = Gateway::with("long-back-off", target, |builder| builder);
    let id = gateway.call("/a");
    gateway.wait_for("/a", 1);
    let start = Instant::now();
    gateway.wait("it is on a lane", || !on_lane(&gateway, "1s").is_empty());
    let record = on_lane(&gateway, "1s").remove(0);
    assert_eq!(record["id"], id.as_str());
    assert_eq!(record["progress"]["attempts"], 1);
    gateway.wait("nothing holds back the commit", || {
        gateway.stream().uncommitted().is_empty()
    });
    gateway.set.kill9_envoy().unwrap();
    gateway.set.restart_envoy().unwrap();
    gateway.wait_for("/a", 2);
    assert!(start.elapsed() >= Duration::from_millis(2_900), "early");
    assert_eq!(gateway.target.of("/a")[1].attempt(), "2");
    gateway.wait_until_settled();
}

#[test]
fn a_call_that_grows_too_old_becomes_a_dead_letter() {
    let target = Target::scripted(|_| Answer::status(503));
    let gateway = Gateway::with("too-old", target, |builder| {
        builder.drain_patch(drain_settings(&json!({})))
    });
    let request = Request::new("POST", "/a").marked().body("");
    let id = gateway.accept(&request.field("Async-Max-Age", "1s"));
    gateway.wait("its dead letter", || {
        !gateway.stream().dead_letters().is_empty()
    });
    let letter = gateway.stream().dead_letters().remove(0);
    assert_eq!(
        (&letter["reason"], &letter["id"]),
        (&json!("expired"), &json!(id))
    );
    assert_eq!(letter["streamId"], "ocid1.stream.oc1.local.calls");
    gateway.wait_until_settled();
}

#[test]
fn a_target_that_is_back_within_the_calls_time_gets_every_call() {
    let start = Instant::now();
    let target = Target::scripted(move |seen| match start.elapsed() > Duration::from_secs(8) {
        true => Answer::status(200),
        // Some ask for far more time than their calls have.
        false if seen.path().ends_with('1') => Answer::Reply {
            status: 503,
            fields: vec![("retry-after".to_owned(), "3600".to_owned())],
            body: Vec::new(),
        },
        false => Answer::status(503),
    });
    let patient = json!({ "attempt": { "backoffBaseMs": 1_000, "backoffMaxMs": 3_600_000 } });
    let gateway = Gateway::with("back-in-time", target, |builder| {
        builder.drain_patch(drain_settings(&patient))
    });
    let paths: Vec<String> = (0..20).map(|number| format!("/call/{number}")).collect();
    for path in &paths {
        let request = Request::new("POST", path).field("Async-Max-Age", "12s");
        gateway.accept(&request.marked().body("x"));
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.stream().dead_letters(), [] as [Value; 0]);
    let seen = gateway.target.seen();
    for path in &paths {
        assert!(seen.iter().any(|seen| seen.path() == *path), "{path}");
    }
}

#[test]
fn a_call_that_expires_does_so_at_its_time_and_its_reply_has_the_last_answer() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/inbox" => Answer::status(200),
        _ => Answer::Reply {
            status: 503,
            fields: vec![
                ("retry-after".to_owned(), "3600".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: format!(r#"{{"busy":{}}}"#, seen.nth).into_bytes(),
        },
    });
    let gateway = Gateway::with("expires", target, |builder| builder);
    let request = Request::new("POST", "/busy").field("Async-Max-Age", "8s");
    gateway.accept(&request.field("Async-Reply-To", "/inbox").marked().body("x"));
    gateway.wait_for("/inbox", 1);
    gateway.wait_until_settled();
    let letter = gateway.stream().dead_letters().remove(0);
    let time = |text: &Value| parse_rfc_3339(text.as_str().unwrap()).unwrap();
    let until = time(&letter["call"]["acceptedAt"]).plus(Duration::from_secs(8));
    assert!(time(&letter["deadAt"]) > until, "{letter}");
    let last = letter["attempts"].as_array().unwrap().last().unwrap();
    assert!(time(&last["at"]).0 >= until.0 - 800, "{letter}");
    let reply = gateway.target.of("/inbox").remove(0).message;
    let attempts: Vec<String> = gateway
        .target
        .of("/busy")
        .iter()
        .map(|seen| seen.attempt())
        .collect();
    assert_eq!(
        attempts,
        ["1", "2"],
        "the first one, and one at the end: {letter}"
    );
    assert_eq!(reply.text("async-outcome"), "expired");
    assert_eq!(reply.text("async-status"), "503");
    assert_eq!(reply.text("async-attempts"), "2");
    assert_eq!(reply.text("content-type"), "application/json");
    assert_eq!(reply.text("async-response-retry-after"), "3600");
    assert_eq!(reply.body, br#"{"busy":2}"#);
}

#[test]
fn a_time_may_have_any_number_of_digits() {
    let gateway = Gateway::start("many-digits");
    for time in [
        "2020-01-01T00:00:00.1234567891Z",
        "2020-01-01T00:00:00.000000000000000000001Z",
    ] {
        let request = Request::new("POST", "/a").field("Async-Deliver-At", time);
        gateway.accept(&request.marked().body("x"));
    }
    gateway.wait_for("/a", 2);
}
