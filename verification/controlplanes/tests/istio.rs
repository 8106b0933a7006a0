//! The real istiod serves a real Envoy with what `sluice render --for istio` writes, and every kind
//! of call works. What a test needs is built from Go's modules; without Go there is nothing to see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use controlplanes::istio::{Bootstrap, Istio, Kind, Programs, Setup, dump};
use controlplanes::{calls, written};
use provision::Project;
use serde_json::{Value, json};
use sluice_render::Host;
use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::target::Target;

fn programs() -> Option<Programs> {
    let programs = Programs::provide();
    if programs.is_none() {
        eprintln!("skipped: there is no Go here to build Istio with");
    }
    programs
}

fn every_kind_of_call_works(name: &str, kind: Kind, bootstrap: Bootstrap, is_https: bool) {
    let Some(programs) = programs() else { return };
    let hooks = Target::start();
    let setup = Setup {
        name,
        kind,
        bootstrap,
        is_https,
        input: calls::input(&hooks),
    };
    let istio = Istio::start(&programs, &setup, calls::target());
    let missing = dump::missing(&istio.config_dump(), istio.port());
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(rejected(&istio), Vec::<String>::new());
    calls::what_is_forbidden_is_no_call(&istio.gateway);
    calls::all(&istio.gateway, &hooks);
    if let Some(other) = &istio.other_server {
        calls::another_listener_of_the_port_is_left_alone(&istio.gateway, other);
    }
    // What was refused on the way, by the tags that Istio's bootstrap knows.
    let metrics = istio.admin("/stats/prometheus");
    for line in [
        "sluice_refused_total{reason=\"not_allowed\"} 2",
        "sluice_refused_total{reason=\"bad_option\"} ",
        "sluice_dead_lettered_total{reason=\"rejected\"} 2",
    ] {
        let shown = metrics.lines().any(|shown| shown.starts_with(line));
        let ours = metrics.lines().filter(|line| line.contains("sluice_"));
        assert!(shown, "{line} in\n{}", ours.collect::<Vec<_>>().join("\n"));
    }
}

/// What Envoy has refused of what istiod sent, as counters that aren't zero.
fn rejected(istio: &Istio) -> Vec<String> {
    let stats = istio.gateway.set.admin_stats().unwrap().into_iter();
    let rejected = stats.filter(|(name, count)| name.ends_with("update_rejected") && *count > 0);
    rejected.map(|(name, _)| name).collect()
}

#[test]
fn istios_gateway_from_a_plain_bootstrap() {
    every_kind_of_call_works("istio-plain", Kind::Istio, Bootstrap::Plain, false);
}

#[test]
fn istios_gateway_from_its_own_bootstrap() {
    every_kind_of_call_works("istio-own", Kind::Istio, Bootstrap::Istio, false);
}

#[test]
fn the_gateway_api_from_a_plain_bootstrap() {
    every_kind_of_call_works(
        "gateway-api-plain",
        Kind::GatewayApi,
        Bootstrap::Plain,
        false,
    );
}

#[test]
fn the_gateway_api_from_istios_own_bootstrap() {
    every_kind_of_call_works("gateway-api-own", Kind::GatewayApi, Bootstrap::Istio, false);
}

#[test]
fn istios_https_gateway() {
    every_kind_of_call_works("istio-https", Kind::Istio, Bootstrap::Istio, true);
}

#[test]
fn an_https_listener_of_the_gateway_api() {
    let kind = Kind::GatewayApi;
    every_kind_of_call_works("gateway-api-https", kind, Bootstrap::Istio, true);
}

/// A sidecar's Envoy, as far as it works without what leads requests to it: what an application
/// gets, and what it sends.
#[test]
fn sidecars() {
    let Some(programs) = programs() else { return };
    for (name, kind) in [
        ("istio-inbound", Kind::Inbound),
        ("istio-outbound", Kind::Outbound),
    ] {
        let hooks = Target::start();
        let mut input = calls::input(&hooks);
        input["dispatch"] = json!({ "replyAuthority": "gateway.test" });
        let setup = Setup {
            name,
            kind,
            bootstrap: Bootstrap::Plain,
            is_https: false,
            input,
        };
        let istio = Istio::start(&programs, &setup, calls::target());
        assert_eq!(rejected(&istio), Vec::<String>::new());
        let gateway = &istio.gateway;
        calls::the_target_sees_the_request(gateway);
        calls::large_contents_pass(gateway);
        calls::odd_paths_are_the_same_or_refused(gateway);
        calls::a_deferred_call_waits_on_a_lane(gateway);
        calls::a_reply_says_what_became_of_a_call(gateway);
        calls::a_failed_call_is_tried_again_and_a_rejected_one_buried(gateway);
        calls::an_explicit_target_is_called_where_that_is_allowed(gateway, &hooks);
        calls::what_is_not_allowed_is_refused(gateway);
        calls::nobody_outside_looks_like_a_call(gateway);
        gateway.wait_until_settled();
        assert_eq!(gateway.reloads(), 0);
    }
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
            is_https: false,
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
        is_https: false,
        input: json!({ "istio": { "port": 9 } }),
    };
    let istio = Istio::start(&programs, &setup, Target::start());
    let answer = istio
        .gateway
        .exchange(&Request::new("PUT", "/open").body("x").marked());
    assert_eq!((answer.status, istio.gateway.target.count()), (200, 1));
    let missing: Vec<String> = dump::missing(&istio.config_dump(), istio.port());
    assert!(
        missing.iter().any(|what| what.contains("sluice.accept")),
        "{missing:?}"
    );
}

/// What `istioctl validate` warns of, but for its warning of every EnvoyFilter.
fn warnings(programs: &Programs, file: &Path) -> Vec<String> {
    let output = programs.validate(file);
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

/// Every manifest that we ship and write is one that Istio and Kubernetes' API take as it stands.
#[test]
fn every_manifest_is_what_istio_and_kubernetes_take() {
    let Some(programs) = programs() else { return };
    for file in written::files(Host::Istio, "deploy/istio") {
        let said = warnings(&programs, &file);
        assert_eq!(said, Vec::<String>::new(), "{}", file.display());
        let count = written::documents_of(&file).len();
        assert_eq!(programs.judge.taken(&file), count, "{}", file.display());
    }
}

/// What judges manifests finds what is wrong.
#[test]
fn a_mistake_in_a_manifest_is_found() {
    let Some(programs) = programs() else { return };
    let project = Project::here();
    let shipped = project.root().join("deploy/istio/sluice.yaml");
    let shipped = written::documents_of(&shipped).remove(0);
    let file = project.target().join("mistaken.yaml");

    let mut manifest = shipped.clone();
    manifest["spec"]["prioritee"] = json!(1);
    std::fs::write(&file, manifest.to_string()).unwrap();
    assert_eq!(programs.judge.taken(&file), 0);

    // Where Envoy 1.40 would like it: Istio drops it there, and with it the restriction.
    let mut manifest = shipped;
    let patches = manifest.pointer_mut("/spec/configPatches").unwrap();
    let patches = patches.as_array_mut().unwrap().iter_mut();
    let is_accept = |patch: &&mut Value| patch["patch"]["value"]["name"] == "sluice.accept";
    let patch = patches.into_iter().find(is_accept).unwrap();
    let config = &mut patch["patch"]["value"]["typed_config"]["config"];
    let restriction = config["capability_restriction_config"].take();
    config["vm_config"]["capability_restriction_config"] = restriction;
    std::fs::write(&file, manifest.to_string()).unwrap();
    let said = warnings(&programs, &file);
    assert!(
        said.iter().any(|line| line.contains("unknown field")),
        "{said:?}"
    );
}
