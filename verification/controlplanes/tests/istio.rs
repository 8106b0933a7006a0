//! The real istiod serves a real Envoy with what `sluice render --for istio` writes, and every kind
//! of call works. What a test needs is built from Go's modules; without Go there is nothing to see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use controlplanes::calls;
use controlplanes::istio::{Bootstrap, Istio, Kind, Programs, Setup, dump};
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use testkit::stream::CALLS;
use wasm_tests::gateway::Gateway;
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
    let missing = dump::missing(&istio.config_dump(), istio.gateway.port());
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(rejected(&istio), Vec::<String>::new());
    what_istio_forbids_is_no_call(&istio.gateway);
    calls::all(&istio.gateway, &hooks);
    // What was refused on the way, by the tags that Istio's bootstrap knows.
    let metrics = istio.admin("/stats/prometheus");
    for line in [
        "sluice_refused_total{reason=\"not_allowed\"} 2",
        "sluice_refused_total{reason=\"bad_option\"} ",
        "sluice_dead_lettered_total{reason=\"rejected\"} 1",
    ] {
        let shown = metrics.lines().any(|shown| shown.starts_with(line));
        let ours = metrics.lines().filter(|line| line.contains("sluice_"));
        assert!(shown, "{line} in\n{}", ours.collect::<Vec<_>>().join("\n"));
    }
}

/// Istio's own policies judge a request before it becomes a call, by the path that it would have.
fn what_istio_forbids_is_no_call(gateway: &Gateway) {
    for path in [
        "/forbidden",
        "/forbidden/x?y",
        "//forbidden",
        "/open/../forbidden",
        "/open/..%2Fforbidden",
        "/forbidden%2Fx",
    ] {
        let request = Request::new("PUT", path).body("x");
        let answers = [request.clone(), request.marked()].map(|request| gateway.exchange(&request));
        let statuses = answers.map(|answer| answer.status);
        assert_eq!(statuses, [403, 403], "{path}");
    }
    assert!(gateway.stream().records(CALLS).is_empty());
    assert_eq!(gateway.target.count(), 0);
}

/// What Envoy has refused of what istiod sent, as counters that aren't zero.
fn rejected(istio: &Istio) -> Vec<String> {
    let stats = istio.gateway.set.admin_stats().unwrap().into_iter();
    let rejected = stats.filter(|(name, count)| name.ends_with("update_rejected") && *count > 0);
    rejected.map(|(name, _)| name).collect()
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

#[test]
fn calls_that_wait_follow_a_route_that_is_edited() {
    let Some(programs) = programs() else { return };
    for (name, kind) in [
        ("istio-followed", Kind::Istio),
        ("gateway-api-followed", Kind::GatewayApi),
    ] {
        let setup = Setup {
            name,
            kind,
            bootstrap: Bootstrap::Istio,
            // The call is tried for as long as it takes.
            input: json!({ "attempt": { "retries": 1000 } }),
        };
        let target = Target::scripted(|_| Answer::status(503));
        let istio = Istio::start(&programs, &setup, target);
        let gateway = &istio.gateway;
        let id = gateway.accept(&Request::new("PUT", "/waits").body("x").marked());
        gateway.wait_for("/waits", 2);
        istio.lead_elsewhere();
        gateway.wait_for_elsewhere(&istio.other, "/waits");
        assert_eq!(istio.other.of("/waits")[0].call_id(), id, "{name}");
        gateway.wait_until_settled();
        assert_eq!(istio.other.count(), 1, "{name}");
    }
}

/// Istio says nothing of a patch that matches nothing, and then the function answers marked
/// requests. What Envoy got says so.
#[test]
fn a_patch_that_matched_nothing_is_found_in_what_envoy_got() {
    let Some(programs) = programs() else { return };
    let setup = Setup {
        name: "istio-unmatched",
        kind: Kind::Istio,
        bootstrap: Bootstrap::Plain,
        input: json!({ "istio": { "port": 9 } }),
    };
    let istio = Istio::start(&programs, &setup, Target::start());
    let answer = istio
        .gateway
        .exchange(&Request::new("PUT", "/open").body("x").marked());
    assert_eq!((answer.status, istio.gateway.target.count()), (200, 1));
    let missing: Vec<String> = dump::missing(&istio.config_dump(), istio.gateway.port());
    assert!(
        missing.iter().any(|what| what.contains("sluice.accept")),
        "{missing:?}"
    );
}

/// What `istioctl validate` warns of, but for its warning of every EnvoyFilter.
fn warnings(programs: &Programs, name: &str, text: &str) -> Vec<String> {
    let folder = provision::Project::here().target().join("istio-validated");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.yaml"));
    std::fs::write(&file, text).unwrap();
    let output = programs.validate(&file);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let known = |line: &&str| {
        line.contains("exposes internal implementation details")
            || line.ends_with("has warnings:")
            || line.ends_with("is valid")
    };
    lines
        .filter(|line| !known(line))
        .map(str::to_owned)
        .collect()
}

#[test]
fn istioctl_has_no_warning_of_what_is_written_and_has_one_of_a_mistake() {
    let Some(programs) = programs() else { return };
    let file = provision::Project::here()
        .root()
        .join("deploy/istio/sluice.yaml");
    let shipped = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        warnings(&programs, "shipped", &shipped),
        Vec::<String>::new()
    );

    // Where Envoy 1.40 would like it: Istio drops it there, and with it the restriction.
    let mut manifest: Value = yaml_serde::from_str(&shipped).unwrap();
    let patches = manifest.pointer_mut("/spec/configPatches").unwrap();
    let patches = patches.as_array_mut().unwrap().iter_mut();
    let is_accept = |patch: &&mut Value| patch["patch"]["value"]["name"] == "sluice.accept";
    let patch = patches.into_iter().find(is_accept).unwrap();
    let config = &mut patch["patch"]["value"]["typed_config"]["config"];
    let restriction = config["capability_restriction_config"].take();
    config["vm_config"]["capability_restriction_config"] = restriction;
    let mistaken = warnings(&programs, "mistaken", &manifest.to_string());
    assert!(
        mistaken.iter().any(|line| line.contains("unknown field")),
        "{mistaken:?}"
    );
}
