//! A trap in either role's VM: Envoy loads it again by itself, what was accepted before is
//! delivered, what comes after it too. The way to provoke one is not in the shipped filter.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use local_gateway::render::{at, listener};
use provision::dist::Variant;
use serde_json::json;
use testkit::http1::{Connection, Request, exchange};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::load::Load;
use wasm_tests::target::Target;

const TRAP: &str = "sluice-test-trap";

fn gateway(name: &str, variant: Variant) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        let builder = builder.drain_patch(drain_settings(&json!({
            "attempt": { "retries": 1000 },
        })));
        // What nobody can answer any more is ended by this; not for a test to wait for.
        let idle = "/filter_chains/0/filters/0/typed_config/stream_idle_timeout";
        builder.variant(variant).edit(move |config| {
            *at(listener(config, "gateway")?, idle)? = json!("2s");
            Ok(())
        })
    })
}

/// Returns how often Envoy has loaded the VM of this plugin again.
fn reloads(gateway: &Gateway, plugin: &str) -> u64 {
    let stats = gateway.set.admin_stats().unwrap();
    let name = format!("wasm.{plugin}.vm_reload_success");
    stats.get(&name).copied().unwrap_or_default()
}

/// Every call of these ids arrives, and the group commits all there is. (Gauges can't be looked at:
/// what a VM had counted up when it died stays counted.)
fn check_arrivals(gateway: &Gateway, ids: &[String]) {
    gateway.wait("every accepted call arrives", || {
        let arrivals = gateway.target.arrivals();
        ids.iter().all(|id| arrivals.contains_key(id))
    });
    gateway.wait("everything is committed", || {
        gateway.stream().uncommitted().is_empty()
    });
}

#[test]
fn the_accept_role_comes_back() {
    let gateway = gateway("trap-accept", Variant::Trap);
    let mut ids: Vec<String> = (0..20).map(|_| gateway.call("/before")).collect();
    for round in 1..=3 {
        // This one waits for its body in the VM that is about to die.
        let mut waiting = Connection::open(gateway.port()).unwrap();
        let request = Request::new("POST", "/waiting").marked().body("four");
        waiting.send(&request.head()).unwrap();
        gateway.wait("it waits", || {
            gateway.metric("sluice_waiting_requests") >= round
        });

        let fatal = Request::new("POST", "/fatal")
            .marked()
            .field(TRAP, "1")
            .body("x");
        assert_ne!(gateway.exchange(&fatal).status, 202);
        let ended = waiting.send(b"four").and_then(|()| waiting.receive(false));
        assert!(ended.is_err() || ended.is_ok_and(|response| response.status >= 400));

        let again = Request::new("POST", "/again").marked().body("x");
        gateway.wait("calls are accepted again", || {
            let response = gateway.exchange(&again);
            ids.extend((response.status == 202).then(|| response.message.text("async-call-id")));
            response.status == 202
        });
        gateway.wait("Envoy has counted the reload", || {
            reloads(&gateway, "sluice.accept") >= round
        });
    }
    check_arrivals(&gateway, &ids);
    assert_eq!(
        gateway.target.of("/fatal").len() + gateway.target.of("/waiting").len(),
        0
    );
}

#[test]
fn the_drain_comes_back() {
    let gateway = gateway("trap-drain", Variant::Trap);
    let load = Load::start(gateway.port(), 3);
    for round in 1..=3 {
        let goal = gateway.target.count() + 100;
        gateway.wait("calls arrive", || gateway.target.count() >= goal);
        let fatal = Request::new("GET", "/").field(TRAP, "1");
        assert_ne!(exchange(gateway.set.ports().drain, &fatal).status, 200);
        gateway.wait("Envoy has loaded the drain again", || {
            reloads(&gateway, "sluice.drain") >= round
        });
    }
    let goal = gateway.target.count() + 100;
    gateway.wait("calls arrive", || gateway.target.count() >= goal);
    let ledger = load.end();
    assert_eq!(
        (ledger.broken, ledger.hung),
        (0, 0),
        "accepting goes on meanwhile"
    );
    assert!(ledger.refused.is_empty(), "{:?}", ledger.refused);
    check_arrivals(&gateway, &ledger.promised);
}

#[test]
fn nobody_can_make_the_shipped_filter_trap() {
    let gateway = gateway("no-trap", Variant::Shipped);
    let harmless = Request::new("POST", "/harmless")
        .marked()
        .field(TRAP, "1")
        .body("x");
    let id = gateway.accept(&harmless);
    let check = Request::new("GET", "/").field(TRAP, "1");
    assert_eq!(exchange(gateway.set.ports().drain, &check).status, 200);
    gateway.wait_for_call(&id);
    gateway.wait_until_settled();
    assert_eq!(gateway.reloads(), 0);
}
