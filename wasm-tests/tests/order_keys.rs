//! A call with an order key that can't be made now is nobody else's trouble (G11): it leaves the
//! window, commits go on, and its key keeps its order, also over a restart of Envoy (G6).
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use testkit::http1::{Connection, Request};
use testkit::server::Answer;
use testkit::stream::{CALLS, Record};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::{Seen, Target};

fn keyed(path: &str, key: &str) -> Request {
    let request = Request::new("POST", path).marked();
    request.field("Async-Order-Key", key)
}

/// Has calls accepted, from several clients at once.
fn accept_all(gateway: &Gateway, count: usize, request: impl Fn(usize) -> Request + Sync) {
    let port = gateway.port();
    thread::scope(|scope| {
        for client in 0..4 {
            let request = &request;
            scope.spawn(move || {
                let mut connection = Connection::open(port).unwrap();
                for number in (client..count).step_by(4) {
                    let _accepted = connection.exchange(&request(number)).unwrap().expect(202);
                }
            });
        }
    });
}

/// Strangers' calls are delivered, with and without a key, and what they had is committed.
fn strangers_are_served(gateway: &Gateway, round: &str) {
    for number in 0..20 {
        let path = format!("/stranger/{round}/{number}");
        gateway.call(&path);
        let ordered = format!("/ordered/{round}/{number}");
        gateway.accept(&keyed(&ordered, &format!("own-{number}")).body("x"));
        gateway.wait_for(&path, 1);
        gateway.wait_for(&ordered, 1);
    }
    gateway.wait("what strangers had is committed", || {
        let calls = gateway.stream().uncommitted();
        let is_strangers = |record: &Record| {
            let path = record.json()["path"].as_str().map(str::to_owned);
            path.is_some_and(|path| path.starts_with("/stranger") || path.starts_with("/ordered"))
        };
        !calls.iter().any(is_strangers)
    });
}

#[test]
fn calls_of_one_key_that_are_not_due_stop_nobody_before_or_after_a_restart() {
    let mut gateway = Gateway::start("order-keys-deferred");
    let large = "x".repeat(600_000);
    accept_all(&gateway, 30, |number| {
        let request = keyed(&format!("/blocked/{number}"), "k");
        request.field("Async-Delay", "1h").body(large.clone())
    });
    strangers_are_served(&gateway, "large");
    accept_all(&gateway, 1_000, |number| {
        let request = keyed(&format!("/blocked/{number}"), "k");
        request.field("Async-Delay", "1h").body("")
    });
    strangers_are_served(&gateway, "many");
    gateway.set.restart_envoy().unwrap();
    strangers_are_served(&gateway, "again");
    // A later call of the key is made after them, which is in an hour.
    gateway.accept(&keyed("/blocked/later", "k").body(""));
    strangers_are_served(&gateway, "later");
    assert!(
        gateway
            .target
            .seen()
            .iter()
            .all(|seen| !seen.path().starts_with("/blocked"))
    );
    assert!(gateway.stream().dead_letters().is_empty());
}

#[test]
fn many_keys_with_a_call_that_is_not_due_stop_nobody() {
    let gateway = Gateway::start("order-keys-many");
    accept_all(&gateway, 1_500, |number| {
        let request = keyed(&format!("/blocked/{number}"), &format!("key-{number}"));
        request.field("Async-Delay", "1h").body("")
    });
    strangers_are_served(&gateway, "many");
}

#[test]
fn calls_behind_one_that_fails_stop_nobody_and_are_made_in_order_after_a_restart() {
    let target = Target::scripted(|seen: &Seen| {
        let fails = seen.path() == "/chain/0" && seen.attempt() == "1";
        match fails {
            true => Answer::status(503).with("retry-after", "6"),
            false => Answer::status(200),
        }
    });
    let mut gateway = Gateway::with("order-keys-failing", target, |builder| {
        builder.drain_patch(drain_settings(&json!({ "attempt": { "retries": 1000 } })))
    });
    let mut connection = Connection::open(gateway.port()).unwrap();
    for number in 0..40 {
        let request = keyed(&format!("/chain/{number}"), "chain").body("x");
        let _accepted = connection.exchange(&request).unwrap().expect(202);
    }
    strangers_are_served(&gateway, "before");
    gateway.wait("the chain is away", || {
        let calls = gateway.stream().uncommitted();
        !calls.iter().any(|record| {
            let path = record.json()["path"].as_str().map(str::to_owned);
            path.is_some_and(|path| path.starts_with("/chain"))
        })
    });
    gateway.set.restart_envoy().unwrap();
    gateway.accept(&keyed("/chain/40", "chain").body("x"));
    gateway.wait_for("/chain/40", 1);
    let chain: Vec<String> = gateway
        .target
        .seen()
        .iter()
        .map(Seen::path)
        .filter(|path| path.starts_with("/chain"))
        .collect();
    let mut firsts = Vec::new();
    for path in chain {
        if !firsts.contains(&path) {
            firsts.push(path);
        }
    }
    let expected: Vec<String> = (0..=40).map(|number| format!("/chain/{number}")).collect();
    assert_eq!(firsts, expected);
    gateway.wait_until_settled();
    assert!(!gateway.stream().records(&format!("{CALLS}-5s")).is_empty());
}

/// The longest delay that a caller may ask for.
const A_YEAR: &str = "366d";

#[test]
fn nobody_holds_up_the_calls_of_a_caller_whose_key_he_guesses() {
    let gateway = Gateway::start("order-keys-guessed");
    let of = |caller: &str, path: &str| {
        let request = keyed(path, "customer-7");
        match caller {
            "" => request,
            caller => request.field("Authorization", format!("Bearer {caller}")),
        }
    };
    for attacker in ["mallory", ""] {
        let request = of(attacker, "/blocked").field("Async-Delay", A_YEAR);
        gateway.accept(&request.body("x"));
        // He is his own victim, and nobody else's.
        gateway.accept(&of(attacker, "/blocked/behind").body("x"));
    }
    for number in 0..20 {
        gateway.accept(&of("alice", &format!("/alice/{number}")).body("x"));
    }
    gateway.wait_for("/alice/19", 1);
    let paths: Vec<String> = gateway.target.seen().iter().map(Seen::path).collect();
    let expected: Vec<String> = (0..20).map(|number| format!("/alice/{number}")).collect();
    assert_eq!(paths, expected, "in order, and nothing else");
    // What is stored for her can't be asked for by another one, however he learns of it.
    let records = gateway.stream().records(CALLS);
    let stored = records.iter().map(Record::json);
    let mut hers = stored.filter(|record| record["path"] == "/alice/0");
    let key = hers.next().unwrap()["orderKey"].clone();
    let key = key.as_str().unwrap();
    assert!(key.starts_with("own-"), "{key}");
    for caller in ["mallory", ""] {
        let guess = keyed("/blocked", key).field("Async-Delay", A_YEAR);
        let guess = match caller {
            "" => guess,
            caller => guess.field("Authorization", caller),
        };
        let refused = gateway.exchange(&guess.body("x")).expect(400).json();
        assert_eq!(refused["header"], "Async-Order-Key");
    }
}

#[test]
fn a_callers_key_is_the_same_after_a_restart_and_one_that_waits_is_waited_for() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let target = Target::scripted(move |seen: &Seen| {
        let fails = seen.path() == "/chain/0" && down.load(Ordering::SeqCst);
        Answer::status(if fails { 503 } else { 200 })
    });
    let mut gateway = Gateway::with("order-keys-own", target, |builder| {
        builder.drain_patch(drain_settings(&json!({ "attempt": { "retries": 1000 } })))
    });
    let of_alice = |number: usize| {
        let request = keyed(&format!("/chain/{number}"), "k");
        request.field("Authorization", "Bearer alice").body("x")
    };
    gateway.accept(&of_alice(0));
    gateway.wait_for("/chain/0", 2);
    gateway.set.kill9_envoy().unwrap();
    gateway.set.restart_envoy().unwrap();
    gateway.accept(&of_alice(1));
    let bobs = keyed("/bob", "k").field("Authorization", "Bearer bob");
    gateway.accept(&bobs.body("x"));
    gateway.wait_for("/bob", 1);
    gateway.wait_for("/chain/0", 4);
    assert!(gateway.target.of("/chain/1").is_empty(), "it waits");
    is_down.store(false, Ordering::SeqCst);
    gateway.wait_for("/chain/1", 1);
}

#[test]
fn an_operator_can_have_callers_share_their_keys() {
    let gateway = Gateway::with("order-keys-shared", Target::start(), |builder| {
        builder.accept_patch(json!({ "callers": { "ownOrderKeys": false } }))
    });
    let first = keyed("/later", "k").field("Authorization", "Bearer alice");
    gateway.accept(&first.field("Async-Delay", "1h").body("x"));
    let second = keyed("/behind", "k").field("Authorization", "Bearer bob");
    gateway.accept(&second.body("x"));
    strangers_are_served(&gateway, "shared");
    assert!(gateway.target.of("/behind").is_empty());
}
