//! What a client is told: the receipt of an accepted call, and every refusal with what to change.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::render::change_routes;
use serde_json::{Value, json};
use testkit::http1::{Request, Response};
use testkit::http2::{self, blocking};
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// Small, so that requests beyond it are cheap.
const BODY_LIMIT: usize = 5_000;

fn gateway(name: &str) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        builder.accept_patch(json!({ "limits": { "bodyBytes": BODY_LIMIT } }))
    })
}

fn post(path: &str) -> Request {
    Request::new("POST", path)
}

/// Checks a refusal (RFC 9457), and returns its problem.
fn problem(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{}", response.show());
    let content_type = response.message.text("content-type");
    assert_eq!(
        content_type,
        "application/problem+json",
        "{}",
        response.show()
    );
    assert_eq!(response.message.text("async-call-id"), "");
    let problem = response.json();
    assert_eq!(problem["type"], format!("urn:sluice:{kind}"));
    assert_eq!(problem["status"], status);
    for member in ["title", "detail"] {
        assert!(
            problem[member].as_str().is_some_and(|text| text.len() > 5),
            "{problem}"
        );
    }
    problem
}

#[test]
fn a_receipt_tells_all_that_is_known() {
    let gateway = gateway("receipt");
    let request = post("/orders?a=1").marked();
    let response = gateway.exchange(&request.clone().body("{}")).expect(202);
    let id = response.message.text("async-call-id");
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "a UUIDv7: {id}");
    for (field, expected) in [
        ("content-type", "application/json"),
        ("preference-applied", "respond-async"),
        ("async-correlation-id", &id),
    ] {
        assert_eq!(response.message.text(field), expected, "{field}");
    }
    let receipt = response.json();
    let members: Vec<&String> = receipt.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "acceptedAt",
            "correlationId",
            "deliverAt",
            "id",
            "offset",
            "partition"
        ]
    );
    assert_eq!(
        (&receipt["id"], &receipt["correlationId"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(receipt["acceptedAt"], receipt["deliverAt"]);
    let partition: u32 = receipt["partition"].as_str().unwrap().parse().unwrap();

    // What the client is told is where the record stands, and what the target is told too.
    let mut records = gateway.stream().records("calls").into_iter();
    let record = records.next().unwrap();
    assert_eq!(
        (record.partition, json!(record.offset)),
        (partition, receipt["offset"].clone())
    );
    assert_eq!(record.json()["id"], id.as_str());
    gateway.wait_for_call(&id);
    let seen = &gateway.target.of("/orders")[0];
    assert_eq!(
        seen.message.text("async-accepted-at"),
        receipt["acceptedAt"].as_str().unwrap()
    );

    let request = request
        .field("Async-Correlation-Id", "conversation/7")
        .body("");
    let response = gateway.exchange(&request).expect(202);
    assert_eq!(
        response.message.text("async-correlation-id"),
        "conversation/7"
    );
    assert_eq!(response.json()["correlationId"], "conversation/7");
    gateway.wait_for("/orders", 2);
    let seen = &gateway.target.of("/orders")[1];
    assert_eq!(seen.message.text("async-correlation-id"), "conversation/7");
    gateway.wait_until_settled();
}

#[test]
fn a_mark_is_a_preference_wherever_it_stands() {
    let gateway = gateway("marks");
    let with = |lines: &[&str]| {
        let add = |request: Request, line: &&str| request.field("Prefer", line);
        gateway.exchange(&lines.iter().fold(post("/marks"), add).body("x"))
    };
    for marked in [
        &["respond-async"][..],
        &["Respond-ASYNC"],
        &["respond-async, wait=10"],
        &["return=minimal", "respond-async"],
        &["a=\"b, c\",respond-async;x=1"],
    ] {
        assert_eq!(with(marked).status, 202, "{marked:?}");
    }
    for unmarked in [
        &[][..],
        &[""],
        &["return=minimal"],
        &["respond-asynchronously"],
        &["a=\"b, respond-async\""],
    ] {
        let response = with(unmarked);
        assert_eq!(response.status, 200, "{unmarked:?}");
        assert_eq!(response.message.text("async-call-id"), "");
    }
    gateway.wait_for("/marks", 10);
    gateway.wait_until_settled();
}

#[test]
fn what_cannot_be_a_call_is_refused_with_what_to_change() {
    let gateway = gateway("refusals");
    let marked = || post("/x").marked();
    for (request, status, kind) in [
        (
            marked()
                .field("Connection", "upgrade")
                .field("Upgrade", "websocket"),
            501,
            "not-asynchronous",
        ),
        (
            marked().field("Async-Correlation-Id", "a b").body("x"),
            400,
            "bad-option",
        ),
        (
            marked().field("Async-Correlation-Id", "").body("x"),
            400,
            "bad-option",
        ),
        (
            marked().field("Async-Correlation-Id", b"\xff").body("x"),
            400,
            "bad-option",
        ),
        (
            marked()
                .field("Async-Correlation-Id", "a")
                .field("Async-Correlation-Id", "a")
                .body("x"),
            400,
            "bad-option",
        ),
    ] {
        let response = gateway.exchange(&request);
        let problem = problem(&response, status, kind);
        if status == 400 {
            assert_eq!(problem["header"], "Async-Correlation-Id");
        }
    }
    let connect = Request::without_host("CONNECT", "elsewhere.test:80");
    let connect = connect.field("Host", "elsewhere.test:80").marked();
    problem(&gateway.exchange(&connect), 501, "not-asynchronous");

    // gRPC has a status of its own, in a response with 200.
    let grpc = http2::Request::new("POST", "/package.Service/Method")
        .field("content-type", "application/grpc+proto")
        .field("te", "trailers")
        .marked()
        .frame(b"\0\0\0\0\0");
    let connection = blocking::Connection::open(gateway.port()).unwrap();
    let response = connection.exchange(&grpc).unwrap();
    assert_eq!(
        (response.status, response.text("grpc-status").as_str()),
        (200, "12"),
        "{response:?}"
    );

    assert_eq!(
        gateway.stream().records("calls").len(),
        0,
        "nothing was stored"
    );
    assert_eq!(gateway.target.count(), 0, "nothing was called");
    gateway.wait_until_settled();
}

#[test]
fn an_unmarked_upgrade_passes() {
    let target = Target::scripted(|_| {
        Answer::status(101)
            .with("connection", "upgrade")
            .with("upgrade", "websocket")
    });
    let gateway = Gateway::with("upgrade", target, |builder| builder);
    let request = Request::new("GET", "/socket").field("Connection", "Upgrade");
    let response = gateway.exchange(&request.field("Upgrade", "websocket"));
    assert_eq!(response.status, 101, "{}", response.show());
}

#[test]
fn the_body_limit_is_stated_and_exact() {
    let gateway = gateway("limit");
    let body = vec![b'x'; BODY_LIMIT + 1];
    let (whole, start) = (&body[..], &body[..BODY_LIMIT]);
    let endless = vec![b'x'; 3_000_000];
    let marked = || post("/limit").marked();
    for request in [
        marked().body(start),
        marked().chunks(&[start]),
        marked().chunks(&[&start[..1], &start[1..]]),
    ] {
        let _accepted = gateway.exchange(&request).expect(202);
    }
    for request in [
        marked().body(whole),
        marked().chunks(&[whole]),
        marked().chunks(&[start, b"x"]),
        marked().chunks(&[&endless]),
        marked().body(&endless),
        marked().field("Content-Length", "9999999999"),
    ] {
        let problem = problem(&gateway.exchange(&request), 413, "too-large");
        assert_eq!(problem["limitBytes"], BODY_LIMIT);
    }
    let connection = blocking::Connection::open(gateway.port()).unwrap();
    for (frames, status) in [(vec![start], 202), (vec![start, b"x"], 413)] {
        let request = http2::Request::new("POST", "/limit").marked();
        let add = |request: http2::Request, frame| request.frame(frame);
        let request = frames.into_iter().fold(request, add);
        assert_eq!(connection.exchange(&request).unwrap().status, status);
    }
    gateway.wait_for("/limit", 4);
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), 4);
}

#[test]
fn without_a_route_there_is_nothing_to_call() {
    let gateway = Gateway::with("routes", Target::start(), |builder| {
        builder.edit(|config| {
            change_routes(config, |routes| {
                routes.retain(|route| route["name"] == "function");
                let nameless = &mut routes[0];
                nameless["match"] = json!({ "prefix": "/known" });
                nameless.as_object_mut().unwrap().remove("name");
                routes.push(json!({
                    "name": "direct",
                    "match": { "prefix": "/direct" },
                    "direct_response": { "status": 204 },
                }));
            })
        })
    });
    for request in [post("/unknown").body("x"), Request::new("GET", "/")] {
        problem(&gateway.exchange(&request.marked()), 404, "no-route");
    }
    let id = gateway.call("/known/path");
    gateway.wait_for_call(&id);
    gateway.call("/direct");
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), 1);
    assert_eq!(gateway.metric("sluice_delivered_total"), 2);
}
