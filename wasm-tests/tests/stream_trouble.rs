//! The Stream is away, slow, or refuses: clients get `503` in time, each by its own record's fate,
//! and all goes on by itself when the Stream is back.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use local_gateway::Part;
use serde_json::{Value, json};
use testkit::http1::{Connection, Request, Response};
use testkit::http2::{self, blocking};
use testkit::server::deserted_port;
use testkit::server::{Answer, Incoming, Server};
use testkit::stream::records_in;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// What the gateway is told to wait for the Stream.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(500);

/// What an answer may take on a machine that does three other things: still less than the default,
/// so that it shows that the setting counts.
const GENEROUS: Duration = Duration::from_secs(4);

fn gateway(name: &str, stream_port: Option<u16>) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        let timeout = u64::try_from(PUBLISH_TIMEOUT.as_millis()).unwrap();
        let builder = builder.accept_patch(json!({
            "publish": { "timeoutMs": timeout },
            "limits": { "retryAfterSeconds": 7 },
        }));
        match stream_port {
            Some(port) => builder.shared_stream(port),
            None => builder,
        }
    })
}

fn post(path: &str) -> Request {
    Request::new("POST", path).marked().body("x")
}

/// Checks a refusal, and returns what is known of the call: is it stored?
fn refused(response: &Response) -> String {
    assert_eq!(response.status, 503, "{}", response.show());
    let text = |name| response.message.text(name);
    assert_eq!(text("content-type"), "application/problem+json");
    assert_eq!(text("retry-after"), "7");
    let problem = response.json();
    assert_eq!(problem["type"], "urn:sluice:stream-unavailable");
    problem["stored"].as_str().unwrap().to_owned()
}

#[test]
fn a_stream_that_nobody_started() {
    let gateway = gateway("no-stream", Some(deserted_port()));
    for _ in 0..3 {
        assert_eq!(refused(&gateway.exchange(&post("/x"))), "no");
    }
    let unmarked = Request::new("POST", "/x").body("x");
    assert_eq!(gateway.exchange(&unmarked).status, 200, "the rest goes on");
}

#[test]
fn a_stream_that_dies_stops_and_comes_back() {
    let mut gateway = gateway("stream-away", None);
    let id = gateway.call("/before");
    gateway.wait_for_call(&id);

    gateway.set.kill9_stream_server().unwrap();
    assert_eq!(refused(&gateway.exchange(&post("/killed"))), "no");
    gateway.set.restart_stream_server().unwrap();
    gateway.wait("calls are accepted again", || {
        gateway.exchange(&post("/after-kill")).status == 202
    });

    // Of two requests the first is under way to the Stream when it stops answering, the second is
    // not; both are answered in time.
    gateway.set.pause(Part::StreamServer).unwrap();
    let start = Instant::now();
    let mut first = Connection::open(gateway.port()).unwrap();
    first.send(&post("/stopped").bytes()).unwrap();
    gateway.wait("the first is under way", || {
        gateway.metric("sluice_waiting_requests") == 1
    });
    let second = gateway.exchange(&post("/stopped"));
    let first = first.receive(false).unwrap();
    assert!(start.elapsed() < GENEROUS, "{:?}", start.elapsed());
    assert_eq!(refused(&first), "unknown");
    refused(&second);
    gateway.set.resume(Part::StreamServer).unwrap();
    gateway.wait("calls are accepted again", || {
        gateway.exchange(&post("/after-stop")).status == 202
    });
    gateway.wait_for("/after-kill", 1);
    gateway.wait_for("/after-stop", 1);
    gateway.wait_until_settled();
    assert_eq!(gateway.target.of("/killed").len(), 0);
}

/// Returns a Stream that stores some records and refuses others, by the number in their path.
fn picky_stream() -> Server {
    Server::start(Arc::new(|incoming: Incoming| {
        if !incoming.message.word(1).ends_with("/messages") {
            return Answer::status(404);
        }
        // Long enough for the others to gather in one batch.
        thread::sleep(Duration::from_millis(50));
        let entry = |record: Value| {
            let number = number(record["path"].as_str().unwrap());
            if number.is_multiple_of(2) {
                json!({ "partition": "0", "offset": number })
            } else {
                json!({ "error": "InternalError", "errorMessage": format!("not {number}") })
            }
        };
        let entries: Vec<Value> = records_in(&incoming.message.body)
            .into_iter()
            .map(entry)
            .collect();
        let failures = entries.iter().filter(|entry| entry["error"].is_string());
        Answer::json(
            200,
            &json!({ "failures": failures.count(), "entries": entries }),
        )
    }))
}

fn number(path: &str) -> u64 {
    path.trim_start_matches("/number/").parse().unwrap()
}

#[test]
fn each_request_of_a_batch_gets_the_answer_of_its_own_record() {
    let stream = picky_stream();
    let gateway = gateway("picky-stream", Some(stream.port()));
    let connection = blocking::Connection::open(gateway.port()).unwrap();
    let request = |number| {
        let path = format!("/number/{number}");
        http2::Request::new("POST", &path).marked().frame("x")
    };
    let responses = connection.exchange_all((0..60).map(request).collect());
    for (number, response) in responses.into_iter().enumerate() {
        let response = response.unwrap();
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        if number.is_multiple_of(2) {
            assert_eq!((response.status, &body["offset"]), (202, &json!(number)));
        } else {
            assert_eq!((response.status, &body["stored"]), (503, &json!("no")));
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("not {number}.")), "{detail}");
        }
    }
    let batches = gateway.metric("sluice_published_batches_total");
    assert!(batches < 30, "the requests have shared batches: {batches}");
    assert_eq!(gateway.metric("sluice_published_records_total"), 30);
}

#[test]
fn every_other_answer_of_the_stream_refuses_the_call() {
    let answers = [
        (
            Answer::json(500, &json!({ "code": "InternalError" })),
            "unknown",
        ),
        // As a stream server on Kafka says while a topic lacks replicas.
        (
            Answer::json(503, &json!({ "code": "ServiceUnavailable" })).with("retry-after", "1"),
            "unknown",
        ),
        (
            Answer::json(401, &json!({ "code": "NotAuthenticated" })),
            "no",
        ),
        (
            Answer::json(404, &json!({ "code": "NotAuthorizedOrNotFound" })),
            "no",
        ),
        (
            Answer::json(429, &json!({ "code": "TooManyRequests" })),
            "no",
        ),
        (Answer::json(200, &json!("nonsense")), "unknown"),
        (
            Answer::json(200, &json!({ "failures": 0, "entries": [] })),
            "unknown",
        ),
        (Answer::status(204), "no"),
        (Answer::Close, "unknown"),
        (Answer::Hang, "unknown"),
    ];
    let script = answers.clone();
    let stream = Server::start(Arc::new(move |incoming: Incoming| {
        if !incoming.message.word(1).ends_with("/messages") {
            return Answer::status(404);
        }
        let records = records_in(&incoming.message.body);
        let number = number(records[0]["path"].as_str().unwrap());
        script[usize::try_from(number).unwrap()].0.clone()
    }));
    let gateway = gateway("refusing-stream", Some(stream.port()));
    for (number, (answer, stored)) in answers.iter().enumerate() {
        let response = gateway.exchange(&post(&format!("/number/{number}")));
        assert_eq!(refused(&response), *stored, "{answer:?}");
    }
}
