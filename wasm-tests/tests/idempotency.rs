//! Idempotency keys in a real Envoy with several workers. Product description, section 2.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

fn keyed(path: &str, key: &str, body: &str) -> Request {
    let request = Request::new("POST", path).field("Idempotency-Key", key);
    request.marked().body(body)
}

#[test]
fn many_repetitions_at_once_on_several_workers_become_one_call() {
    let gateway = Gateway::with("idempotent", Target::start(), |builder| {
        builder.concurrency(2)
    });
    let ids: BTreeSet<String> = thread::scope(|scope| {
        let send = || gateway.accept(&keyed("/once", "k-1", "the same"));
        let clients: Vec<_> = (0..24).map(|_| scope.spawn(send)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 1, "all of them got the first one's 202");
    let again = gateway
        .exchange(&keyed("/once", "k-1", "the same"))
        .expect(202);
    assert!(ids.contains(&again.message.text("async-call-id")));
    let other = gateway.exchange(&keyed("/once", "k-1", "something else"));
    assert_eq!(other.expect(422).json()["type"], "urn:sluice:key-reused");
    let theirs = keyed("/once", "k-1", "the same").field("Authorization", "Bearer other");
    assert!(
        !ids.contains(&gateway.accept(&theirs)),
        "another caller's key is another key"
    );
    gateway.wait_until_settled();
    let seen = gateway.target.of("/once");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].message.text("idempotency-key"), "k-1");
}

#[test]
fn a_dead_letter_frees_its_key() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let target = Target::scripted(move |_| {
        Answer::status(if down.load(Ordering::SeqCst) {
            404
        } else {
            200
        })
    });
    let gateway = Gateway::with("idempotent-dead", target, |builder| builder);
    let first = gateway.accept(&keyed("/a", "k", "x"));
    gateway.wait("its dead letter", || {
        gateway.stream().dead_letters().len() == 1
    });
    is_down.store(false, Ordering::SeqCst);
    let mut second = first.clone();
    gateway.wait("the key is free", || {
        second = gateway.accept(&keyed("/a", "k", "x"));
        second != first
    });
    gateway.wait_for_call(&second);
    gateway.wait_until_settled();
    assert_eq!(gateway.accept(&keyed("/a", "k", "x")), second);
}
