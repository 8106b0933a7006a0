//! Clients that leave at any stage of their request harm nobody: no VM traps, nothing is left
//! behind, the gateway goes on.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use testkit::http1::{Connection, Request};
use testkit::http2::{self, blocking};
use wasm_tests::gateway::Gateway;

/// A small generator, so that every run leaves at the same stages.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn clients_leave_at_every_stage() {
    let gateway = Gateway::start("leaving");
    let before = gateway.call("/before");
    let mut dice = Dice(7);
    for round in 0..400 {
        let body = vec![b'x'; dice.below(20_000)];
        let request = Request::new("POST", "/leaving").marked();
        let request = match dice.below(2) {
            0 => request.body(&body),
            _ => request.chunks(&[&body, b"the end"]),
        };
        let (bytes, head) = (request.bytes(), request.head().len());
        // In the head, in the body, or as soon as all is sent.
        let sent = match dice.below(3) {
            0 => dice.below(head),
            1 => head + dice.below(bytes.len() - head + 1),
            _ => bytes.len(),
        };
        let mut connection = Connection::open(gateway.port()).unwrap();
        connection.send(bytes.get(..sent).unwrap()).unwrap();
        drop(connection);
        if round % 40 == 0 {
            leave_http2(&gateway, &mut dice);
        }
    }
    let after = gateway.call("/after");
    for id in [before, after] {
        gateway.wait_for_call(&id);
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.reloads(), 0, "a VM has trapped");
    let (gone, accepted) = (
        gateway.metric("sluice_clients_gone_total"),
        gateway.metric("sluice_accepted_total"),
    );
    println!("{gone} clients were missed, {accepted} calls were accepted all the same");
    assert!(gone > 0, "nobody was missed");
}

/// Leaves a connection with many requests under way.
fn leave_http2(gateway: &Gateway, dice: &mut Dice) {
    let connection = blocking::Connection::open(gateway.port()).unwrap();
    let requests = (0..50).map(|_| {
        let request = http2::Request::new("POST", "/leaving").marked();
        request.frame(vec![b'x'; dice.below(2_000)])
    });
    connection.leave_during(requests.collect());
}
