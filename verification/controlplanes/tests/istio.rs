//! The real istiod serves a real Envoy with what `sluice render --for istio` writes, and every kind
//! of call works. What a test needs is built from Go's modules; without Go there is nothing to see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use controlplanes::calls;
use controlplanes::istio::{Bootstrap, Istio, Kind, Programs, Setup};
use wasm_tests::target::Target;

fn programs() -> Option<Programs> {
    let programs = Programs::provide();
    if programs.is_none() {
        eprintln!("skipped: there is no Go here to build Istio with");
    }
    programs
}

fn every_kind_of_call_works(name: &str, kind: Kind, bootstrap: Bootstrap) {
    let Some(programs) = programs() else { return };
    let hooks = Target::start();
    let setup = Setup {
        name,
        kind,
        bootstrap,
        input: calls::input(&hooks),
    };
    let istio = Istio::start(&programs, &setup, calls::target());
    calls::all(&istio.gateway, &hooks);
}

#[test]
fn istios_gateway_from_a_plain_bootstrap() {
    every_kind_of_call_works("istio-plain", Kind::Istio, Bootstrap::Plain);
}

#[test]
fn istios_gateway_from_its_own_bootstrap() {
    every_kind_of_call_works("istio-own", Kind::Istio, Bootstrap::Istio);
}

#[test]
fn the_gateway_api_from_a_plain_bootstrap() {
    every_kind_of_call_works("gateway-api-plain", Kind::GatewayApi, Bootstrap::Plain);
}

#[test]
fn the_gateway_api_from_istios_own_bootstrap() {
    every_kind_of_call_works("gateway-api-own", Kind::GatewayApi, Bootstrap::Istio);
}
