//! Gateways are replaced one after the other, under load, as a roll-out does: `sluice leave`, then
//! SIGTERM, then the new one. Nothing is lost, and nothing is repeated: nothing was in doubt.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use local_gateway::render::Target as Origin;
use local_gateway::{Part, http};
use serde_json::json;
use testkit::http1::{Connection, Request};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::sluice;
use wasm_tests::target::{Seen, Target};

const CLIENTS: usize = 4;

/// A client's pause between two calls: both gateways together make more than come in, and one alone
/// makes fewer.
const PAUSE: Duration = Duration::from_millis(12);

/// How long the target takes, so that calls are under way whenever a gateway leaves.
const WORK: Duration = Duration::from_millis(30);

/// Returns a target whose every seventh call fails at first, so that some rest between two
/// attempts.
fn target() -> Target {
    Target::scripted(|seen: &Seen| {
        thread::sleep(WORK);
        let number: u64 = seen.path().rsplit('/').next().unwrap().parse().unwrap();
        let fails = number.is_multiple_of(7) && seen.attempt() == "1";
        Answer::status(if fails { 503 } else { 200 })
    })
}

fn gateway(number: usize, origin: u16, stream: Option<u16>) -> Gateway {
    Gateway::with(&format!("rolling-{number}"), Target::start(), |builder| {
        let builder = builder
            .target(Origin::local(origin))
            .drain_patch(drain_settings(&json!({
                // Longer than a busy machine lets a process wait: a drain that the group believes
                // dead is in doubt.
                "group": { "timeoutMs": 10_000, "leaseMs": 1500 },
                // Small fetches and few slots: whenever it leaves, much has not begun.
                "fetch": { "records": 64 },
                "window": { "inFlight": 8 },
                "attempt": { "retries": 1000, "backoffBaseMs": 400, "backoffMaxMs": 900 },
            })));
        match stream {
            Some(port) => builder.shared_stream(port),
            None => builder,
        }
    })
}

/// Clients behind a load balancer, which sends no request to a gateway that says it is leaving.
struct Clients {
    /// The gateway's ports; 0 while it is out of service.
    in_service: Arc<[AtomicU16; 2]>,
    is_over: Arc<AtomicBool>,
    promised: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(ports: [u16; 2]) -> Self {
        let in_service = Arc::new(ports.map(AtomicU16::new));
        let is_over = Arc::new(AtomicBool::new(false));
        let promised = Arc::new(Mutex::new(Vec::new()));
        let threads = (0..CLIENTS).map(|client| {
            let (ports, is_over) = (in_service.clone(), is_over.clone());
            let promised = promised.clone();
            thread::spawn(move || {
                for number in 0_u64.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let id = call(&ports, client, number);
                    promised.lock().unwrap().push(id);
                    thread::sleep(PAUSE);
                }
            })
        });
        Self {
            threads: threads.collect(),
            in_service,
            is_over,
            promised,
        }
    }

    fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        for client in self.threads {
            client.join().unwrap();
        }
        let promised = self.promised.lock().unwrap();
        promised.clone()
    }
}

/// Has one call accepted. Some are deferred, some have an order key.
fn call(ports: &[AtomicU16; 2], client: usize, number: u64) -> String {
    let turn = (client + usize::try_from(number).unwrap()) % 2;
    let port = [turn, 1 - turn]
        .map(|index| ports[index].load(Ordering::SeqCst))
        .into_iter()
        .find(|port| *port != 0)
        .unwrap();
    let request = Request::new("POST", &format!("/of/{client}/{number}")).marked();
    let request = match number % 10 {
        0..2 => request.field("Async-Delay", "2s"),
        2 => request.field("Async-Order-Key", format!("key-{client}")),
        _ => request,
    };
    let mut connection = Connection::open(port).unwrap();
    let accepted = connection.exchange(&request.body("")).unwrap().expect(202);
    accepted.message.text("async-call-id")
}

/// Replaces a gateway.
fn replace(gateway: &mut Gateway, in_service: &AtomicU16) {
    let admin = gateway.set.admin_url();
    let leaving = {
        let admin = admin.clone();
        thread::spawn(move || {
            sluice::run(&[
                "leave", "--admin", &admin, "--least", "2s", "--within", "60s",
            ])
        })
    };
    gateway.wait("it says that it is leaving", || {
        http::get(&format!("{admin}/ready")).is_ok_and(|answer| answer.status == 503)
    });
    in_service.store(0, Ordering::SeqCst);
    let said = leaving.join().unwrap().expect(0);
    assert!(said.out.starts_with("nothing is left"), "{said:?}");
    println!("{}", said.out.trim());
    gateway.set.terminate(Part::Envoy).unwrap();
    gateway.set.restart_envoy().unwrap();
    gateway.set.wait_until_draining().unwrap();
    in_service.store(gateway.port(), Ordering::SeqCst);
}

#[test]
fn gateways_are_replaced_without_a_repetition() {
    let target = target();
    let mut first = gateway(0, target.port(), None);
    let mut second = gateway(1, target.port(), Some(first.set.ports().stream));
    first.set.wait_until_draining().unwrap();
    second.set.wait_until_draining().unwrap();
    let clients = Clients::start([first.port(), second.port()]);
    for round in 0..2 {
        for (number, gateway) in [&mut first, &mut second].into_iter().enumerate() {
            let goal = target.count() + 200;
            gateway.wait("calls are made", || target.count() >= goal);
            println!("round {round}: gateway {number}");
            replace(gateway, &clients.in_service[number]);
        }
    }
    let promised = clients.end();
    first.wait("every call has arrived", || {
        let arrivals = target.arrivals();
        promised.iter().all(|id| arrivals.contains_key(id))
    });
    first.wait_until_settled();
    let mut attempts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for seen in target.seen() {
        *attempts
            .entry((seen.call_id(), seen.attempt()))
            .or_default() += 1;
    }
    let repeated: Vec<_> = attempts.iter().filter(|(_, times)| **times > 1).collect();
    println!("{} calls, {} attempts", promised.len(), attempts.len());
    assert!(repeated.is_empty(), "{repeated:?}");
    let most = attempts.keys().filter(|(_, number)| number == "3").count();
    assert_eq!(most, 0, "a call that was delivered was attempted again");
}
