//! What a name resolves to is judged where explicit targets leave (G7): the filter knows the name
//! alone. Requests come to the egress listeners by a route of these tests.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::panic, reason = "a test fails by panicking")]

use local_gateway::Builder;
use local_gateway::render::change_routes;
use serde_json::json;
use testkit::http1::{Request, Response};
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

const DENIED: &str = "http.egress-http.rbac.denied";

/// Returns a gateway that sends every request out as if it were a call to an explicit target.
fn gateway(name: &str, target: Target, change: impl FnOnce(Builder) -> Builder) -> Gateway {
    Gateway::with(name, target, |builder| {
        change(builder.edit(|config| {
            change_routes(config, |routes| {
                let route = json!({ "cluster": "egress-http", "timeout": "10s" });
                routes.insert(0, json!({ "match": { "prefix": "/" }, "route": route }));
            })
        }))
    })
}

fn send(gateway: &Gateway, host: &str, path: &str) -> Response {
    let authority = format!("{host}:{}", gateway.target.port());
    gateway.exchange(&Request::without_host("GET", path).field("Host", authority))
}

fn denied(gateway: &Gateway) -> u64 {
    let stats = gateway.set.admin_stats();
    let stats = stats.unwrap_or_else(|error| panic!("{error:#}"));
    stats.get(DENIED).copied().unwrap_or_default()
}

#[test]
fn names_and_addresses_of_this_machine_are_denied() {
    let gateway = gateway(
        "egress-denied",
        Target::start(),
        Builder::unfiltered_targets,
    );
    let hosts = ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"];
    for host in hosts {
        let response = send(&gateway, host, "/secret");
        assert_eq!(response.status, 403, "{host}: {}", response.show());
    }
    gateway.wait("RBAC has counted them", || denied(&gateway) == 4);
    assert_eq!(gateway.target.count(), 0);
}

#[test]
fn a_lifted_range_is_reached_and_redirects_are_not_followed() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/redirect" => Answer::status(302).with("Location", "/elsewhere"),
        _ => Answer::status(200),
    });
    let gateway = gateway("egress-lifted", target, Builder::allow_private_egress);
    assert_eq!(send(&gateway, "localhost", "/a").status, 200);
    assert_eq!(gateway.target.count(), 1);
    assert_eq!(send(&gateway, "127.0.0.1", "/redirect").status, 302);
    assert_eq!(gateway.target.count(), 2);
    assert_eq!(send(&gateway, "[::1]", "/b").status, 403, "another range");
}
