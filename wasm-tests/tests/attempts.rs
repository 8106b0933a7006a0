//! What a route asks for requests (retries, time limits of one try, hedging) makes no attempt of a
//! call that nobody counts. Product description, section 5.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::thread;
use std::time::Duration;

use local_gateway::render::{change_routes, cluster, merge_patch};
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::{Seen, Target};

/// By what Envoy is told of an attempt.
const TOLD: [&str; 4] = [
    "x-envoy-max-retries",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
];

/// How long `/slow` takes: more than a try of these routes may.
const SLOW: Duration = Duration::from_millis(600);

/// A target that answers as the path says.
fn target() -> Target {
    Target::scripted(|seen| match seen.path().as_str() {
        "/slow" => {
            thread::sleep(SLOW);
            Answer::status(200)
        }
        "/recovers" if seen.nth > 2 => Answer::status(200),
        "/moved" => Answer::status(302).with("location", "http://gateway.test/there"),
        "/there" => Answer::status(200),
        _ => Answer::status(503),
    })
}

/// A gateway whose routes have this beside what they have, and lead to a cluster that allows
/// retries, as an operator's own do.
fn gateway(name: &str, of_route: Value) -> Gateway {
    Gateway::with(name, target(), |builder| {
        builder.edit(move |config| {
            let function = cluster(config, "function")?;
            function["circuit_breakers"] = json!({ "thresholds": [{ "max_retries": 16 }] });
            change_routes(config, |routes| {
                let routes = routes
                    .iter_mut()
                    .filter(|route| route.get("route").is_some());
                for route in routes {
                    merge_patch(route, &of_route);
                }
            })
        })
    })
}

fn retries() -> Value {
    json!({ "retry_on": "5xx,reset,connect-failure,retriable-4xx", "num_retries": 3,
        "retry_back_off": { "base_interval": "0.01s", "max_interval": "0.02s" } })
}

/// The attempts at a path as the target saw them, without what came as a request.
fn attempts(gateway: &Gateway, path: &str) -> Vec<Seen> {
    let mut seen = gateway.target.of(path);
    seen.retain(|seen| !seen.call_id().is_empty());
    seen
}

fn numbers(gateway: &Gateway, path: &str) -> Vec<String> {
    let seen = attempts(gateway, path);
    seen.iter().map(Seen::attempt).collect()
}

/// Waits for a dead letter, and returns how many attempts it tells of.
fn counted(gateway: &Gateway) -> usize {
    gateway.wait("a dead letter", || {
        !gateway.stream().dead_letters().is_empty()
    });
    let letter = gateway.stream().dead_letters().remove(0);
    letter["attempts"].as_array().unwrap().len()
}

#[test]
fn the_target_sees_the_attempts_that_are_counted() {
    let gateway = gateway(
        "attempts",
        json!({ "route": { "retry_policy": retries() } }),
    );
    // For a request it is as its route says.
    let request = Request::new("POST", "/failing").body("x");
    assert_eq!(gateway.exchange(&request).status, 503);
    assert_eq!(gateway.target.of("/failing").len(), 4);

    // Neither does a caller ask Envoy for more of a call.
    let asked = request
        .field("Async-Retries", "2")
        .field("X-Envoy-Max-Retries", "9")
        .field("X-Envoy-Retry-On", "5xx");
    gateway.accept(&asked.marked());
    assert_eq!(counted(&gateway), 3);
    assert_eq!(numbers(&gateway, "/failing"), ["1", "2", "3"]);

    gateway.call("/recovers");
    gateway.wait_until_settled();
    assert_eq!(numbers(&gateway, "/recovers"), ["1", "2", "3"]);
    assert_eq!(gateway.metric("sluice_delivered_total"), 1);
    // How that is said to Envoy is between us and it.
    for seen in [
        attempts(&gateway, "/failing"),
        attempts(&gateway, "/recovers"),
    ]
    .concat()
    {
        let fields = &seen.message.fields;
        let names = fields.iter().map(|(name, _)| name.to_ascii_lowercase());
        let ours = names.filter(|name| TOLD.iter().any(|told| name == told.as_bytes()));
        assert_eq!(ours.count(), 0, "{fields:?}");
    }
}

#[test]
fn a_try_has_the_time_of_its_attempt_and_no_hedge() {
    let mut policy = retries();
    policy["per_try_timeout"] = json!("0.1s");
    let route = json!({ "route": { "retry_policy": policy,
        "hedge_policy": { "hedge_on_per_try_timeout": true } } });
    let gateway = gateway("attempts-hedge", route);
    let _answered = gateway.exchange(&Request::new("GET", "/slow")).expect(200);
    assert!(gateway.target.of("/slow").len() > 1, "a request is hedged");
    gateway.call("/slow");
    gateway.wait_until_settled();
    assert_eq!(numbers(&gateway, "/slow"), ["1"]);
    assert_eq!(gateway.metric("sluice_delivered_total"), 1);
}

/// What a route says of a try that is idle ends an attempt, and no header tells Envoy otherwise:
/// docs/operations.md says so. It is an attempt that is counted.
#[test]
fn a_try_that_is_idle_is_an_attempt_that_is_counted() {
    let mut policy = retries();
    policy["per_try_idle_timeout"] = json!("0.1s");
    let gateway = gateway(
        "attempts-idle",
        json!({ "route": { "retry_policy": policy } }),
    );
    let call = Request::new("POST", "/slow").field("Async-Retries", "1");
    gateway.accept(&call.marked().body("x"));
    assert_eq!(counted(&gateway), 2);
    assert_eq!(numbers(&gateway, "/slow"), ["1", "2"]);
}

/// What a route writes into its requests is said to Envoy last: its own target gets more requests,
/// each with the number of the attempt that it is part of.
#[test]
fn what_a_route_writes_for_envoy_holds() {
    let written = |name: &str, value: &str| {
        json!({ "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" })
    };
    let headers = [
        written("x-envoy-max-retries", "1"),
        written("x-envoy-retry-on", "5xx"),
    ];
    let gateway = gateway(
        "attempts-written",
        json!({ "request_headers_to_add": headers }),
    );
    let call = Request::new("POST", "/failing").field("Async-Retries", "1");
    gateway.accept(&call.marked().body("x"));
    assert_eq!(counted(&gateway), 2);
    assert_eq!(numbers(&gateway, "/failing"), ["1", "1", "2", "2"]);
}

/// A route may have Envoy follow redirects. What it leads to is part of the attempt.
#[test]
fn a_redirect_that_a_route_follows_is_part_of_its_attempt() {
    let policy = json!({ "max_internal_redirects": 1, "redirect_response_codes": [302] });
    let gateway = gateway(
        "attempts-redirect",
        json!({ "route": { "internal_redirect_policy": policy } }),
    );
    gateway.call("/moved");
    gateway.wait_until_settled();
    assert_eq!(numbers(&gateway, "/moved"), ["1"]);
    assert_eq!(numbers(&gateway, "/there"), ["1"]);
    assert_eq!(gateway.metric("sluice_delivered_total"), 1);
}
