//! An accepted call wakes the drain of the same Envoy: nothing waits for the next look at the
//! Stream.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use serde_json::json;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// How long the drain would wait if nobody woke it.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// Much less than that, and much more than a call takes.
const WELL_BEFORE: Duration = Duration::from_secs(5);

#[test]
fn a_call_does_not_wait_for_the_next_look() {
    let gateway = Gateway::with("wake", Target::start(), |builder| {
        builder.drain_patch(drain_settings(&json!({
            "fetch": { "idleIntervalMs": 10_000, "commitIntervalMs": 0 },
        })))
    });
    assert_eq!(IDLE_INTERVAL.as_millis(), 10_000);
    let mut times = Vec::new();
    for number in 1..=100 {
        let start = Instant::now();
        gateway.call("/single");
        gateway.wait_for("/single", number);
        let took = start.elapsed();
        assert!(
            took < WELL_BEFORE,
            "call {number} took {took:?}; before: {times:?}"
        );
        times.push(took);
    }
    times.sort();
    println!(
        "from request to arrival, as seen by polling: median {:?}",
        times[50]
    );
    gateway.wait_until_settled();
}
