//! What makes a request a call besides `Prefer`: a path prefix, and what its route says. Product
//! description, section 1.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::render::{at, listener};
use serde_json::{Value, json};
use testkit::http1::Request;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

const ROUTES: &str = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";

const RBAC_PER_ROUTE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/// Returns a route that leads where all lead, with metadata of ours.
fn route(path: &str, mode: &str) -> Value {
    json!({
        "match": { "path_separated_prefix": path },
        "route": { "cluster": "function", "timeout": "30s" },
        "metadata": { "filter_metadata": { "sluice": { "mode": mode } } },
        // Lets Envoy's own RBAC filter off, and not ours.
        "typed_per_filter_config": { "envoy.filters.http.rbac": { "@type": RBAC_PER_ROUTE } },
    })
}

/// Returns a gateway with a route for each mode, and with these marks.
fn gateway(name: &str, marks: &Value) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        builder
            .accept_patch(json!({ "marks": marks }))
            .edit(|config| {
                for listener_name in ["gateway", "dispatch"] {
                    let routes = at(listener(config, listener_name)?, ROUTES)?;
                    for mode in ["never", "always", "prefer"] {
                        let route = route(&format!("/{mode}"), mode);
                        routes.as_array_mut().unwrap().insert(0, route);
                    }
                    let asynchronous = json!({
                        "match": { "prefix": "/async/" },
                        "route": { "cluster": "function", "prefix_rewrite": "/" },
                    });
                    routes.as_array_mut().unwrap().insert(0, asynchronous);
                }
                Ok(())
            })
    })
}

fn post(path: &str) -> Request {
    Request::new("POST", path).body("x")
}

#[test]
fn a_path_prefix_marks_a_request_and_the_route_takes_it_away() {
    let gateway = gateway("path-prefix", &json!({ "pathPrefix": "/async/" }));
    let id = gateway.accept(&post("/async/orders/1?a=%2F&b"));
    gateway.wait_for_call(&id);
    let seen = gateway.target.of("/orders/1").remove(0);
    assert_eq!(seen.message.word(1), "/orders/1?a=%2F&b");
    assert_eq!(seen.message.text("async-call-id"), id);
    assert_eq!(seen.message.body, b"x");
    let synchronous = gateway.exchange(&post("/orders/2")).expect(200);
    assert!(synchronous.message.field("async-call-id").is_none());
    assert_eq!(gateway.target.of("/orders/2").len(), 1);
    // No mark: the name goes on, or the case differs.
    let _ = gateway.exchange(&post("/asynchronous")).expect(200);
    let _ = gateway.exchange(&post("/Async/orders")).expect(200);
    assert_eq!(gateway.metric("sluice_accepted_total"), 1);
}

#[test]
fn a_route_decides_about_its_requests() {
    let gateway = gateway("route-modes", &json!({ "routeMetadata": true }));
    let _ = gateway.exchange(&post("/never/1").marked()).expect(200);
    assert_eq!(gateway.target.of("/never/1").len(), 1);
    let seen = gateway.target.of("/never/1").remove(0);
    assert!(seen.message.field("async-call-id").is_none());

    let id = gateway.accept(&post("/always/1"));
    gateway.wait_for_call(&id);
    assert_eq!(gateway.target.of("/always/1").len(), 1);

    let _ = gateway.exchange(&post("/prefer/1")).expect(200);
    let id = gateway.accept(&post("/prefer/2").marked());
    gateway.wait_for_call(&id);
    assert_eq!(gateway.metric("sluice_accepted_total"), 2);
}

#[test]
fn never_counts_without_any_setting_and_over_every_mark() {
    let gateway = gateway("never", &json!({ "pathPrefix": "/never/" }));
    let _ = gateway.exchange(&post("/never/1")).expect(200);
    let _ = gateway.exchange(&post("/never/2").marked()).expect(200);
    let _ = gateway.exchange(&post("/always/1")).expect(200);
    assert_eq!(gateway.target.of("/never/1").len(), 1);
    assert_eq!(gateway.metric("sluice_accepted_total"), 0);
}

#[test]
fn a_preflight_is_never_a_call() {
    let marks = json!({ "pathPrefix": "/async/", "routeMetadata": true });
    let gateway = gateway("preflight", &marks);
    for path in ["/async/1", "/always/1", "/prefer/1"] {
        let asked = Request::new("OPTIONS", path)
            .field("Origin", "https://page.example")
            .field("Access-Control-Request-Method", "POST");
        let answer = gateway.exchange(&asked.marked()).expect(200);
        assert_eq!(answer.message.field("preference-applied"), None, "{path}");
    }
    assert_eq!(gateway.target.count(), 3);
    // Without it, it is a request like any other.
    let id = gateway.accept(&Request::new("OPTIONS", "/prefer/2").marked());
    gateway.wait_for_call(&id);
    assert_eq!(gateway.metric("sluice_accepted_total"), 1);
}

#[test]
fn a_route_that_says_never_gets_neither_replies_nor_what_others_publish() {
    let paths = json!({ "replies": { "paths": ["/never"] } });
    let gateway = Gateway::with("never-dispatched", Target::start(), |builder| {
        builder
            .accept_patch(paths.clone())
            .drain_patch(wasm_tests::gateway::drain_settings(&paths))
            .edit(|config| {
                local_gateway::render::change_routes(config, |routes| {
                    routes.insert(0, route("/never", "never"));
                })
            })
    });
    let call = post("/1").field("Async-Reply-To", "/never/inbox").marked();
    let id = gateway.accept(&call);
    gateway.wait_for_call(&id);
    gateway
        .stream()
        .put(&[br#"{"path":"/never/2"}"#, br#"{"path":"/x/..//never/3"}"#]);
    gateway.wait("three dead letters", || {
        gateway.stream().dead_letters().len() == 3
    });
    for letter in gateway.stream().dead_letters() {
        assert_eq!(letter["reason"], "denied", "{letter}");
    }
    assert_eq!(gateway.target.count(), 1);
}
