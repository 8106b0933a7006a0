//! Replies: exactly one for a call that has ended, queued as a call of its own.

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
use sluice::http::CalloutResult;

use support::lab::Lab;
use support::{answer, field, records};

const PATHS: &str = r#","replies":{"paths":["/inbox","/trouble"]}"#;

fn fetch(lab: &mut Lab, offset: usize, record: &Value) {
    lab.bring("calls", offset, std::slice::from_ref(record));
}

fn reply(lab: &mut Lab) -> Value {
    let mut records = lab.put("calls");
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn success_is_told_to_the_reply_address_before_the_call_is_settled() {
    let mut lab = Lab::joined(PATHS);
    let record = json!({ "id": "c1", "correlationId": "talk", "path": "/a", "replyTo": "/inbox",
        "failureTo": "/trouble", "headers": [["traceparent", "00-1-2-01"]] });
    fetch(&mut lab, 0, &record);
    lab.answer(
        "GET /a",
        answer(
            201,
            &[
                ("content-type", "text/plain"),
                ("content-encoding", "br"),
                ("content-encoding", "gzip"),
                ("x-private", "1"),
                ("location", "/orders/7"),
            ],
            "made",
        ),
    );
    lab.fetch_nothing(1);
    lab.wait(100);
    assert!(!lab.is_open("commit"), "the reply is not stored yet");
    let reply = reply(&mut lab);
    assert_eq!(
        (&reply["method"], &reply["path"]),
        (&json!("POST"), &json!("/inbox"))
    );
    assert_eq!(reply["body"], "made");
    let said = json!({ "callId": "c1", "outcome": "delivered", "status": 201, "attempts": 1,
        "headers": [["content-type", "text/plain"], ["content-encoding", "br"],
            ["content-encoding", "gzip"], ["location", "/orders/7"]] });
    assert_eq!(reply["reply"], said);
    fetch(&mut lab, 1, &reply);
    let call = lab.take("POST /inbox");
    for (name, value) in [
        ("async-call-id", "c1"),
        ("async-correlation-id", "talk"),
        ("async-outcome", "delivered"),
        ("async-status", "201"),
        ("async-attempts", "1"),
        ("content-type", "text/plain"),
        ("content-encoding", "br, gzip"),
        ("traceparent", "00-1-2-01"),
        ("async-response-content-type", "text/plain"),
        ("async-response-location", "/orders/7"),
        ("async-response-x-private", ""),
    ] {
        assert_eq!(field(&call, name), value, "{name}");
    }
    lab.input(Input::CalloutDone(call.ticket, answer(200, &[], "thanks")));
    assert!(
        !lab.is_open("POST"),
        "nobody replies to a reply: {:?}",
        lab.open
    );
}

#[test]
fn failure_is_told_once_with_the_dead_letter() {
    for (failure_to, address) in [(json!("/trouble"), "/trouble"), (Value::Null, "/inbox")] {
        let mut lab = Lab::joined(PATHS);
        let mut record = json!({ "id": "c1", "path": "/a", "replyTo": "/inbox" });
        if !failure_to.is_null() {
            record["failureTo"] = failure_to;
        }
        fetch(&mut lab, 0, &record);
        lab.answer("GET /a", answer(422, &[], "no"));
        let letter = lab.take("dead/messages");
        let reply = reply(&mut lab);
        assert_eq!(reply["path"], address);
        assert_eq!(reply["reply"]["outcome"], "failed");
        assert_eq!(reply["reply"]["status"], 422);
        assert_eq!(reply["body"], "no");
        lab.fetch_nothing(1);
        lab.wait(100);
        assert!(!lab.is_open("commit"), "the letter is not stored yet");
        lab.input(Input::CalloutDone(
            letter.ticket,
            support::stored(&letter, 0),
        ));
        lab.wait(100);
        assert!(lab.is_open("commit") || lab.is_open("GET calls/messages"));
    }
}

#[test]
fn expiry_is_told_as_such() {
    let mut lab = Lab::joined(PATHS);
    let record = json!({ "id": "c1", "path": "/a", "replyTo": "/inbox", "maxAgeMs": 1,
        "acceptedAt": "2020-01-01T00:00:00Z" });
    fetch(&mut lab, 0, &record);
    let reply = reply(&mut lab);
    assert_eq!(
        reply["reply"],
        json!({ "callId": "c1", "outcome": "expired", "attempts": 0 })
    );
}

#[test]
fn a_call_that_failed_without_anybody_to_tell_is_just_a_dead_letter() {
    let mut lab = Lab::joined(PATHS);
    fetch(
        &mut lab,
        0,
        &json!({ "path": "/a", "failureTo": "/trouble" }),
    );
    lab.deliver("/a");
    assert!(
        !lab.is_open("POST calls/messages"),
        "success interests nobody"
    );
}

#[test]
fn a_reply_to_where_none_may_go_dies() {
    let reply = json!({ "callId": "c1", "outcome": "delivered", "attempts": 1 });
    for (config, path) in [
        ("", "/inbox"),
        (PATHS, "/admin/7?role=admin"),
        (PATHS, "/inboxes"),
        (PATHS, "/inbox/../admin"),
        (PATHS, "/inbox/%2e%2e/admin"),
        (PATHS, "/inbox/..;/admin"),
        (PATHS, "//inbox"),
        (PATHS, "/"),
    ] {
        let mut lab = Lab::joined(config);
        fetch(&mut lab, 0, &json!({ "path": path, "reply": reply }));
        let letter = records(&lab.take("dead/messages")).remove(0);
        assert_eq!(letter["reason"], "denied", "{path}");
        assert!(letter.to_string().contains("replies.paths"), "{letter}");
        assert!(!lab.is_open("GET /") && !lab.is_open("POST /"), "{path}");
    }
    let mut lab = Lab::joined(PATHS);
    fetch(
        &mut lab,
        0,
        &json!({ "target": "https://evil.example/", "reply": reply }),
    );
    assert!(!lab.is_open("POST /"), "{:?}", lab.open);
}

#[test]
fn the_host_of_a_reply_is_the_gateways_own_whatever_its_record_says() {
    let config = (r#","replyAuthority":"replies.gateway.example""#, PATHS);
    let mut lab = Lab::with_dispatch(config.0, config.1);
    let record = json!({ "path": "/inbox", "authority": "admin.example", "method": "POST",
        "headers": [["host", "admin.example"]],
        "reply": { "callId": "c1", "outcome": "delivered", "attempts": 1 } });
    fetch(&mut lab, 0, &record);
    let call = lab.take("POST /inbox");
    assert_eq!(field(&call, ":authority"), "replies.gateway.example");
    assert_eq!(field(&call, "host"), "");
}

const QUICK: &str = r#","attempt":{"backoffBaseMs":10,"backoffMaxMs":10}"#;

/// Returns an answer of Envoy's own: on its way to the target, or on the way to the listener that
/// has it.
fn of_envoy(is_marked: bool) -> CalloutResult {
    let words = "upstream request timeout";
    let said = [("async-local-reply", "UT response_timeout")];
    let CalloutResult::Answered(mut response) = answer(504, &said, words) else {
        panic!("it is one")
    };
    if !is_marked {
        response.headers.clear();
    }
    CalloutResult::Answered(response)
}

#[test]
fn a_reply_tells_the_last_answer_of_the_target_and_nothing_of_envoys() {
    for (is_marked, answers_first) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut lab = Lab::joined(&format!("{PATHS}{QUICK}"));
        let retries = u32::from(answers_first);
        let record = json!({ "id": "c1", "path": "/a", "replyTo": "/inbox", "retries": retries });
        fetch(&mut lab, 0, &record);
        if answers_first {
            lab.answer("GET /a", answer(503, &[], "busy"));
            lab.wait(20);
        }
        lab.answer("GET /a", of_envoy(is_marked));
        let letter = lab.put("dead").remove(0);
        let last = letter["attempts"].as_array().unwrap().last().unwrap();
        assert!(
            last["gateway"].as_str().unwrap().starts_with("504"),
            "{last}"
        );
        assert!(last.get("status").is_none() && last.get("excerpt").is_none());
        let reply = reply(&mut lab);
        let (status, body) = match answers_first {
            true => (json!(503), json!("busy")),
            false => (Value::Null, Value::Null),
        };
        assert_eq!(reply["reply"]["outcome"], "failed");
        assert_eq!(reply["reply"]["status"], status);
        assert_eq!(reply["body"], body);
        assert!(!reply.to_string().contains("upstream request timeout"));
    }
}
