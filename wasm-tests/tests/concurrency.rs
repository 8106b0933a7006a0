//! Several workers, and many requests on one connection.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use testkit::http1::{Connection, Request};
use testkit::http2::{self, blocking};
use wasm_tests::gateway::Gateway;
use wasm_tests::load::Load;
use wasm_tests::target::Target;

#[test]
fn two_workers_accept_and_everything_is_delivered() {
    let gateway = Gateway::with("workers", Target::start(), |builder| builder.concurrency(2));
    // The kernel spreads connections over the workers, so there have to be many.
    let mut ids = BTreeSet::new();
    let open = |_| Connection::open(gateway.port()).unwrap();
    let mut connections: Vec<Connection> = (0..40).map(open).collect();
    for _ in 0..5 {
        let request = Request::new("POST", "/workers").marked().body("x");
        for connection in &mut connections {
            connection.send(&request.bytes()).unwrap();
        }
        for connection in &mut connections {
            let accepted = connection.receive(false).unwrap().expect(202);
            ids.insert(accepted.message.text("async-call-id"));
        }
    }
    assert_eq!(ids.len(), 200, "no two calls share an id");
    let stats = gateway.set.admin_stats().unwrap();
    for worker in ["worker_0", "worker_1"] {
        let name = format!("{}.{worker}.downstream_cx_total", gateway.port());
        let connections = stats.iter().find(|(stat, _)| stat.ends_with(&name));
        assert!(
            connections.is_some_and(|(_, count)| *count > 0),
            "{worker}: {stats:?}"
        );
    }
    let load = Load::start(gateway.port(), 4);
    gateway.wait("some load", || load.promised() > 500);
    let ledger = load.end();
    assert!(
        ledger.refused.is_empty() && ledger.broken + ledger.hung == 0,
        "{ledger:?}"
    );
    gateway.wait_until_settled();
    let arrivals = gateway.target.arrivals();
    for id in ids.iter().chain(&ledger.promised) {
        assert_eq!(arrivals.get(id), Some(&1), "{id} arrives once");
    }
}

#[test]
fn a_hundred_requests_share_one_http2_connection() {
    let gateway = Gateway::start("http2");
    let connection = blocking::Connection::open(gateway.port()).unwrap();
    let request = |number: usize| {
        let body = vec![b'x'; number * 100];
        let path = format!("/shared?{number}");
        http2::Request::new("POST", &path).marked().frame(body)
    };
    for _ in 0..3 {
        let responses = connection.exchange_all((0..100).map(request).collect());
        for response in responses {
            assert_eq!(response.unwrap().status, 202);
        }
    }
    gateway.wait_until_settled();
    let seen = gateway.target.of("/shared");
    assert_eq!(seen.len(), 300);
    for seen in &seen {
        let target = seen.target();
        let number: usize = target.trim_start_matches("/shared?").parse().unwrap();
        assert_eq!(
            seen.message.body.len(),
            number * 100,
            "each has its own body"
        );
    }
    assert_eq!(gateway.reloads(), 0);
}
