//! What the parts promise holds when they meet: a deferred call with an order key and a reply
//! address dies, its reply dies too, and both are redriven.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::sluice::dead;
use wasm_tests::target::{Seen, Target};

/// Long enough for a lane, which a call with an order key must not take: it waits in the drain, in
/// its place among the calls of its key.
const DELAY: Duration = Duration::from_millis(1_500);

/// The drain's counter of what it has read.
const FETCHED: &str = "sluice_fetched_records_total";

/// Longer than a test holds an answer back, so that one that has failed doesn't hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the target does at the moment.
#[derive(Clone, Copy, Default)]
struct Mood {
    /// Refuses everything for good.
    is_broken: bool,
    /// Keeps the first order waiting for its answer.
    holds_first: bool,
}

/// A target whose mood a test changes.
#[derive(Clone, Default)]
struct Shop(Arc<(Mutex<Mood>, Condvar)>);

impl Shop {
    fn set(&self, mood: Mood) {
        *self.0.0.lock().unwrap() = mood;
        self.0.1.notify_all();
    }

    fn target(&self) -> Target {
        let shop = self.clone();
        Target::scripted(move |seen| {
            let is_first = seen.path() == "/order/1";
            let (mood, changes) = &*shop.0;
            let is_held = |mood: &mut Mood| is_first && mood.holds_first;
            let mood = mood.lock().unwrap();
            let (mood, _) = changes.wait_timeout_while(mood, PATIENCE, is_held).unwrap();
            let status = if mood.is_broken { 404 } else { 200 };
            Answer::json(status, &json!({ "of": seen.path() }))
        })
    }
}

fn order(number: usize) -> Request {
    Request::new("POST", &format!("/order/{number}"))
        .field("Async-Order-Key", "customer-7")
        .field("Async-Reply-To", "/inbox")
        .marked()
}

/// Returns the orders that arrived, by their paths.
fn orders(seen: &[Seen]) -> Vec<String> {
    let paths = seen.iter().map(Seen::path);
    paths.filter(|path| path != "/inbox").collect()
}

/// Returns the outcomes that the inbox was told of a call, in order.
fn told(seen: &[Seen], id: &str) -> Vec<String> {
    let mut replies = seen.to_vec();
    replies.retain(|seen| seen.path() == "/inbox" && seen.call_id() == id);
    let outcome = |seen: &Seen| seen.message.text("async-outcome");
    replies.iter().map(outcome).collect()
}

/// Returns the letters of calls, or those of replies, by the call's id.
fn letters_of(gateway: &Gateway, of_replies: bool) -> Vec<String> {
    let mut letters = gateway.stream().dead_letters();
    letters.retain(|letter| letter["call"]["reply"].is_object() == of_replies);
    let id = |letter: &Value| {
        let reply = letter["call"]["reply"]["callId"].as_str();
        reply.or(letter["id"].as_str()).unwrap().to_owned()
    };
    letters.iter().map(id).collect()
}

#[test]
fn a_deferred_ordered_call_and_its_reply_die_and_are_both_redriven() {
    let shop = Shop::default();
    shop.set(Mood {
        is_broken: true,
        holds_first: false,
    });
    let gateway = Gateway::with("interaction", shop.target(), |builder| builder);
    let start = Instant::now();
    let deferred = order(1).field("Async-Delay", format!("{}ms", DELAY.as_millis()));
    let first = gateway.accept(&deferred.body("first"));
    let second = gateway.accept(&order(2).body("second"));
    gateway.wait_for("/order/1", 1);
    assert!(start.elapsed() >= DELAY, "early (G5)");

    // The first life: both are refused for good, and so are the replies that say so.
    let ids = [first.clone(), second.clone()];
    gateway.wait("two calls and two replies die", || {
        gateway.stream().dead_letters().len() == 4
    });
    gateway.wait_until_settled();
    assert_eq!(letters_of(&gateway, false), ids);
    let mut of_replies = letters_of(&gateway, true);
    of_replies.sort();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(of_replies, sorted);
    let before = gateway.target.seen();
    assert_eq!(orders(&before), ["/order/1", "/order/2"]);
    for id in &ids {
        assert_eq!(told(&before, id), ["failed"], "once, and refused");
    }

    // The second life: the calls are delivered, and what became of either life is told once.
    shop.set(Mood {
        is_broken: false,
        holds_first: true,
    });
    let fetched = gateway.metric(FETCHED);
    let redriven = dead(&gateway, &["redrive", "--all", "--json"]).expect(0);
    assert_eq!(redriven.ids().len(), 4);
    gateway.wait("all four are read, and the replies delivered", || {
        let replies = gateway.target.of("/inbox").len();
        gateway.metric(FETCHED) >= fetched + 4 && replies >= 4
    });
    gateway.wait_for("/order/1", 2);
    assert_eq!(
        gateway.target.of("/order/2").len(),
        1,
        "it waits for the first"
    );
    shop.set(Mood::default());
    gateway.wait("both orders and four replies arrive", || {
        gateway.target.count() >= before.len() + 6
    });
    gateway.wait_until_settled();
    let after = gateway.target.seen().split_off(before.len());
    assert_eq!(
        orders(&after),
        ["/order/1", "/order/2"],
        "by their key (G6)"
    );
    assert_eq!(after.len(), 6, "nothing is repeated");
    for id in &ids {
        let mut outcomes = told(&after, id);
        // Calls and replies stand in different partitions, whose order nobody promises.
        outcomes.sort();
        assert_eq!(outcomes, ["delivered", "failed"]);
    }
    for (number, (id, body)) in (1..).zip(ids.iter().zip(["first", "second"])) {
        let seen = gateway.target.of(&format!("/order/{number}")).remove(1);
        assert_eq!((&seen.call_id(), seen.attempt().as_str()), (id, "1"));
        assert_eq!(seen.message.body, body.as_bytes());
    }
    assert_eq!(gateway.stream().dead_letters().len(), 4 + 4, "and 4 marks");
    let _nothing = dead(&gateway, &["redrive", "--all"]).expect(3);
}
