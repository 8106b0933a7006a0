//! Callers: one of them has a share of what the accept role keeps, and so many deferred calls.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::accept::{AcceptEngine, Input};
use sluice::id::RequestId;
use sluice::metric::Metric;

use support::{Said, accept, accept_engine, answer, at, open_request_of, records, request, stored};

fn refused(said: &Said) -> Option<u16> {
    said.responses.first().map(|(_, status, _)| *status)
}

fn problem(said: &Said) -> Value {
    serde_json::from_str(&said.responses[0].2).unwrap()
}

#[test]
fn one_caller_leaves_places_for_others() {
    let mut engine = accept_engine(r#","limits":{"waitingRequests":30}"#);
    let mut number = 0;
    let mut opens = |engine: &mut AcceptEngine, caller: &str| {
        number += 1;
        refused(&accept(engine, open_request_of(caller, number), at(0), b""))
    };
    let got = (0..30).filter(|_| opens(&mut engine, "greedy").is_none());
    assert_eq!(got.count(), 20);
    assert_eq!(opens(&mut engine, "modest"), None);
    assert_eq!(opens(&mut engine, "greedy"), Some(429));
}

#[test]
fn one_callers_unfinished_bodies_leave_bytes_for_others() {
    let mut engine = accept_engine(r#","limits":{"waitingBytes":2097152}"#);
    let upload = |engine: &mut AcceptEngine, caller: &str, number: u32| {
        let opened = accept(engine, open_request_of(caller, number), at(0), b"");
        let body = Input::RequestBody {
            request: RequestId(number),
            buffered_bytes: 100_000,
            end_of_stream: false,
        };
        refused(&opened).or_else(|| refused(&accept(engine, body, at(0), b"")))
    };
    let got = (0..30).filter(|number| upload(&mut engine, "greedy", *number).is_none());
    assert_eq!(got.count(), 13);
    for number in 30..33 {
        assert_eq!(upload(&mut engine, "modest", number), None);
    }
    let said = accept(&mut engine, open_request_of("greedy", 40), at(0), b"");
    assert_eq!(refused(&said), Some(429));
    let detail = problem(&said)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("of this caller"), "{detail}");
}

/// Has a deferred call accepted; returns why it is refused.
fn defer(engine: &mut AcceptEngine, caller: &str, number: u32, delay: &str) -> Said {
    let fields = [("authorization", caller), ("async-delay", delay)];
    let millis = u64::from(number);
    let said = accept(engine, request(number, &fields), at(millis), b"");
    if refused(&said).is_some() {
        return said;
    }
    let mut said = accept(engine, Input::Wake, at(millis), b"");
    let put = said.callouts.remove(0);
    let done = Input::CalloutDone(put.ticket, stored(&put, usize::try_from(number).unwrap()));
    accept(engine, done, at(millis), b"")
}

#[test]
fn a_caller_has_so_many_deferred_calls_and_no_more() {
    let mut engine = accept_engine(r#","callers":{"deferredMax":3}"#);
    for number in 0..3 {
        let said = defer(&mut engine, "a", number, "10s");
        assert_eq!(refused(&said), Some(202));
    }
    let said = defer(&mut engine, "a", 3, "1h");
    let problem = problem(&said);
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["type"], "urn:sluice:too-many-deferred");
    assert_eq!(problem["limit"], 3);
    assert_eq!(said.counted(Metric::RefusedTooManyDeferred), 1);
    let said = defer(&mut engine, "a", 4, "0s");
    assert_eq!(refused(&said), Some(202), "this one is due");
    let said = defer(&mut engine, "b", 5, "1h");
    assert_eq!(refused(&said), Some(202), "another caller");
    let said = defer(&mut engine, "a", 11_100, "1h");
    assert_eq!(refused(&said), Some(202), "the first ones are due");
}

#[test]
fn what_comes_to_nothing_is_no_deferred_call() {
    let mut engine = accept_engine(r#","callers":{"deferredMax":1}"#);
    let fields = [("authorization", "a"), ("async-delay", "1h")];
    accept(&mut engine, request(1, &fields), at(0), b"");
    let put = accept(&mut engine, Input::Wake, at(0), b"")
        .callouts
        .remove(0);
    let failed = Input::CalloutDone(put.ticket, answer(503, &[], ""));
    assert_eq!(refused(&accept(&mut engine, failed, at(0), b"")), Some(503));
    accept(&mut engine, request(2, &fields), at(0), b"");
    accept(&mut engine, Input::RequestGone(RequestId(2)), at(0), b"");
    assert_eq!(refused(&defer(&mut engine, "a", 3, "1h")), Some(202));
    assert_eq!(refused(&defer(&mut engine, "a", 4, "1h")), Some(429));
}

#[test]
fn a_record_has_a_hash_of_its_caller_and_nothing_else() {
    let mut engine = accept_engine("");
    for (number, caller) in [(1, "Bearer secret-1"), (2, "Bearer secret-1"), (3, "b")] {
        let fields = [("authorization", caller), ("x", "y")];
        accept(&mut engine, request(number, &fields), at(0), b"");
    }
    let put = accept(&mut engine, Input::Wake, at(0), b"")
        .callouts
        .remove(0);
    let records = records(&put);
    let caller = |number: usize| records[number]["caller"].as_str().unwrap();
    assert_eq!(caller(0).len(), 32);
    assert_eq!(caller(0), caller(1));
    assert_ne!(caller(0), caller(2));
    assert_ne!(records[0]["headers"], json!([]));
}

#[test]
fn a_key_of_nobody_is_refused() {
    let mut engine = accept_engine("");
    let Input::RequestHead { mut head, .. } = request(1, &[("idempotency-key", "k")]) else {
        panic!("no head")
    };
    head.caller = None;
    let input = Input::RequestHead {
        request: RequestId(1),
        head,
        end_of_stream: true,
    };
    let said = accept(&mut engine, input, at(0), b"");
    assert_eq!(problem(&said)["status"], 400);
    assert_eq!(problem(&said)["header"], "Idempotency-Key");
}

/// Returns what is stored of a caller's order key.
fn stored_order_key(config: &str, extra: &[(&str, &str)]) -> String {
    let mut engine = accept_engine(config);
    accept(&mut engine, request(1, extra), at(0), b"");
    let put = accept(&mut engine, Input::Wake, at(0), b"")
        .callouts
        .remove(0);
    records(&put)[0]["orderKey"].as_str().unwrap().to_owned()
}

#[test]
fn an_order_key_is_its_callers_own_unless_all_share_them() {
    let key = |config: &str, caller: &str| {
        let fields = [("authorization", caller), ("async-order-key", "k")];
        stored_order_key(config, &fields)
    };
    let own = key("", "a");
    assert!(own.starts_with("own-"), "{own}");
    assert_eq!(key("", "a"), own, "at every gateway, and after a restart");
    assert_ne!(key("", "b"), own);
    assert_eq!(key(r#","callers":{"ownOrderKeys":false}"#, "a"), "k");
}

#[test]
fn callers_without_a_mark_share_order_keys_and_cannot_name_anothers() {
    let nobody = [("async-order-key", "k")];
    assert_eq!(stored_order_key("", &nobody), "k");
    let all = r#","callers":{"ownOrderKeys":true}"#;
    assert!(stored_order_key(all, &nobody).starts_with("own-"));
    let mut engine = accept_engine("");
    let stored = format!("own-{}", "a".repeat(32));
    let fields = [("async-order-key", &*stored)];
    let said = accept(&mut engine, request(1, &fields), at(0), b"");
    assert_eq!(problem(&said)["status"], 400);
    assert_eq!(problem(&said)["header"], "Async-Order-Key");
}
