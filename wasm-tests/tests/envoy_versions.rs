//! What depends on Envoy's version, on whichever these tests run.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::http;
use local_gateway::render::{at, cluster, http_filter, listener};
use local_gateway::{Builder, LocalSet};
use provision::dist::Variant;
use provision::envoy::Version;
use provision::{Programs, Project};
use serde_json::{Value, json};
use testkit::http1::Request;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// The first Envoy with `resolved_address_filter`.
const ADDRESS_FILTER: Version = Version::new(1, 39, 0);

fn version() -> Version {
    let programs = Programs::for_tests(&Project::here(), Variant::Shipped);
    programs.unwrap().envoy_version
}

/// What is allowed of a plugin, by the path of its filter.
fn capabilities<'a>(config: &'a mut Value, front: &str, filter: &str) -> &'a mut Value {
    let filter = http_filter(listener(config, front).unwrap(), filter).unwrap();
    let list = "/typed_config/config/capability_restriction_config/allowed_capabilities";
    at(filter, list).unwrap()
}

/// A gateway whose accept filter lacks one capability.
fn without(name: &str, capability: &'static str) -> Gateway {
    Gateway::with(name, Target::start(), |builder| {
        builder.edit(move |config| {
            let allowed = capabilities(config, "gateway", "sluice.accept");
            let removed = allowed.as_object_mut().unwrap().remove(capability);
            assert!(removed.is_some(), "{capability}");
            Ok(())
        })
    })
}

#[test]
fn a_callback_that_is_not_allowed_is_not_called() {
    let gateway = without("no-callback", "proxy_on_request_headers");
    let request = Request::new("POST", "/x").marked().body("");
    gateway.exchange(&request).expect(200);
    assert_eq!(gateway.target.of("/x").len(), 1, "nobody has seen the mark");
    assert!(gateway.stream().records("calls").is_empty());
}

#[test]
fn a_host_call_that_is_not_allowed_is_denied() {
    let gateway = without("no-host-call", "proxy_http_call");
    let request = Request::new("POST", "/x").marked().body("");
    gateway.exchange(&request).expect(503);
    assert!(gateway.stream().records("calls").is_empty());
    assert_eq!(gateway.target.count(), 0);
}

#[test]
fn every_plugin_that_runs_is_restricted() {
    let gateway = Gateway::start("restricted");
    let url = format!("{}/config_dump", gateway.set.admin_url());
    let dump: Value = serde_json::from_str(&http::get(&url).unwrap().body).unwrap();
    let mut plugins = Vec::new();
    collect_plugins(&dump, &mut plugins);
    for role in ["sluice.accept", "sluice.answer", "sluice.drain"] {
        assert!(plugins.iter().any(|(name, _)| name == role), "{role}");
    }
    for (name, allowed) in plugins {
        assert!(allowed > 10, "{name} is restricted to {allowed}");
    }
}

/// Finds the plugins in Envoy's configuration: their names, and how many capabilities they have.
fn collect_plugins(value: &Value, found: &mut Vec<(String, usize)>) {
    if value.get("root_id").is_some() {
        let allowed = value.pointer("/capability_restriction_config/allowed_capabilities");
        let allowed = allowed
            .and_then(Value::as_object)
            .map_or(0, |map| map.len());
        found.push((value["name"].as_str().unwrap().to_owned(), allowed));
    }
    let inner: Vec<&Value> = match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for value in inner {
        collect_plugins(value, found);
    }
}

/// A set in which a name may be called.
fn with_target(name: &str) -> Builder {
    let rule = json!({ "host": "hooks.example", "scheme": "http" });
    let targets = json!({ "targets": { "allow": [rule] } });
    LocalSet::builder()
        .name(name)
        .accept_patch(targets.clone())
        .drain_patch(drain_settings(&targets))
}

#[test]
fn explicit_targets_need_an_envoy_that_filters_addresses_or_somebody_who_accepts_that() {
    let started =
        with_target("filtered").edit(|config| cluster(config, "targets-http").map(|_| ()));
    match (started.start(), version() >= ADDRESS_FILTER) {
        (Ok(set), true) => {
            let url = format!("{}/config_dump", set.admin_url());
            let dump = http::get(&url).unwrap().body;
            assert!(dump.contains("resolved_address_filter"));
        }
        (Err(error), false) => {
            let error = format!("{error:#}");
            for part in [
                "sluice.accept: $.targets.allow",
                "sluice.drain: $.targets.allow",
            ] {
                assert!(error.contains(part), "{error}");
            }
            let set = with_target("unfiltered").unfiltered_targets().start();
            let set = set.unwrap_or_else(|error| panic!("{error:#}"));
            let url = format!("{}/config_dump", set.admin_url());
            let dump = http::get(&url).unwrap().body;
            assert!(dump.contains("targets-http") && dump.contains("upstream_ip_port"));
        }
        (Ok(_), false) => panic!("explicit targets are called unfiltered"),
        (Err(error), true) => panic!("{error:#}"),
    }
}

#[test]
fn without_a_rule_an_explicit_target_is_refused_on_every_envoy() {
    let gateway = Gateway::start("no-targets");
    let request = Request::new("POST", "/").field("Async-Target", "https://hooks.example/x");
    let refused = gateway.exchange(&request.marked().body("x"));
    assert!([403, 501].contains(&refused.status), "{}", refused.show());
    assert!(gateway.stream().records("calls").is_empty());
}
