//! Anything may be killed at any moment, in any order: every call that got its `202` arrives (G1,
//! G2), some perhaps twice (G3), nobody hangs, and in the end everything is committed (G4).
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use local_gateway::Part;
use serde_json::json;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::load::{Ledger, Load, is_whole};
use wasm_tests::target::Target;

const CLIENTS: usize = 4;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Envoy,
    Stream,
    Target,
}

use Victim::{Envoy, Stream};

fn gateway(name: &str, workers: u32) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        builder
            .concurrency(workers)
            .drain_patch(drain_settings(&json!({
                // Nothing may die while the target is away.
                "attempt": { "retries": 1000 },
            })))
    })
}

fn kill(gateway: &mut Gateway, victim: Victim) {
    match victim {
        Envoy => gateway.set.kill9(Part::Envoy).unwrap(),
        Stream => gateway.set.kill9(Part::StreamServer).unwrap(),
        Victim::Target => gateway.target.kill(),
    }
}

fn restart(gateway: &mut Gateway, victim: Victim) {
    match victim {
        Envoy => gateway.set.restart_envoy().unwrap(),
        Stream => gateway.set.restart_stream_server().unwrap(),
        Victim::Target => gateway.target.restart(),
    }
}

/// Waits until clients have been promised this many more calls.
fn wait_for_promises(gateway: &Gateway, load: &Load, more: usize) {
    let goal = load.promised() + more;
    gateway.wait(&format!("{more} more calls are accepted"), || {
        load.promised() >= goal
    });
}

/// Waits until the target has got this many more calls.
fn wait_for_arrivals(gateway: &Gateway, more: usize) {
    let goal = gateway.target.count() + more;
    gateway.wait(&format!("{more} more calls arrive"), || {
        gateway.target.count() >= goal
    });
}

/// Waits until clients have noticed that something is away.
fn wait_for_failures(gateway: &Gateway, load: &Load, more: usize) {
    let goal = load.failed() + more;
    gateway.wait(&format!("{more} more requests fail"), || {
        load.failed() >= goal
    });
}

/// Every promise is kept, and nothing is left over.
fn check(gateway: &Gateway, ledger: &Ledger) {
    assert_eq!(ledger.hung, 0, "clients got no answer at all: {ledger:?}");
    let mut missing = ledger.promised.len();
    gateway.wait("every promised call arrives", || {
        let arrivals = gateway.target.arrivals();
        let promised = ledger.promised.iter();
        missing = promised.filter(|id| !arrivals.contains_key(*id)).count();
        missing == 0
    });
    gateway.wait_until_settled();
    let letters = gateway.stream().dead_letters();
    assert!(letters.is_empty(), "{letters:?}");
    let seen = gateway.target.seen();
    assert!(
        seen.iter().all(is_whole),
        "a path has come with another one's content"
    );
    let arrivals = gateway.target.arrivals();
    let repeated = arrivals.values().filter(|count| **count > 1).count();
    println!(
        "{} promised, {} arrived, {repeated} more than once; refused: {:?}, broken: {}",
        ledger.promised.len(),
        arrivals.len(),
        ledger.refused,
        ledger.broken
    );
}

#[test]
fn one_after_the_other_under_load() {
    let mut gateway = gateway("restart-one", 1);
    let load = Load::start(gateway.port(), CLIENTS);
    for victim in [
        Envoy,
        Stream,
        Victim::Target,
        Stream,
        Envoy,
        Victim::Target,
        Envoy,
    ] {
        wait_for_promises(&gateway, &load, 100);
        wait_for_arrivals(&gateway, 20);
        kill(&mut gateway, victim);
        match victim {
            // Calls gather on the Stream meanwhile.
            Victim::Target => wait_for_promises(&gateway, &load, 200),
            Envoy | Stream => wait_for_failures(&gateway, &load, 10),
        }
        restart(&mut gateway, victim);
    }
    wait_for_promises(&gateway, &load, 100);
    check(&gateway, &load.end());
}

#[test]
fn several_at_once_and_back_in_another_order() {
    let mut gateway = gateway("restart-several", 2);
    let load = Load::start(gateway.port(), CLIENTS);
    for (down, up) in [
        (&[Stream, Envoy][..], &[Envoy, Stream][..]),
        (&[Envoy, Victim::Target], &[Envoy, Victim::Target]),
        (&[Victim::Target, Stream], &[Victim::Target, Stream]),
        (
            &[Victim::Target, Envoy, Stream],
            &[Stream, Victim::Target, Envoy],
        ),
        (
            &[Envoy, Stream, Victim::Target],
            &[Envoy, Victim::Target, Stream],
        ),
    ] {
        wait_for_promises(&gateway, &load, 50);
        wait_for_arrivals(&gateway, 50);
        for victim in down {
            kill(&mut gateway, *victim);
        }
        wait_for_failures(&gateway, &load, 10);
        for victim in up {
            restart(&mut gateway, *victim);
        }
    }
    wait_for_promises(&gateway, &load, 50);
    check(&gateway, &load.end());
}

/// A part that stands still for longer than the group waits for its members is not dead: when it
/// goes on, its cursor is gone, and what it holds is neither lost nor made a second time.
#[test]
fn frozen_and_thawed() {
    let mut gateway = gateway("restart-frozen", 1);
    let load = Load::start(gateway.port(), CLIENTS);
    for _ in 0..2 {
        wait_for_arrivals(&gateway, 100);
        gateway.set.pause(Part::Envoy).unwrap();
        gateway.wait("the drain has lost its place in the group", || {
            gateway.stream().reserved() == 0
        });
        gateway.set.resume(Part::Envoy).unwrap();
        wait_for_arrivals(&gateway, 100);
        gateway.set.pause(Part::StreamServer).unwrap();
        wait_for_failures(&gateway, &load, CLIENTS);
        gateway.set.resume(Part::StreamServer).unwrap();
    }
    wait_for_arrivals(&gateway, 100);
    check(&gateway, &load.end());
    let arrivals = gateway.target.arrivals();
    let repeated: Vec<_> = arrivals.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        repeated.is_empty(),
        "nothing has crashed, and yet: {repeated:?}"
    );
}

/// The same part dies again as soon as it is back, in the middle of its recovery.
#[test]
fn again_and_again() {
    let mut gateway = gateway("restart-again", 1);
    let load = Load::start(gateway.port(), CLIENTS);
    wait_for_promises(&gateway, &load, 100);
    for victim in [Envoy, Envoy, Envoy, Stream, Stream, Stream] {
        kill(&mut gateway, victim);
        restart(&mut gateway, victim);
    }
    wait_for_promises(&gateway, &load, 100);
    check(&gateway, &load.end());
}
