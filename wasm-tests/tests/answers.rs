//! Answers that are long, slow, endless or odd: their status counts, and nothing of them is
//! buffered that nobody wants. Product description, section 2; G9.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use local_gateway::Builder;
use local_gateway::render::change_routes;
use local_gateway::render::{at, listener};
use serde_json::json;
use testkit::http1::Message;
use testkit::http1::Request;
use testkit::server::{After, Answer};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// What the answer role keeps of an answer's content.
const KEPT: usize = 65_536;

/// Returns a mebibyte as a chunk of HTTP/1.1.
fn chunk() -> Vec<u8> {
    [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat()
}

fn raw(head: &str, body: &[u8], after: After) -> Answer {
    Answer::Raw([head.as_bytes(), body].concat(), after)
}

/// Returns what a target says on these paths; all others are fine.
fn answer(path: &str) -> Answer {
    const MIB_40: &str = "HTTP/1.1 200 OK\r\nx-own: 1\r\ncontent-length: 41943040\r\n\r\n";
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nx-own: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    match path {
        "/endless" => raw(ENDLESS, &chunk(), After::Repeat(chunk())),
        "/long" => raw(MIB_40, &[], After::Repeat(vec![b'x'; 1 << 16])),
        "/hanging" => {
            let head = "HTTP/1.1 201 Created\r\ncontent-type: text/x\r\ncontent-length: 9\r\n\r\n";
            raw(head, b"abc", After::Hang)
        }
        "/headonly" => raw(
            "HTTP/1.1 202 Taken\r\ncontent-length: 9\r\n\r\n",
            b"",
            After::Hang,
        ),
        "/dripping" => {
            let pause = Duration::from_millis(20);
            raw(ENDLESS, b"", After::Drip(b"1\r\nx\r\n".to_vec(), pause))
        }
        "/refusing" => raw(
            "HTTP/1.1 422 No\r\ntransfer-encoding: chunked\r\n\r\n",
            b"7\r\nbecause\r\n",
            After::Repeat(chunk()),
        ),
        "/forging" => Answer::json(200, &json!({}))
            .with("async-answer-cut", "true")
            .with("async-local-reply", "UH no_healthy_upstream"),
        "/exact" => Answer::Reply {
            status: 200,
            fields: Vec::new(),
            body: vec![b'x'; KEPT],
        },
        "/trailers" => raw(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
            After::Next,
        ),
        "/nothing" => Answer::status(204),
        _ => Answer::status(200),
    }
}

fn gateway(name: &str) -> Gateway {
    let target = Target::scripted(|seen| answer(&seen.path()));
    Gateway::with(name, target, |builder| builder)
}

/// Makes a call and gives the reply to it.
fn reply(gateway: &Gateway, path: &str, timeout: &str) -> Message {
    let inbox = format!("/inbox{path}");
    let request = Request::new("POST", path)
        .field("Async-Reply-To", &inbox)
        .field("Async-Timeout", timeout)
        .field("Async-Retries", "0");
    gateway.accept(&request.marked().body("x"));
    gateway.wait_for(&inbox, 1);
    gateway.target.of(&inbox).remove(0).message
}

#[test]
fn the_status_of_a_long_or_endless_answer_counts_and_its_start_is_kept() {
    let gateway = gateway("answers-long");
    for path in ["/endless", "/long"] {
        let reply = reply(&gateway, path, "30s");
        assert_eq!(reply.text("async-outcome"), "delivered", "{path}");
        assert_eq!(reply.text("async-status"), "200", "{path}");
        assert_eq!(reply.text("async-body-cut"), "true", "{path}");
        assert!(
            reply.body == vec![b'x'; KEPT],
            "{path}: {}",
            reply.body.len()
        );
        assert_eq!(gateway.target.of(path).len(), 1, "made once: {path}");
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.metric("sluice_delivered_total"), 4);
    assert!(gateway.stream().dead_letters().is_empty());
}

#[test]
fn the_status_counts_where_the_content_never_ends_in_time() {
    let gateway = gateway("answers-slow");
    for (path, status, body) in [("/hanging", "201", &b"abc"[..]), ("/headonly", "202", b"")] {
        let reply = reply(&gateway, path, "1s");
        assert_eq!(reply.text("async-outcome"), "delivered", "{path}");
        assert_eq!(reply.text("async-status"), status, "{path}");
        assert_eq!(reply.text("async-body-cut"), "true", "{path}");
        assert_eq!(reply.body, body, "{path}");
    }
    let dripped = reply(&gateway, "/dripping", "1s");
    assert_eq!(dripped.text("async-status"), "200");
    assert!(dripped.body.starts_with(b"xxx"), "{:?}", dripped.body);
    gateway.wait_until_settled();
    for path in ["/hanging", "/headonly", "/dripping"] {
        assert_eq!(gateway.target.of(path).len(), 1, "made once: {path}");
    }
}

#[test]
fn a_refusal_is_the_targets_own_however_long_it_is() {
    let gateway = gateway("answers-refusing");
    let reply = reply(&gateway, "/refusing", "30s");
    assert_eq!(reply.text("async-outcome"), "failed");
    assert_eq!(reply.text("async-status"), "422");
    assert!(reply.body.starts_with(b"because"));
    let letters = gateway.stream().dead_letters();
    assert_eq!(letters[0]["reason"], "rejected");
    assert_eq!(letters[0]["attempts"][0]["status"], 422);
}

#[test]
fn what_is_whole_stays_as_it_is_and_nobody_forges_a_cut() {
    let gateway = gateway("answers-whole");
    for (path, status, length) in [
        ("/forging", "200", 2),
        ("/exact", "200", KEPT),
        ("/trailers", "200", 2),
        ("/nothing", "204", 0),
    ] {
        let reply = reply(&gateway, path, "10s");
        assert_eq!(reply.text("async-outcome"), "delivered", "{path}");
        assert_eq!(reply.text("async-status"), status, "{path}");
        assert_eq!(reply.text("async-body-cut"), "", "{path}");
        assert_eq!(reply.body.len(), length, "{path}");
    }
    // An answer without content may tell how long it would be.
    let request = Request::new("HEAD", "/exact").marked();
    gateway.accept(&request.body(""));
    gateway.wait_until_settled();
    assert_eq!(gateway.metric("sluice_retried_total"), 0);
}

#[test]
fn long_answers_take_no_memory() {
    let gateway = gateway("answers-memory");
    let allocated = || {
        let stats = gateway.set.admin_stats().unwrap();
        stats["server.memory_allocated"]
    };
    gateway.call("/first");
    gateway.wait_until_settled();
    let before = allocated();
    let mut most = 0;
    for _ in 0..24 {
        gateway.call("/long");
    }
    gateway.wait("all are delivered", || {
        most = most.max(allocated());
        gateway.metric("sluice_delivered_total") == 25
    });
    let grown = most.saturating_sub(before);
    assert!(grown < 32 << 20, "24 answers of 40 MiB took {grown} bytes");
    assert_eq!(gateway.target.of("/long").len(), 24);
}

#[test]
fn the_calls_own_time_limit_decides_not_the_routes() {
    let target = Target::scripted(|seen| {
        if seen.path() == "/slow" {
            std::thread::sleep(Duration::from_millis(2_000));
        }
        Answer::status(200)
    });
    let gateway = Gateway::with("answers-limit", target, |builder: Builder| {
        builder.edit(|config| {
            change_routes(config, |routes| {
                for route in routes.iter_mut().filter_map(|route| route.get_mut("route")) {
                    route["timeout"] = json!("0.5s");
                }
            })
        })
    });
    let unmarked = gateway.exchange(&Request::new("GET", "/slow"));
    assert_eq!(unmarked.status, 504, "the route's limit is for clients");
    // A client from elsewhere: Envoy's own limit would be taken out of what it sends.
    let request = Request::new("POST", "/slow")
        .field("Async-Timeout", "30s")
        .field("Async-Retries", "0")
        .field("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
        .field("X-Envoy-Upstream-Rq-Timeout-Ms", "1");
    gateway.accept(&request.marked().body("x"));
    gateway.wait("it is delivered", || {
        gateway.metric("sluice_delivered_total") == 1
    });
    let seen = gateway.target.of("/slow").remove(1).message;
    for name in ["async-time-limit", "x-envoy-upstream-rq-timeout-ms"] {
        assert!(seen.field(name).is_none(), "{name}");
    }
    // And what a call asks for less than the route has ends it.
    let request = Request::new("POST", "/slow").field("Async-Timeout", "200ms");
    gateway.accept(&request.field("Async-Retries", "0").marked().body("x"));
    gateway.wait("it is given up", || {
        !gateway.stream().dead_letters().is_empty()
    });
}

#[test]
fn explicit_targets_are_answered_alike() {
    let target = Target::scripted(|seen| answer(&seen.path()));
    let allow = json!([{ "scheme": "http", "host": "127.0.0.1", "port": target.port(),
        "allowPrivate": true }]);
    let gateway = Gateway::with("answers-egress", target, |builder| {
        builder
            .accept_patch(json!({ "targets": { "allow": allow } }))
            .drain_patch(drain_settings(&json!({ "targets": { "allow": allow } })))
            .allow_private_egress()
            .edit(|config| {
                let egress = listener(config, "egress-http")?;
                let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
                assert!(at(egress, filters)?.to_string().contains("sluice-answer"));
                Ok(())
            })
    });
    let call = |path: &str, timeout: &str| {
        let url = format!("http://127.0.0.1:{}{path}", gateway.target.port());
        let request = Request::new("POST", "/any").field("Async-Target", url);
        let request = request.field("Async-Timeout", timeout);
        gateway.accept(&request.field("Async-Retries", "0").marked().body("x"));
        gateway.wait_for(path, 1);
    };
    call("/endless", "30s");
    call("/hanging", "1s");
    call("/exact", "10s");
    gateway.wait("all are delivered", || {
        gateway.metric("sluice_delivered_total") == 3
    });
    for path in ["/endless", "/hanging", "/exact"] {
        let seen = gateway.target.of(path);
        assert_eq!(seen.len(), 1, "made once: {path}");
        assert!(seen[0].message.field("async-time-limit").is_none());
    }
}
