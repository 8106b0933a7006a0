//! Calls that were given up are made after all, once the cause is gone: `sluice dead` finds them
//! and puts them back, and each arrives as the call that it was (G2). Product, section 5.
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

use local_gateway::Builder;
use serde_json::json;
use testkit::http1::Request;
use testkit::server::Answer;
use testkit::stream::{CALLS, DEAD};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::sluice::dead;
use wasm_tests::target::{Seen, Target};

/// Whether a target is broken at the moment.
#[derive(Clone)]
struct Trouble(Arc<AtomicBool>);

impl Trouble {
    fn begins() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    fn ends(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Returns a target that refuses while there is trouble; at `/busy` it is only busy.
    fn target(&self) -> Target {
        let trouble = self.0.clone();
        Target::scripted(move |seen| {
            let is_busy = seen.path() == "/busy";
            Answer::status(match (trouble.load(Ordering::SeqCst), is_busy) {
                (false, _) => 200,
                (true, false) => 404,
                (true, true) => 503,
            })
        })
    }
}

/// Returns the ids of the letters that aren't redriven.
fn listed(gateway: &Gateway) -> BTreeSet<String> {
    let list = dead(gateway, &["list", "--json"]);
    let ids = BTreeSet::from_iter(list.ids());
    let _list = list.expect(if ids.is_empty() { 3 } else { 0 });
    ids
}

/// Has calls of every kind given up. Returns their ids.
fn have_calls_given_up(gateway: &Gateway) -> BTreeSet<String> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let binary = Request::new("PUT", "/binary?a=%20b&a=c")
        .field("X-Twice", "1")
        .field("x-bytes", b"\xff\xfe")
        .field("X-Twice", "2")
        .field("Content-Type", "application/octet-stream");
    let busy = Request::new("POST", "/busy").field("Async-Retries", "1");
    let keyed = Request::new("POST", "/keyed").field("Async-Order-Key", "customer-7");
    let own = Request::new("POST", "/own").field("Idempotency-Key", "\"mine\"");
    let mut ids = BTreeSet::from([
        gateway.accept(&binary.marked().body(every_byte)),
        gateway.accept(&busy.marked().body("text \u{fc}")),
        gateway.accept(&keyed.marked().body("")),
        gateway.accept(&own.marked().body("{}")),
        gateway.accept(&Request::new("GET", "/nothing").marked()),
    ]);
    // One that is too large for a letter in one message, and one that has no id of its own. They
    // say when they were accepted, because a letter doesn't know it, in words of their publisher.
    let large = json!({ "id": "large", "method": "POST", "path": "/large",
        "acceptedAt": "today", "body": "x".repeat(1_048_000) });
    let nameless = json!({ "path": "/nameless", "acceptedAt": "today" });
    for record in [large, nameless] {
        let places = gateway.stream().put(&[record.to_string().as_bytes()]);
        let (partition, offset) = places[0];
        let id = record["id"].as_str().map(str::to_owned);
        ids.insert(id.unwrap_or_else(|| format!("p{partition}-o{offset}")));
    }
    gateway.wait("every call is given up", || {
        listed(gateway).len() == ids.len()
    });
    gateway.wait_until_settled();
    ids
}

/// What a target gets again is the same but for Envoy's number of the exchange.
fn assert_same_call(before: &Seen, after: &Seen) {
    let one_exchange = ["x-request-id", "async-attempt"];
    assert_eq!(before.message.start, after.message.start);
    assert_eq!(
        before.fields_without(&one_exchange),
        after.fields_without(&one_exchange)
    );
    assert!(
        before.message.body == after.message.body,
        "{}",
        before.path()
    );
}

#[test]
fn every_call_that_was_given_up_arrives_as_it_was() {
    let trouble = Trouble::begins();
    let gateway = Gateway::with("redrive", trouble.target(), |builder| builder);
    let ids = have_calls_given_up(&gateway);
    let before = gateway.target.seen();
    trouble.ends();

    let list = dead(&gateway, &["list", "--json"]).expect(0);
    assert_eq!(BTreeSet::from_iter(list.ids()), ids);
    assert_eq!(list.json()["counts"]["unreadable"], 0);
    let stored = [CALLS, DEAD].map(|stream| gateway.stream().records(stream).len());
    let plan = dead(&gateway, &["redrive", "--all", "--dry-run", "--json"]).expect(0);
    assert_eq!(BTreeSet::from_iter(plan.ids()), ids);
    assert_eq!(
        [CALLS, DEAD].map(|stream| gateway.stream().records(stream).len()),
        stored,
        "a dry run changes nothing"
    );
    assert_eq!(gateway.target.count(), before.len());

    let redriven = dead(&gateway, &["redrive", "--all", "--json"]).expect(0);
    assert_eq!(BTreeSet::from_iter(redriven.ids()), ids);
    gateway.wait("all of them arrive", || {
        gateway.target.count() >= before.len() + ids.len()
    });
    gateway.wait_until_settled();
    let after = gateway.target.seen().split_off(before.len());
    assert_eq!(
        after.len(),
        ids.len(),
        "each is made once: they are delivered"
    );
    let arrived = after.iter().map(Seen::call_id);
    assert_eq!(arrived.collect::<BTreeSet<_>>(), ids, "by their own ids");
    for seen in &after {
        let first = before.iter().find(|first| first.path() == seen.path());
        assert_same_call(first.unwrap(), seen);
        // The record says that nothing was attempted yet in this life.
        assert_eq!(seen.attempt(), "1", "{}", seen.path());
    }

    let nothing = dead(&gateway, &["redrive", "--all"]).expect(3);
    assert!(
        nothing.error.contains("redriven before"),
        "{}",
        nothing.error
    );
    assert_eq!(listed(&gateway), BTreeSet::new());
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), before.len() + ids.len());
}

#[test]
fn a_filter_picks_only_some() {
    let trouble = Trouble::begins();
    let elsewhere = trouble.target();
    let hooks = format!("http://127.0.0.1:{}/hooks", elsewhere.port());
    let allow = json!([{ "scheme": "http", "host": "127.0.0.1", "port": elsewhere.port(),
        "allowPrivate": true }]);
    let gateway = Gateway::with("redrive-some", trouble.target(), |builder: Builder| {
        builder
            .accept_patch(json!({ "targets": { "allow": allow } }))
            .drain_patch(drain_settings(&json!({ "targets": { "allow": allow } })))
            .allow_private_egress()
    });
    let first = gateway.call("/orders/1");
    let second = gateway.call("/orders/2");
    let busy = Request::new("POST", "/busy").field("Async-Retries", "0");
    let busy = gateway.accept(&busy.marked().body(""));
    let explicit = Request::new("POST", "/").field("Async-Target", format!("{hooks}/in"));
    let explicit = gateway.accept(&explicit.marked().body(""));
    gateway.wait("every call is given up", || listed(&gateway).len() == 4);
    gateway.wait_until_settled();
    trouble.ends();

    let pick = |arguments: &[&str]| {
        let arguments = [&["redrive", "--json"], arguments].concat();
        dead(&gateway, &arguments).expect(0).ids()
    };
    assert_eq!(pick(&["--reason", "attempts_exhausted"]), [busy.as_str()]);
    assert_eq!(pick(&["--target", &hooks]), [explicit.as_str()]);
    assert_eq!(
        BTreeSet::from_iter(pick(&["--target", "/orders", "--dry-run"])),
        BTreeSet::from([first.clone(), second.clone()])
    );
    assert_eq!(
        pick(&["--target", "gateway.test/orders/2", "--reason", "rejected"]),
        [second.as_str()]
    );
    let none = ["redrive", "--target", "/orders", "--reason", "expired"];
    let _nothing = dead(&gateway, &none).expect(3);
    gateway.wait_for("/busy", 2);
    gateway.wait_for("/orders/2", 2);
    gateway.wait("the explicit target's call arrives again", || {
        elsewhere.of("/hooks/in").len() == 2
    });
    gateway.wait_until_settled();
    assert_eq!(listed(&gateway), BTreeSet::from([first]));
    assert_eq!(gateway.target.of("/orders/1").len(), 1, "it was left alone");
}
