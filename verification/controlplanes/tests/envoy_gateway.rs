//! The real Envoy Gateway serves a real Envoy with what `sluice render --for envoy-gateway` writes,
//! and every kind of call works. What a test needs is built from Go's modules; without Go there is
//! nothing to see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use controlplanes::calls;
use controlplanes::envoy_gateway::manifests::{self, find};
use controlplanes::envoy_gateway::network::{self, Role};
use controlplanes::envoy_gateway::server::{Server, Setup};
use controlplanes::envoy_gateway::{Programs, Xds, translated};
use provision::Project;
use provision::dist::Variant;
use serde_json::{Value, json};
use testkit::http1::Request;
use wasm_tests::sluice;
use wasm_tests::target::Target;

fn programs() -> Option<Programs> {
    let programs = Programs::provide();
    if programs.is_none() {
        eprintln!("skipped: there is no Go here to build Envoy Gateway with");
    }
    programs
}

/// The programs, in a network of its own for this test.
fn programs_inside(test: &str) -> Option<Programs> {
    let programs = programs()?;
    provision::Programs::for_tests(&Project::here(), Variant::Shipped).unwrap();
    (network::own(test) == Role::Inside).then_some(programs)
}

#[test]
fn every_kind_of_call_works_as_egctl_translates() {
    let Some(programs) = programs() else { return };
    let hooks = Target::start();
    let input = calls::input(&hooks);
    let mut gateway = translated::start(&programs, "egctl", &input, calls::target(), |_| ());
    gateway.set.wait_until_draining().unwrap();
    calls::all(&gateway, &hooks);
    let checked = sluice::run(&["check", "--gateway", &gateway.set.gateway_url()]);
    assert!(checked.expect(0).out.contains("the filter has answered"));
}

/// As Envoy Gateway leaves it where a patch fails: the gateway runs without the filter.
#[test]
fn what_fails_open_is_seen_by_the_check() {
    let Some(programs) = programs() else { return };
    let gateway = translated::start(
        &programs,
        "egctl-open",
        &json!({}),
        calls::target(),
        |all| {
            let patches = find(all, "EnvoyPatchPolicy").pointer_mut("/spec/jsonPatches");
            for patch in patches.unwrap().as_array_mut().unwrap() {
                if patch["name"] == "default/eg/http" {
                    patch["name"] = json!("tcp-10000");
                }
            }
        },
    );
    let marked = Request::new("POST", "/fails-open").marked().body("x");
    let answered = gateway.exchange(&marked).expect(200);
    assert_eq!(answered.message.text("async-call-id"), "");
    assert_eq!(gateway.target.of("/fails-open").len(), 1);
    let checked = sluice::run(&["check", "--gateway", &gateway.set.gateway_url()]);
    assert!(checked.expect(1).error.contains("THE FILTER IS NOT THERE"));
}

fn server(test: &str, programs: &Programs, xds: Xds, is_image: bool) {
    let hooks = Target::start();
    let setup = Setup {
        name: test,
        xds,
        told: xds,
        is_image,
        input: calls::input(&hooks),
    };
    let mut server = Server::start(programs, &setup, calls::target());
    server.wait_until_draining();
    let url = server.gateway.set.gateway_url();
    server.gateway.wait("the filter is there", || {
        sluice::run(&["check", "--gateway", &url]).code == 0
    });
    calls::all(&server.gateway, &hooks);
    waiting_calls_follow_a_route(&server);
}

/// A call that was taken before a route is edited goes where the route leads when it is made.
fn waiting_calls_follow_a_route(server: &Server) {
    let gateway = &server.gateway;
    let call = Request::new("POST", "/moved").field("Async-Delay", "10s");
    gateway.accept(&call.marked().body("x"));
    server.lead_elsewhere();
    gateway.wait("a request goes to the other function", || {
        let _answer = gateway.exchange(&Request::new("GET", "/direct"));
        !server.other.of("/direct").is_empty()
    });
    gateway.wait_for_elsewhere(&server.other, "/moved");
    assert!(gateway.target.of("/moved").is_empty());
    gateway.wait_until_settled();
}

#[test]
fn the_server_with_names_after_the_gateway() {
    let test = "the_server_with_names_after_the_gateway";
    if let Some(programs) = programs_inside(test) {
        server("eg-v1", &programs, Xds::V1, false);
    }
}

#[test]
fn the_server_with_names_after_port_and_protocol() {
    let test = "the_server_with_names_after_port_and_protocol";
    if let Some(programs) = programs_inside(test) {
        server("eg-v2", &programs, Xds::V2, false);
    }
}

#[test]
fn the_filter_as_an_image_with_names_after_the_gateway() {
    let test = "the_filter_as_an_image_with_names_after_the_gateway";
    if let Some(programs) = programs_inside(test) {
        server("eg-image-v1", &programs, Xds::V1, true);
    }
}

#[test]
fn the_filter_as_an_image_with_names_after_port_and_protocol() {
    let test = "the_filter_as_an_image_with_names_after_port_and_protocol";
    if let Some(programs) = programs_inside(test) {
        server("eg-image-v2", &programs, Xds::V2, true);
    }
}

/// The server says of the patch that it has failed, and goes on without the filter.
#[test]
fn a_patch_that_does_not_fit_leaves_the_gateway_open() {
    let test = "a_patch_that_does_not_fit_leaves_the_gateway_open";
    let Some(programs) = programs_inside(test) else {
        return;
    };
    let setup = Setup {
        name: "eg-open",
        xds: Xds::V2,
        told: Xds::V1,
        is_image: false,
        input: json!({}),
    };
    let server = Server::start(&programs, &setup, calls::target());
    let gateway = &server.gateway;
    gateway.wait("the routes are there", || {
        gateway.exchange(&Request::new("GET", "/there")).status == 200
    });
    let marked = Request::new("POST", "/fails-open").marked().body("x");
    let _answered = gateway.exchange(&marked).expect(200);
    assert_eq!(gateway.target.of("/fails-open").len(), 1);
    let checked = sluice::run(&["check", "--gateway", &gateway.set.gateway_url()]);
    assert!(checked.expect(1).error.contains("THE FILTER IS NOT THERE"));
    gateway.wait("the server tells of it", || {
        server.log().contains("Programmed") || server.log().contains("unable to find xds resources")
    });
}

/// Every document of what we ship is one that Kubernetes' API takes, and nothing else in it.
#[test]
fn what_we_ship_is_what_kubernetes_takes() {
    let Some(programs) = programs() else { return };
    let folder = Project::here().root().join("deploy/envoy-gateway");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let count = manifests::documents(&text).len();
        let judged = programs.validate(&file);
        assert_eq!(judged, count, "{}", file.display());
        files += 1;
    }
    assert!(files >= 2, "{files}");
    // What judges finds what is wrong.
    let wrong: Value = json!({ "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy", "metadata": { "name": "a", "namespace": "b" },
        "spec": { "path": { "escapedSlashesAction": "Keep" } } });
    let file = Project::here().target().join("not-valid.yaml");
    std::fs::write(&file, manifests::text(&[wrong])).unwrap();
    assert_eq!(programs.validate(&file), 0);
}
