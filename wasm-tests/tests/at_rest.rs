//! Credentials at rest in a real Envoy: sealed on every stream, opened only where the call is made.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::{Builder, Part};
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use testkit::stream::CALLS;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::sluice::dead;
use wasm_tests::target::Target;

const KEYS: &str = "2026-11:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SECRETS: [&str; 4] = ["Bearer of-alice", "session=1", "other=2", "of-the-proxy"];

fn sealing(name: &str, target: Target, change: impl FnOnce(Builder) -> Builder) -> Gateway {
    Gateway::with(name, target, |builder| {
        change(builder.envoy_environment("SLUICE_SEAL_KEYS", KEYS))
    })
}

fn with_credentials(path: &str) -> Request {
    let request = Request::new("POST", path).field("X-Open", "as it is");
    let names = ["Authorization", "Cookie", "Cookie", "Proxy-Authorization"];
    let fields = names.into_iter().zip(SECRETS);
    fields.fold(request, |request, (name, value)| request.field(name, value))
}

/// Returns everything that is stored, as text.
fn stored(gateway: &Gateway) -> String {
    let streams = ["", "-1s", "-5s", "-dead"].map(|suffix| format!("{CALLS}{suffix}"));
    let records = streams
        .iter()
        .flat_map(|stream| gateway.stream().records(stream));
    let records: Vec<String> = records.map(|record| record.json().to_string()).collect();
    records.join("\n")
}

fn assert_nothing_is_readable(gateway: &Gateway) {
    let stored = stored(gateway);
    for secret in SECRETS {
        assert!(!stored.contains(secret), "{stored}");
    }
    assert!(
        stored.contains("as it is") && stored.contains(r#""key":"2026-11""#),
        "{stored}"
    );
}

fn assert_got_credentials(gateway: &Gateway, path: &str) {
    let seen = gateway.target.of(path).pop().unwrap().message;
    let own = ["authorization", "cookie", "proxy-authorization"];
    let fields = seen.fields.iter();
    let fields = fields.filter(|(name, _)| own.contains(&&*String::from_utf8_lossy(name)));
    let values: Vec<_> = fields
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    assert_eq!(values, SECRETS, "{path}");
}

#[test]
fn the_target_gets_credentials_that_no_stream_has() {
    let target = Target::scripted(|seen| match (seen.path().as_str(), seen.nth) {
        ("/refused", 1) => Answer::status(404),
        ("/later", 1) => Answer::Reply {
            status: 503,
            fields: vec![("retry-after".to_owned(), "2".to_owned())],
            body: Vec::new(),
        },
        _ => Answer::status(200),
    });
    let gateway = sealing("sealed", target, |builder| builder);
    gateway.accept(&with_credentials("/now").marked().body("x"));
    let deferred = with_credentials("/later").field("Async-Delay", "1500ms");
    gateway.accept(&deferred.marked().body("x"));
    let refused = gateway.accept(&with_credentials("/refused").marked().body("x"));
    gateway.wait_for("/now", 1);
    gateway.wait("a dead letter", || {
        !gateway.stream().dead_letters().is_empty()
    });
    gateway.wait_for("/later", 2);
    gateway.wait_until_settled();
    for path in ["/now", "/later", "/refused"] {
        assert_got_credentials(&gateway, path);
    }
    assert_nothing_is_readable(&gateway);
    // What people see of the letter, and what a redrive makes of it.
    let shown = dead(&gateway, &["show", &refused]).expect(0).out;
    assert!(
        shown.contains("authorization: (sealed by the key 2026-11)"),
        "{shown}"
    );
    assert!(
        !SECRETS.iter().any(|secret| shown.contains(secret)),
        "{shown}"
    );
    let _ = dead(&gateway, &["redrive", &refused]).expect(0);
    gateway.wait_for("/refused", 2);
    gateway.wait_until_settled();
    assert_got_credentials(&gateway, "/refused");
    assert_nothing_is_readable(&gateway);
}

#[test]
fn a_sealed_credential_goes_nowhere_else_whoever_publishes_it() {
    let gateway = sealing("sealed-elsewhere", Target::start(), |builder| builder);
    gateway.accept(&with_credentials("/mine").marked().body("x"));
    gateway.wait_for("/mine", 1);
    let record = gateway.stream().records(CALLS).remove(0).json();
    let change = |member: &str, value: Value| {
        let mut record = record.clone();
        record[member] = value;
        record.to_string().into_bytes()
    };
    let mut renamed = record.clone();
    let headers = renamed["headers"].as_array_mut().unwrap();
    let field = headers.iter_mut().find(|field| field[0] == "authorization");
    field.unwrap()[0] = json!("x-debug");
    let changed = [
        change("path", json!("/theirs")),
        change("authority", json!("theirs.test")),
        change("replyTo", json!("/inbox")),
        change("body", json!("theirs")),
        change("id", json!("theirs")),
        renamed.to_string().into_bytes(),
    ];
    let changed: Vec<&[u8]> = changed.iter().map(Vec::as_slice).collect();
    let _places = gateway.stream().put(&changed);
    gateway.wait("their dead letters", || {
        gateway.stream().dead_letters().len() == changed.len()
    });
    for letter in gateway.stream().dead_letters() {
        assert_eq!(letter["reason"], "unreadable_record", "{letter}");
        let detail = letter["detail"].as_str().unwrap();
        assert!(detail.contains("sealed header can't be opened"), "{detail}");
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.target.of("/mine").len(), 1);
    let elsewhere = gateway.target.seen();
    assert!(
        elsewhere
            .iter()
            .all(|seen| ["/mine", "/inbox"].contains(&seen.path().as_str()))
    );
    let told = gateway.target.of("/inbox");
    assert!(
        told.iter()
            .all(|seen| seen.message.text("async-outcome") == "failed")
    );
}

#[test]
fn a_call_waits_for_a_key_that_is_gone_and_says_so() {
    let gateway = sealing("sealed-key-gone", Target::start(), |builder| {
        builder.drain_patch(drain_settings(&json!({})))
    });
    let value = "A".repeat(80);
    let record = json!({ "id": "c1", "path": "/later", "maxAgeMs": 4_000,
        "headers": [["authorization", { "sealed": value, "key": "gone" }]] });
    let _places = gateway.stream().put(&[record.to_string().as_bytes()]);
    gateway.wait("faults of the gateway", || {
        gateway.metric("sluice_gateway_faults_total") >= 2
    });
    gateway.call("/other");
    gateway.wait_for("/other", 1);
    gateway.wait("its dead letter", || {
        !gateway.stream().dead_letters().is_empty()
    });
    let letter = gateway.stream().dead_letters().remove(0);
    assert_eq!(letter["reason"], "expired");
    let detail = letter["detail"].as_str().unwrap();
    assert!(
        detail.contains("the key gone, which this gateway hasn't got"),
        "{detail}"
    );
    gateway.wait_until_settled();
    assert!(gateway.target.of("/later").is_empty());
}

#[test]
fn without_a_key_nothing_is_sealed_and_the_log_warns() {
    let target = Target::start();
    let warning = "credentials are stored as they come";
    let unsealed = Gateway::with("unsealed", target, |builder| builder);
    unsealed.accept(&with_credentials("/a").marked().body("x"));
    unsealed.wait_for("/a", 1);
    assert!(stored(&unsealed).contains("Bearer of-alice"));
    assert!(unsealed.set.log(Part::Envoy).contains(warning));
    let sealed = sealing("sealed-quiet", Target::start(), |builder| {
        builder.accept_patch(json!({ "seal": { "headers": ["x-o*"] } }))
    });
    sealed.accept(&with_credentials("/a").marked().body("x"));
    sealed.wait_for("/a", 1);
    let text = stored(&sealed);
    assert!(
        text.contains("Bearer of-alice") && !text.contains("as it is"),
        "{text}"
    );
    assert!(!sealed.set.log(Part::Envoy).contains(warning));
}
