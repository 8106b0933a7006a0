//! What order keys promise (G6) while partitions move between two gateways that drain one Stream:
//! calls of one key arrive in the order in which they were accepted, one at a time. Only a gateway
//! that was killed or stopped can have a call arrive again that another one has finished.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use local_gateway::Part;
use local_gateway::render::Target as Origin;
use serde_json::json;
use testkit::http1::{Connection, Request};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::{Seen, Target};

const KEYS: usize = 10;
const CALLS: usize = 20;

/// How long the target takes, so that calls that overlap are seen to.
const WORK: Duration = Duration::from_millis(20);

/// Every so many calls have a first attempt that fails.
const FAILS_EVERY: usize = 5;

/// One request as the target saw it.
#[derive(Clone, Debug)]
struct Visit {
    key: String,
    number: usize,
    /// The gateway that made it: `0` or `1`.
    gateway: String,
    start: Instant,
    end: Option<Instant>,
    is_success: bool,
}

type Visits = Arc<Mutex<Vec<Visit>>>;

/// While it is closed, the target lets nobody go.
type Gate = Arc<AtomicBool>;

/// Returns a target that records when each request starts and ends.
fn target(visits: &Visits, is_closed: &Gate) -> Target {
    let (visits, is_closed) = (visits.clone(), is_closed.clone());
    Target::scripted(move |seen: &Seen| {
        let path = seen.path();
        let mut words = path.trim_start_matches('/').split('/');
        let (key, number) = (words.next().unwrap(), words.next().unwrap());
        let number: usize = number.parse().unwrap();
        let index = {
            let mut visits = visits.lock().unwrap();
            let has_failed = visits.iter().any(|v| v.key == key && v.number == number);
            visits.push(Visit {
                key: key.to_owned(),
                number,
                gateway: seen.message.text("x-gateway"),
                start: Instant::now(),
                end: None,
                is_success: has_failed || !number.is_multiple_of(FAILS_EVERY),
            });
            visits.len() - 1
        };
        thread::sleep(WORK);
        while is_closed.load(Ordering::SeqCst) {
            thread::sleep(WORK);
        }
        let mut visits = visits.lock().unwrap();
        visits[index].end = Some(Instant::now());
        Answer::status(if visits[index].is_success { 200 } else { 503 })
    })
}

/// Returns a gateway that tells the target who it is; the second one shares the Stream of the
/// first.
fn gateway(name: &str, number: usize, origin: u16, stream: Option<u16>) -> Gateway {
    // Only where the calls go matters: each gateway's own target stays unused.
    Gateway::with(&format!("{name}-{number}"), Target::start(), |builder| {
        let builder = builder
            .target(Origin::local(origin))
            .drain_patch(drain_settings(&json!({
                // Small, so that some of the calls are on the Stream still when a partition moves.
                "fetch": { "records": 16 },
                "window": { "calls": 40 },
                "attempt": { "retries": 1000 },
            })))
            .edit(move |config| {
                local_gateway::render::change_routes(config, |routes| {
                    for route in routes {
                        route["request_headers_to_add"] = json!([{
                            "header": { "key": "x-gateway", "value": number.to_string() }
                        }]);
                    }
                })
            });
        match stream {
            Some(port) => builder.shared_stream(port),
            None => builder,
        }
    })
}

/// Has all calls accepted by the gateway on this port, one after the other, the keys in turns.
fn accept_all(port: u16) -> JoinHandle<()> {
    accept(port, 1..=CALLS)
}

/// Has these calls of each key accepted.
fn accept(port: u16, numbers: RangeInclusive<usize>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut connection = Connection::open(port).unwrap();
        for number in numbers {
            for key in 0..KEYS {
                let request = Request::new("POST", &format!("/k{key}/{number}"))
                    .marked()
                    .field("Async-Order-Key", format!("k{key}"))
                    .body("");
                let _accepted = connection.exchange(&request).unwrap().expect(202);
            }
        }
    })
}

/// A period in which one gateway was killed or stopped.
#[derive(Clone, Debug)]
struct Trouble {
    gateway: String,
    at: Instant,
}

struct Scene {
    visits: Visits,
    gate: Gate,
    target: Target,
    first: Gateway,
    second: Option<Gateway>,
    troubles: Vec<Trouble>,
}

impl Scene {
    fn start(name: &str, second: bool) -> Self {
        let visits = Visits::default();
        let gate = Gate::default();
        let target = target(&visits, &gate);
        let first = gateway(name, 0, target.port(), None);
        let mut scene = Self {
            visits,
            gate,
            first,
            second: None,
            troubles: Vec::new(),
            target,
        };
        if second {
            scene.join(name);
        }
        scene
    }

    /// The second gateway joins the group.
    fn join(&mut self, name: &str) {
        let stream = self.first.set.ports().stream;
        let second = gateway(name, 1, self.target.port(), Some(stream));
        self.second = Some(second);
        let second = self.second.as_mut().unwrap();
        second.set.wait_until_draining().unwrap();
    }

    /// Returns how many requests a gateway has made.
    fn made_by(&self, gateway: &str) -> usize {
        let visits = self.visits.lock().unwrap();
        visits.iter().filter(|v| v.gateway == gateway).count()
    }

    fn wait_for(&self, gateway: &str, more: usize) {
        let goal = self.made_by(gateway) + more;
        let what = format!("gateway {gateway} makes {more} more calls");
        self.first.wait(&what, || self.made_by(gateway) >= goal);
    }

    fn trouble(&mut self) {
        self.troubles.push(Trouble {
            gateway: "1".to_owned(),
            at: Instant::now(),
        });
    }

    /// Returns whether the gateway of a request had been killed or stopped by the time of its end.
    fn was_in_trouble(&self, visit: &Visit) -> bool {
        let end = visit.end.unwrap_or_else(Instant::now);
        let mut troubles = self.troubles.iter();
        troubles.any(|trouble| trouble.gateway == visit.gateway && trouble.at <= end)
    }

    /// Waits for the end, and checks the record of each key.
    fn check(&self) {
        self.first.wait("every call succeeds", || {
            let visits = self.visits.lock().unwrap();
            let done = visits.iter().filter(|v| v.is_success && v.end.is_some());
            let done: std::collections::BTreeSet<_> = done.map(|v| (&v.key, v.number)).collect();
            done.len() == KEYS * CALLS
        });
        self.first.wait("everything is committed", || {
            self.first.stream().uncommitted().is_empty()
        });
        let mut by_key: BTreeMap<String, Vec<Visit>> = BTreeMap::new();
        for visit in self.visits.lock().unwrap().iter() {
            by_key
                .entry(visit.key.clone())
                .or_default()
                .push(visit.clone());
        }
        let (mut late, mut overlaps) = (0, 0);
        for visits in by_key.values() {
            late += self.check_order(visits);
            overlaps += self.check_overlap(visits);
        }
        println!(
            "{} requests, by gateway: {} and {}; {late} came after a later call of their key or \
             after their own success, {overlaps} overlapped",
            by_key.values().map(Vec::len).sum::<usize>(),
            self.made_by("0"),
            self.made_by("1"),
        );
    }

    /// First arrivals are in order, each after the success of the one before. Returns how many
    /// arrived although they had succeeded before.
    fn check_order(&self, visits: &[Visit]) -> usize {
        let mut latest = 0;
        let mut repeated = 0;
        for (index, visit) in visits.iter().enumerate() {
            let before = &visits[..index];
            if visit.number > latest {
                assert_eq!(visit.number, latest + 1, "one was overtaken: {visits:#?}");
                let success = |v: &Visit| {
                    let is_over = v.end.is_some_and(|end| end <= visit.start);
                    v.number == latest && v.is_success && is_over
                };
                let is_free = latest == 0 || before.iter().any(success);
                assert!(is_free, "{visit:?} before the end of {latest}: {visits:#?}");
                latest = visit.number;
            } else {
                let has_succeeded = |v: &Visit| {
                    let is_over = v.end.is_some_and(|end| end <= visit.start);
                    v.number == visit.number && v.is_success && is_over
                };
                if visit.number < latest || before.iter().any(has_succeeded) {
                    let mut troubles = self.troubles.iter();
                    let is_excused = troubles.any(|trouble| trouble.at <= visit.start);
                    assert!(is_excused, "{visit:?} again: {visits:#?}");
                    println!("again, with {latest} the latest: {visit:?}");
                    repeated += 1;
                }
            }
        }
        repeated
    }

    /// Only with a request of a gateway in trouble may another one overlap. Returns how many do.
    fn check_overlap(&self, visits: &[Visit]) -> usize {
        let mut count = 0;
        for (index, visit) in visits.iter().enumerate() {
            for earlier in &visits[..index] {
                if earlier.end.is_none_or(|end| end > visit.start) {
                    let is_excused = self.was_in_trouble(earlier) || self.was_in_trouble(visit);
                    assert!(is_excused, "{earlier:?} and {visit:?} overlap: {visits:#?}");
                    count += 1;
                }
            }
        }
        count
    }
}

/// Both gateways live all the time: nothing is repeated, nothing overlaps.
#[test]
fn a_gateway_joins() {
    let mut scene = Scene::start("ordering-joins", false);
    // Calls of all keys are under way, and more are held and on the Stream, while it joins.
    scene.gate.store(true, Ordering::SeqCst);
    accept_all(scene.first.port()).join().unwrap();
    scene.join("ordering-joins");
    scene.gate.store(false, Ordering::SeqCst);
    scene.wait_for("1", 1);
    let drains = scene.first.stream().drains();
    assert_eq!(drains, 2, "partitions have moved");
    scene.check();
}

/// The one that dies may have made calls that nobody knows of.
#[test]
fn a_gateway_is_killed() {
    let mut scene = Scene::start("ordering-killed", true);
    scene.first.wait("both hold partitions", || {
        scene.first.stream().drains() == 2
    });
    let clients = accept_all(scene.first.port());
    scene.wait_for("1", 10);
    scene.trouble();
    let second = scene.second.as_mut().unwrap();
    second.set.kill9_envoy().unwrap();
    clients.join().unwrap();
    scene.check();
}

/// The one that stands still is taken for dead, and then goes on with what it knew.
#[test]
fn a_gateway_is_stopped_and_goes_on() {
    let mut scene = Scene::start("ordering-stopped", true);
    scene.first.wait("both hold partitions", || {
        scene.first.stream().drains() == 2
    });
    let half = CALLS / 2;
    let clients = accept(scene.first.port(), 1..=half);
    scene.wait_for("1", 10);
    scene.trouble();
    scene
        .second
        .as_mut()
        .unwrap()
        .set
        .pause(Part::Envoy)
        .unwrap();
    scene.first.wait("its partitions are taken over", || {
        scene.first.stream().drains() == 1
    });
    scene.wait_for("0", 5);
    scene
        .second
        .as_mut()
        .unwrap()
        .set
        .resume(Part::Envoy)
        .unwrap();
    clients.join().unwrap();
    scene
        .first
        .wait("it is back", || scene.first.stream().drains() == 2);
    let before = scene.made_by("1");
    accept(scene.first.port(), half + 1..=CALLS).join().unwrap();
    scene
        .first
        .wait("it makes calls again", || scene.made_by("1") > before);
    scene.check();
}
