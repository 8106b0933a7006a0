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
use controlplanes::envoy_gateway::server::{Server, Setup};
use controlplanes::envoy_gateway::{Programs, Xds, translated};
use controlplanes::network::{self, Role};
use controlplanes::written;
use provision::Project;
use provision::dist::Variant;
use serde_json::{Value, json};
use sluice_render::Host;
use testkit::http1::Request;
use wasm_tests::gateway::Gateway;
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
    calls::what_is_forbidden_is_no_call(&gateway);
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
                if patch["name"] == "default/eg/listener" {
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

/// The setup of a test with the server, whose listener's names are as `sluice render` was told.
fn setup(name: &str, xds: Xds) -> Setup<'_> {
    Setup {
        name,
        xds,
        told: xds,
        is_image: false,
        is_https: false,
        input: json!({}),
    }
}

fn server(programs: &Programs, setup: Setup<'_>) {
    let hooks = Target::start();
    let setup = Setup {
        input: calls::input(&hooks),
        ..setup
    };
    let mut server = Server::start(programs, &setup, calls::target());
    server.wait_until_draining();
    let url = server.gateway.set.gateway_url();
    server.gateway.wait("the filter is there", || {
        sluice::run(&["check", "--gateway", &url]).code == 0
    });
    calls::what_is_forbidden_is_no_call(&server.gateway);
    calls::all(&server.gateway, &hooks);
    a_route_with_code_of_its_own_takes_calls(&server.gateway);
    if let Some(other) = &server.other_listener {
        calls::another_listener_of_the_port_is_left_alone(&server.gateway, other);
    }
    waiting_calls_follow_a_route(&server);
}

/// What a policy for one route says takes nothing from what holds for all.
fn a_route_with_code_of_its_own_takes_calls(gateway: &Gateway) {
    let id = gateway.call("/own-code");
    gateway.wait_for_call(&id);
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
        server(&programs, setup("eg-v1", Xds::V1));
    }
}

#[test]
fn the_server_with_names_after_port_and_protocol() {
    let test = "the_server_with_names_after_port_and_protocol";
    if let Some(programs) = programs_inside(test) {
        server(&programs, setup("eg-v2", Xds::V2));
    }
}

#[test]
fn the_filter_as_an_image_with_names_after_the_gateway() {
    let test = "the_filter_as_an_image_with_names_after_the_gateway";
    if let Some(programs) = programs_inside(test) {
        let mut setup = setup("eg-image-v1", Xds::V1);
        setup.is_image = true;
        server(&programs, setup);
    }
}

#[test]
fn the_filter_as_an_image_with_names_after_port_and_protocol() {
    let test = "the_filter_as_an_image_with_names_after_port_and_protocol";
    if let Some(programs) = programs_inside(test) {
        let mut setup = setup("eg-image-v2", Xds::V2);
        setup.is_image = true;
        server(&programs, setup);
    }
}

#[test]
fn an_https_listener_with_names_after_the_gateway() {
    let test = "an_https_listener_with_names_after_the_gateway";
    if let Some(programs) = programs_inside(test) {
        let mut setup = setup("eg-https-v1", Xds::V1);
        setup.is_https = true;
        server(&programs, setup);
    }
}

#[test]
fn an_https_listener_and_an_image_with_names_after_port_and_protocol() {
    let test = "an_https_listener_and_an_image_with_names_after_port_and_protocol";
    if let Some(programs) = programs_inside(test) {
        let mut setup = setup("eg-https-v2", Xds::V2);
        (setup.is_https, setup.is_image) = (true, true);
        server(&programs, setup);
    }
}

/// The server says of the patch that it has failed, and goes on without the filter.
#[test]
fn a_patch_that_does_not_fit_leaves_the_gateway_open() {
    let test = "a_patch_that_does_not_fit_leaves_the_gateway_open";
    let Some(programs) = programs_inside(test) else {
        return;
    };
    let mut setup = setup("eg-open", Xds::V2);
    setup.told = Xds::V1;
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

/// Every document of what we ship and write is one that Kubernetes' API takes, and nothing else in
/// it.
#[test]
fn every_manifest_is_what_kubernetes_takes() {
    let Some(programs) = programs() else { return };
    let files = written::files(Host::EnvoyGateway, "deploy/envoy-gateway");
    for file in &files {
        let count = written::documents_of(file).len();
        assert_eq!(programs.judge.taken(file), count, "{}", file.display());
    }
    // What judges finds what is wrong.
    let wrong: Value = json!({ "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy", "metadata": { "name": "a", "namespace": "b" },
        "spec": { "path": { "escapedSlashesAction": "Keep" } } });
    let file = Project::here().target().join("not-valid.yaml");
    std::fs::write(&file, manifests::text(&[wrong])).unwrap();
    assert_eq!(programs.judge.taken(&file), 0);
}
