//! Calls are made through sockets of this machine where Envoy has no internal listeners, and the
//! sockets take only what shows the secret (docs/security.md).
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;

use local_gateway::ports;
use local_gateway::render::merge_patch;
use provision::Project;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};
use testkit::http1::{Request, exchange};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

const VARIABLE: &str = "SLUICE_LOOPBACK_SECRET";
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// A gateway without internal listeners, and the ports of dispatch, egress-https and egress-http.
fn gateway(name: &str, target: Target, secret: Option<&str>, hooks: u16) -> (Gateway, [u16; 3]) {
    let project = Project::here();
    let inputs = project.root().join("deploy/inputs");
    let yaml = fs::read_to_string(inputs.join("gateway.yaml")).unwrap();
    let mut input: Value = yaml_serde::from_str(&yaml).unwrap();
    let sockets = [0, 1, 2].map(|_| ports::free().unwrap());
    let hooks = json!([{ "scheme": "http", "host": "127.0.0.1", "port": hooks,
        "pathPrefix": "/hooks", "allowPrivate": true }]);
    let more = json!({
        "internalListeners": false,
        "loopback": { "secretEnvironment": VARIABLE, "dispatchPort": sockets[0],
            "httpsPort": sockets[1], "httpPort": sockets[2] },
        "targets": { "allow": hooks },
    });
    merge_patch(&mut input, &more);
    let input = Input::from_value(input, &inputs, Form::newest(Host::Envoy)).unwrap();
    let folder = project.target().join("loopback");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.yaml"));
    fs::write(&file, render(&input, None, None).unwrap()).unwrap();
    let gateway = Gateway::with(name, target, |builder| {
        let builder = builder
            .configuration(&file)
            .drain_patch(drain_settings(&json!({})))
            .allow_private_egress();
        match secret {
            Some(secret) => builder.envoy_environment(VARIABLE, secret),
            None => builder,
        }
    });
    (gateway, sockets)
}

/// What no target and no record may have.
fn assert_no_trace(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text).to_lowercase();
    for trace in ["sluice-loopback", "sluice_loopback", SECRET] {
        assert!(!text.contains(trace), "{what} has {trace}: {text}");
    }
}

#[test]
fn calls_replies_and_dead_letters_go_through_the_sockets() {
    let target = Target::scripted(|seen| match (seen.path().as_str(), seen.nth) {
        ("/order", 1) => Answer::status(503),
        ("/order", _) => Answer::json(201, &json!({ "order": 7 })),
        ("/bad", _) => Answer::status(400),
        _ => Answer::status(200),
    });
    let elsewhere = Target::start();
    let (gateway, _) = gateway("loopback", target, Some(SECRET), elsewhere.port());
    let order = Request::new("POST", "/order").field("Async-Reply-To", "/inbox");
    // As somebody outside who would like to be taken for the drain.
    let order = order
        .field("Sluice-Loopback", SECRET)
        .field("Sluice_Loopback", SECRET)
        .field("Sluice-Loopback-Expected", SECRET);
    gateway.accept(&order.marked().body("x"));
    gateway.wait_for("/inbox", 1);
    assert_eq!(gateway.target.of("/order").len(), 2, "retried once");
    assert_eq!(
        gateway.target.of("/inbox")[0].message.text("async-status"),
        "201"
    );
    let url = format!("http://127.0.0.1:{}/hooks/a", elsewhere.port());
    let explicit = Request::new("POST", "/anything").field("Async-Target", &url);
    gateway.accept(&explicit.marked().body("y"));
    gateway.wait_for_elsewhere(&elsewhere, "/hooks/a");
    gateway.call("/bad");
    gateway.wait("a dead letter", || {
        gateway.stream().dead_letters().len() == 1
    });
    gateway.wait_until_settled();
    for seen in gateway.target.seen().iter().chain(&elsewhere.seen()) {
        for (name, value) in &seen.message.fields {
            assert_no_trace("a request", name);
            assert_no_trace("a request", value);
        }
    }
    for record in gateway.stream().records(testkit::stream::CALLS) {
        assert_no_trace("a record", record.json().to_string().as_bytes());
    }
}

#[test]
fn nothing_gets_in_without_the_secret_and_nobody_is_shown_it() {
    let (gateway, sockets) = gateway("loopback-forged", Target::start(), Some(SECRET), 1);
    let wrong = "x".repeat(SECRET.len());
    for port in sockets {
        for forged in [
            Request::new("GET", "/secret"),
            Request::new("GET", "/secret").field("Sluice-Loopback", ""),
            Request::new("GET", "/secret").field("Sluice-Loopback", &wrong),
            Request::new("GET", "/secret")
                .field("Sluice-Loopback", &wrong)
                .field("Sluice-Loopback-Expected", &wrong),
            Request::new("GET", "/secret")
                .field("Sluice-Loopback", SECRET)
                .field("Sluice-Loopback", &wrong),
            Request::new("GET", "/secret")
                .field("Sluice-Loopback", format!("%ENVIRONMENT({VARIABLE})%")),
        ] {
            let response = exchange(port, &forged);
            assert_eq!(response.status, 403, "{port}: {}", response.show());
        }
    }
    assert_eq!(gateway.target.count(), 0);
    // It is the secret that decides, and it goes no further.
    let known = Request::new("GET", "/open").field("Sluice-Loopback", SECRET);
    assert_eq!(exchange(sockets[0], &known).status, 200);
    for (name, value) in &gateway.target.of("/open")[0].message.fields {
        assert_no_trace("a request", name);
        assert_no_trace("a request", value);
    }
    let dump = exchange(
        gateway.set.ports().admin,
        &Request::new("GET", "/config_dump"),
    );
    let dump = String::from_utf8_lossy(&dump.message.body).into_owned();
    assert!(dump.contains(VARIABLE), "the name of the variable");
    assert!(!dump.contains(SECRET), "but not its value");
}

#[test]
fn without_a_secret_or_with_a_short_one_nothing_is_called() {
    for (name, secret) in [
        ("loopback-none", None),
        ("loopback-empty", Some("")),
        ("loopback-short", Some("short")),
    ] {
        let (gateway, sockets) = gateway(name, Target::start(), secret, 1);
        gateway.call("/never");
        let long = "a".repeat(40);
        for shown in ["", "-", "short", &long] {
            let request = Request::new("GET", "/forged")
                .field("Sluice-Loopback", shown)
                .field("Sluice-Loopback-Expected", shown);
            assert_eq!(
                exchange(sockets[0], &request).status,
                403,
                "{name}: {shown}"
            );
        }
        gateway.wait("the drain has tried", || {
            gateway.metric("sluice_gateway_faults_total") > 0
        });
        assert_eq!(gateway.target.count(), 0, "{name}");
        assert!(
            gateway.stream().dead_letters().is_empty(),
            "{name}: the call waits"
        );
    }
}
