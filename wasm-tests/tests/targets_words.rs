//! A reply tells what the target has answered, and nothing that Envoy says in its place. Product
//! description, section 6.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::render::change_routes;
use serde_json::json;
use testkit::http1::Message;
use testkit::http1::Request;
use testkit::server::deserted_port;
use testkit::server::{After, Answer};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::{Seen, Target};

/// Returns a target in trouble: some of it is its own to tell.
fn answer(seen: &Seen) -> Answer {
    let busy = || Answer::json(503, &json!("busy"));
    match (seen.path().as_str(), seen.attempt().as_str()) {
        ("/busy", _) | ("/busy-then-hangs" | "/busy-then-resets", "1") => busy(),
        ("/hangs" | "/busy-then-hangs", _) => Answer::Hang,
        ("/resets" | "/busy-then-resets", _) => Answer::Close,
        ("/forges", _) => busy()
            .with("async-local-reply", "UT response_timeout")
            .with("async-answered", "false"),
        ("/garbage", _) => Answer::Raw(b"HTTP/1.1 2000 No\r\n\r\n".to_vec(), After::Close),
        ("/half", _) => {
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
            Answer::Raw(half.to_vec(), After::Close)
        }
        _ => Answer::status(200),
    }
}

/// Makes a call and gives the reply to it.
fn reply(gateway: &Gateway, path: &str, retries: &str) -> Message {
    let inbox = format!("/inbox{path}");
    let request = Request::new("POST", path)
        .field("Async-Reply-To", &inbox)
        .field("Async-Timeout", "1s")
        .field("Async-Retries", retries);
    gateway.accept(&request.marked().body("x"));
    gateway.wait_for(&inbox, 1);
    gateway.target.of(&inbox).remove(0).message
}

/// Insists that a reply tells nothing of an answer.
fn expect_nothing(reply: &Message, attempts: &str, what: &str) {
    assert_eq!(reply.text("async-outcome"), "failed", "{what}");
    assert_eq!(reply.text("async-attempts"), attempts, "{what}");
    assert_eq!(reply.field("async-status"), None, "{what}");
    assert_eq!(reply.field("content-type"), None, "{what}");
    let body = String::from_utf8_lossy(&reply.body);
    assert_eq!(body, "", "{what}");
}

#[test]
fn a_target_that_never_answers_has_no_status_and_one_that_did_has_its_own() {
    let gateway = Gateway::with("words", Target::scripted(answer), |builder| {
        builder.edit(|config| {
            config["static_resources"]["clusters"]
                .as_array_mut()
                .expect("clusters are a list")
                .push(
                    json!({ "name": "nobody", "type": "STATIC", "connect_timeout": "1s",
                    "load_assignment": { "cluster_name": "nobody", "endpoints": [{
                        "lb_endpoints": [{ "endpoint": { "address": { "socket_address": {
                            "address": "127.0.0.1", "port_value": deserted_port() } } } }] }] } }),
                );
            change_routes(config, |routes| {
                routes.insert(
                    0,
                    json!({ "match": { "path": "/refuses" }, "route": { "cluster": "nobody" } }),
                );
                let taken = json!({ "status": 409, "body": { "inline_string": "taken" } });
                routes.insert(
                    0,
                    json!({ "name": "fixed", "match": { "path": "/fixed" },
                        "direct_response": taken }),
                );
            })
        })
    });
    for path in ["/hangs", "/resets", "/refuses", "/garbage"] {
        expect_nothing(&reply(&gateway, path, "0"), "1", path);
    }
    for path in ["/busy", "/forges"] {
        let told = reply(&gateway, path, "0");
        assert_eq!(told.text("async-status"), "503", "{path}");
        assert_eq!(told.body, b"\"busy\"", "{path}");
        assert_eq!(told.text("content-type"), "application/json", "{path}");
        assert_eq!(told.field("async-response-async-answered"), None);
    }
    for path in ["/busy-then-hangs", "/busy-then-resets"] {
        let told = reply(&gateway, path, "1");
        assert_eq!(told.text("async-attempts"), "2", "{path}");
        assert_eq!(told.text("async-status"), "503", "{path}");
        assert_eq!(told.body, b"\"busy\"", "{path}");
    }
    let fixed = reply(&gateway, "/fixed", "0");
    assert_eq!(fixed.text("async-status"), "409", "the operator's answer");
    assert_eq!(fixed.body, b"taken");
    let half = reply(&gateway, "/half", "0");
    assert!(!half.body.starts_with(b"upstream"), "{:?}", half.body);
    gateway.wait_until_settled();
    // Operators are told what became of it.
    let letters = gateway.stream().dead_letters();
    let of = |path: &str| {
        let letter = letters.iter().find(|letter| letter["call"]["path"] == path);
        letter.unwrap()["attempts"][0].clone()
    };
    for (path, start) in [("/hangs", "504"), ("/resets", "503"), ("/refuses", "503")] {
        let attempt = of(path);
        let said = attempt["gateway"].as_str().unwrap();
        assert!(said.starts_with(start), "{path}: {said}");
        assert!(attempt.get("status").is_none(), "{attempt}");
        assert!(attempt.get("excerpt").is_none(), "{attempt}");
    }
    assert_eq!(of("/busy")["status"], 503);
    assert!(of("/busy").get("gateway").is_none());
}

#[test]
fn an_expired_call_tells_the_last_answer_of_its_target() {
    let gateway = Gateway::with("words-expired", Target::scripted(answer), |builder| {
        let attempt = json!({ "attempt": { "retries": 1000 } });
        builder.drain_patch(drain_settings(&attempt))
    });
    for (path, status, body) in [("/busy-then-hangs", "503", "\"busy\""), ("/hangs", "", "")] {
        let inbox = format!("/inbox{path}");
        let request = Request::new("POST", path)
            .field("Async-Reply-To", &inbox)
            .field("Async-Timeout", "300ms")
            .field("Async-Max-Age", "2s");
        gateway.accept(&request.marked().body("x"));
        gateway.wait_for(&inbox, 1);
        let told = gateway.target.of(&inbox).remove(0).message;
        assert_eq!(told.text("async-outcome"), "expired", "{path}");
        assert_eq!(told.text("async-status"), status, "{path}");
        assert_eq!(told.body, body.as_bytes(), "{path}");
    }
}

#[test]
fn the_way_to_explicit_targets_tells_alike() {
    let port = deserted_port();
    let elsewhere = Target::scripted(answer);
    let rule = |port: u16| {
        let host = "127.0.0.1";
        json!({ "scheme": "http", "host": host, "port": port, "allowPrivate": true })
    };
    let targets = json!({ "targets": { "allow": [rule(port), rule(elsewhere.port())] } });
    let gateway = Gateway::with("words-egress", Target::start(), |builder| {
        builder
            .accept_patch(targets.clone())
            .drain_patch(drain_settings(&targets))
            .allow_private_egress()
    });
    let reply = |port: u16, path: &str| {
        let inbox = format!("/inbox{path}");
        let request = Request::new("POST", "/any")
            .field("Async-Target", format!("http://127.0.0.1:{port}{path}"))
            .field("Async-Reply-To", &inbox)
            .field("Async-Timeout", "1s")
            .field("Async-Retries", "0");
        gateway.accept(&request.marked().body("x"));
        gateway.wait_for(&inbox, 1);
        gateway.target.of(&inbox).remove(0).message
    };
    expect_nothing(&reply(port, "/refused"), "1", "refused");
    expect_nothing(&reply(elsewhere.port(), "/hangs"), "1", "hangs");
    let busy = reply(elsewhere.port(), "/busy");
    assert_eq!(busy.text("async-status"), "503");
    assert_eq!(busy.body, b"\"busy\"");
}
