//! `ack: immediate` in the real Envoy: answers come while the Stream is away, the calls follow when
//! it is back, and what is kept meanwhile is bounded and shown.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::json;
use testkit::http1::Request;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

fn gateway(name: &str, buffer: &serde_json::Value) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        builder.accept_patch(json!({
            "publish": { "ack": "immediate", "timeoutMs": 500, "buffer": buffer },
        }))
    })
}

fn post(path: &str) -> Request {
    Request::new("POST", path).marked().body("x")
}

#[test]
fn answers_do_not_wait_for_the_stream_and_calls_follow() {
    // One caller may have twice what is left to others: 20 of 30.
    let mut gateway = gateway("ack-immediate", &json!({ "calls": 30 }));
    gateway.set.kill9_stream_server().unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let response = gateway.exchange(&post("/away")).expect(202);
        let body = response.json();
        assert!(
            body["offset"].is_null() && body["partition"].is_null(),
            "{body}"
        );
        ids.push(body["id"].as_str().unwrap().to_owned());
    }
    gateway.wait("the gauge shows them", || {
        gateway.metric("sluice_buffered_calls") == 20
    });
    let refused = gateway.exchange(&post("/away")).expect(429);
    assert!(!refused.message.text("retry-after").is_empty());
    gateway.set.restart_stream_server().unwrap();
    gateway.wait_for("/away", 20);
    for id in &ids {
        gateway.wait_for_call(id);
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.metric("sluice_buffered_calls"), 0);
    assert_eq!(gateway.metric("sluice_lost_calls_total"), 0);
    gateway.accept(&post("/after"));
    gateway.wait_for("/after", 1);
}

#[test]
fn what_is_never_stored_is_counted_as_lost() {
    let mut gateway = gateway("ack-lost", &json!({ "ageSeconds": 1 }));
    gateway.set.kill9_stream_server().unwrap();
    gateway.accept(&post("/lost"));
    gateway.wait("it is given up", || {
        gateway.metric("sluice_lost_calls_total") == 1
    });
    assert_eq!(gateway.metric("sluice_buffered_calls"), 0);
    gateway.set.restart_stream_server().unwrap();
    gateway.accept(&post("/next"));
    gateway.wait_for("/next", 1);
    assert_eq!(gateway.target.of("/lost").len(), 0);
}
