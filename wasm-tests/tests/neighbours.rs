//! Noisy neighbours: a target that hangs, that is gone, that asks for patience or that may not be
//! called faster holds up its own calls and nobody else's, and loses none of them.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use local_gateway::render::{add_target, merge_patch};
use serde_json::{Value, json};
use testkit::http1::{Connection, Request};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// Many more than the window holds.
const NOISY: usize = 200;
const QUIET: usize = 50;

/// Returns a window so small that one target's calls fill it.
fn small_window(more: &Value) -> Value {
    let mut settings = json!({
        "window": { "calls": 32, "inFlight": 8, "patienceMs": 100 },
        "limits": { "inFlight": 3 },
        "attempt": { "timeoutMs": 500 },
        "fetch": { "records": 16 },
    });
    merge_patch(&mut settings, more);
    drain_settings(&settings)
}

/// Returns the gateway with a second target at `/noisy`, whose cluster has that name.
fn gateway(name: &str, noisy: &Target, more: &Value) -> Gateway {
    let (port, settings) = (noisy.port(), small_window(more));
    Gateway::with(name, Target::start(), |builder| {
        builder
            .drain_patch(settings)
            .edit(move |config| add_target(config, "noisy", port))
    })
}

/// Has calls accepted one after the other, and returns their ids.
fn call(gateway: &Gateway, path: &str, count: usize) -> Vec<String> {
    let mut connection = Connection::open(gateway.port()).unwrap();
    let request = Request::new("POST", path).marked().body("");
    let accept = |_| {
        let accepted = connection.exchange(&request).unwrap().expect(202);
        accepted.message.text("async-call-id")
    };
    (0..count).map(accept).collect()
}

/// Waits until all of these calls are delivered to the quiet target.
fn wait_for_quiet(gateway: &Gateway, ids: &[String]) {
    gateway.wait("the quiet target has its calls", || {
        let arrivals = gateway.target.arrivals();
        ids.iter().all(|id| arrivals.contains_key(id))
    });
}

/// Waits until this many calls are delivered, and nothing is left.
fn wait_for_delivered(gateway: &Gateway, count: usize) {
    let count = u64::try_from(count).unwrap();
    gateway.wait("everything is delivered", || {
        gateway.metric("sluice_delivered_total") >= count
    });
    gateway.wait_until_settled();
    assert_eq!(gateway.metric("sluice_delivered_total"), count);
    assert_eq!(gateway.stream().dead_letters(), Vec::<Value>::new());
}

/// A target that behaves badly until it is told to work, and counts the calls that it has taken.
struct Moody {
    target: Target,
    works: Arc<AtomicBool>,
    taken: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Moody {
    fn start(bad: Answer) -> Self {
        let works = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(Mutex::new(BTreeMap::new()));
        let (is_told, takes) = (works.clone(), taken.clone());
        let target = Target::scripted(move |seen| {
            if !is_told.load(Ordering::SeqCst) {
                return bad.clone();
            }
            *takes.lock().unwrap().entry(seen.call_id()).or_default() += 1;
            Answer::status(200)
        });
        Self {
            target,
            works,
            taken,
        }
    }

    fn work(&self) {
        self.works.store(true, Ordering::SeqCst);
    }

    /// Insists that it has taken each of these calls once.
    fn expect_once(&self, ids: &[String]) {
        let taken = self.taken.lock().unwrap();
        assert_eq!(taken.len(), ids.len());
        for id in ids {
            assert_eq!(taken.get(id), Some(&1), "{id}");
        }
    }
}

#[test]
fn a_target_that_hangs_has_its_calls_moved_aside() {
    let noisy = Moody::start(Answer::Hang);
    let gateway = gateway("hanging-neighbour", &noisy.target, &json!({}));
    let stuck = call(&gateway, "/noisy", NOISY);
    for _ in 0..2 {
        let quiet = call(&gateway, "/quiet", QUIET);
        wait_for_quiet(&gateway, &quiet);
    }
    let moved = gateway.metric("sluice_moved_aside_total");
    assert!(moved > 0, "they were in the way: {:?}", gateway.metrics());
    assert_eq!(gateway.metric("sluice_delivered_total"), 2 * QUIET as u64);

    noisy.work();
    wait_for_delivered(&gateway, NOISY + 2 * QUIET);
    noisy.expect_once(&stuck);
    let entered = gateway.metric("sluice_entered_lanes_total");
    assert!(entered >= moved, "a move is a hop: {entered} of {moved}");
}

#[test]
fn a_target_that_asks_for_patience_keeps_nobody_waiting() {
    let bad = Answer::status(429).with("retry-after", "2");
    let noisy = Moody::start(bad);
    let gateway = gateway("limiting-neighbour", &noisy.target, &json!({}));
    let refused = call(&gateway, "/noisy", NOISY);
    let quiet = call(&gateway, "/quiet", QUIET);
    wait_for_quiet(&gateway, &quiet);
    gateway.wait("refused calls are on a lane", || {
        gateway.metric("sluice_entered_lanes_total") > 0
    });
    noisy.work();
    wait_for_delivered(&gateway, NOISY + QUIET);
    noisy.expect_once(&refused);
}

#[test]
fn a_target_that_is_gone_keeps_nobody_waiting() {
    let mut noisy = Moody::start(Answer::Close);
    noisy.target.kill();
    // Pauses that are spent in memory, where they fill the window.
    let patient = json!({ "attempt": { "backoffBaseMs": 900, "backoffMaxMs": 900 } });
    let gateway = gateway("dead-neighbour", &noisy.target, &patient);
    let undelivered = call(&gateway, "/noisy", NOISY);
    let quiet = call(&gateway, "/quiet", QUIET);
    wait_for_quiet(&gateway, &quiet);
    noisy.work();
    noisy.target.restart();
    wait_for_delivered(&gateway, NOISY + QUIET);
    noisy.expect_once(&undelivered);
}

/// Returns a target that notes when each call arrives.
fn noting() -> (Target, Arc<Mutex<Vec<Instant>>>) {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let notes = arrivals.clone();
    let target = Target::scripted(move |_| {
        notes.lock().unwrap().push(Instant::now());
        Answer::status(200)
    });
    (target, arrivals)
}

/// Settings that limit how many calls to `noisy` start in a second.
fn limited_to(per_second: u32) -> Value {
    json!({ "limits": {
        "targets": [{ "target": "noisy", "perSecond": per_second, "inFlight": 100 }],
    } })
}

#[test]
fn a_rate_is_kept_over_seconds_and_slows_nobody_else() {
    const PER_SECOND: u32 = 5;
    const LIMITED: usize = 26;
    let (noisy, arrivals) = noting();
    // More than the calls of this test, so that none is moved aside and the queue itself is seen.
    let mut roomy = json!({ "window": { "calls": 256 } });
    merge_patch(&mut roomy, &limited_to(PER_SECOND));
    let gateway = gateway("limited-neighbour", &noisy, &roomy);
    let start = Instant::now();
    let limited = call(&gateway, "/noisy", LIMITED);
    let quiet = call(&gateway, "/quiet", QUIET);
    wait_for_quiet(&gateway, &quiet);
    wait_for_delivered(&gateway, LIMITED + QUIET);
    for id in &limited {
        assert_eq!(noisy.arrivals().get(id), Some(&1), "{id} arrives once");
    }
    let arrivals = arrivals.lock().unwrap();
    for (number, arrival) in (0_u32..).zip(arrivals.iter()) {
        // One may be saved up, and clocks show whole milliseconds.
        let earliest = Duration::from_millis(u64::from(number * 1_000 / PER_SECOND));
        let passed = arrival.duration_since(start) + Duration::from_millis(2);
        assert!(passed >= earliest, "call {number} came after {passed:?}");
    }
}

#[test]
fn a_rate_is_kept_while_calls_are_moved_aside() {
    const PER_SECOND: u32 = 20;
    const LIMITED: usize = 100;
    let (noisy, arrivals) = noting();
    let gateway = gateway("limited-full", &noisy, &limited_to(PER_SECOND));
    let start = Instant::now();
    let limited = call(&gateway, "/noisy", LIMITED);
    let quiet = call(&gateway, "/quiet", QUIET);
    wait_for_quiet(&gateway, &quiet);
    assert!(gateway.metric("sluice_moved_aside_total") > 0);
    wait_for_delivered(&gateway, LIMITED + QUIET);
    assert_eq!(noisy.arrivals().len(), limited.len());
    let last = *arrivals.lock().unwrap().last().unwrap();
    let least = u64::try_from(LIMITED - 1).unwrap() * 1_000 / u64::from(PER_SECOND);
    assert!(last.duration_since(start) + Duration::from_millis(2) >= Duration::from_millis(least));
}
