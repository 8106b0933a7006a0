//! What is wrong with an input is told, all of it at once, with its place.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use sluice_render::{EnvoyVersion, Form, Host, Input};

const RIGHT: &str = "
function: http://127.0.0.1:8080
stream: { url: 'http://127.0.0.1:8090', streamId: a }
deadLetters: { streamId: b }
";

fn read(yaml: &str, form: Form) -> Result<Input, Vec<String>> {
    let input = Input::from_yaml(yaml, Path::new("tests"), form);
    input.map_err(|mistakes| mistakes.0.iter().map(ToString::to_string).collect())
}

fn mistakes(yaml: &str, host: Host) -> Vec<String> {
    read(yaml, Form::newest(host)).unwrap_err()
}

#[test]
fn the_smallest_input_is_right_for_every_host_but_oracles() {
    for host in Host::ALL {
        let result = read(RIGHT, Form::newest(host));
        assert_eq!(result.is_ok(), host != Host::EnvoyOci, "{host}");
    }
    let oracle = mistakes(RIGHT, Host::EnvoyOci);
    assert_eq!(oracle.len(), 2, "{oracle:#?}");
    assert!(
        oracle[0].starts_with("$.stream.url: must be https"),
        "{oracle:#?}"
    );
    assert!(
        oracle[1].starts_with("$.stream.signing: is required"),
        "{oracle:#?}"
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let yaml = "
functoin: http://127.0.0.1:8080
stream: { url: 'ftp://a', streamId: '', singing: {} }
gateway: { port: 70000, address: localhost, routes: nowhere.yaml }
lanes: [{ streamId: a, delayMs: 1 }, { streamID: b }]
targets: { allow: [{ host: '*.127.0.0.1' }] }
limits: { bodyBytes: -1, inFlight: 0, body: 1 }
istio: { labels: [] }
loopback: { secretEnvironment: 4f2a }
zzz: 1
";
    let found = mistakes(yaml, Host::Envoy);
    for start in [
        "$.functoin: is no key here; did you mean function?",
        "$.stream.singing: is no key here; did you mean signing?",
        "$.lanes[1].streamID: is no key here; did you mean streamId?",
        "$.limits.body: is no key here; did you mean bodyBytes?",
        "$.zzz: is no key here; known are module, function,",
        "$.function: is required for envoy",
        "$.stream.url: must be the URL of a server: the scheme has to be http",
        "$.stream.streamId: must be a string",
        "$.gateway.port: must be a whole number from 1 to 65535",
        "$.gateway.address: must be an IP address",
        "$.gateway.routes: cannot read",
        "$.lanes[0].delayMs: must be a whole number from 100",
        "$.lanes[1].streamId: is required",
        "$.targets.allow[0].host:",
        "$.limits.bodyBytes: must be a whole number",
        "$.limits.inFlight: must be a whole number",
        "$.deadLetters.streamId: is required",
        "$.istio.labels: must have a label",
        "$.loopback.secretEnvironment: must be the name",
    ] {
        let count = found.iter().filter(|one| one.starts_with(start)).count();
        assert_eq!(count, 1, "{start}\n{found:#?}");
    }
}

#[test]
fn what_is_no_mapping_is_refused() {
    for yaml in ["", "[]", "7", "a: b: c", "\t", "{"] {
        let found = mistakes(yaml, Host::Istio);
        assert!(found[0].starts_with("$: "), "{yaml}: {found:#?}");
    }
    let long = format!("# {}\n{RIGHT}", "x".repeat(1_048_576));
    assert!(mistakes(&long, Host::Istio)[0].contains("more than"));
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let twice =
        format!("{RIGHT}targets: {{ allow: [] }}\ntargets: {{ allow: [{{ host: a.b }}] }}\n");
    assert!(read(&twice, Form::newest(Host::Envoy)).is_err());
}

#[test]
fn explicit_targets_need_an_envoy_that_filters_addresses() {
    let old = Form {
        host: Host::Envoy,
        envoy: "1.38".parse().unwrap(),
    };
    assert!(read(RIGHT, old).is_ok());
    let explicit = format!("{RIGHT}targets: {{ allow: [{{ host: a.example }}] }}\n");
    let found = read(&explicit, old).unwrap_err();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("$.targets.allow: needs Envoy 1.39 or newer"),
        "{found:#?}"
    );
    let wanted = format!("{explicit}explicitTargets: {{ withoutAddressFilter: true }}\n");
    assert!(read(&wanted, old).is_ok());
    let new = Form::newest(Host::Envoy);
    assert!(read(&explicit, new).is_ok() && EnvoyVersion::NEWEST > old.envoy);
}

#[test]
fn authentication_in_envoys_words_is_not_left_out_where_there_are_others() {
    let filters = format!("{RIGHT}gateway: {{ filters: filters.yaml }}\n");
    for host in [Host::Istio, Host::EnvoyGateway, Host::Sidecar] {
        let found = mistakes(&filters, host);
        assert!(
            found[0].starts_with("$.gateway.filters: is in Envoy's own words"),
            "{found:#?}"
        );
    }
    let found = mistakes(&filters, Host::Envoy);
    assert!(found[0].contains("cannot read"), "{found:#?}");
}

#[test]
fn no_two_listeners_have_one_port() {
    let yaml = format!(
        "{RIGHT}gateway: {{ port: 9901 }}\ninternalListeners: false\n\
         loopback: {{ httpPort: 10001 }}\n"
    );
    let found = mistakes(&yaml, Host::Envoy);
    assert_eq!(
        found,
        [
            "$.ports.admin: is 9901, which another listener has",
            "$.loopback.httpPort: is 10001, which another listener has",
        ]
    );
}

#[test]
fn an_image_has_listeners_of_the_gateways_and_no_sockets() {
    let yaml =
        format!("{RIGHT}envoyGateway: {{ image: a/b:1, port: 10004 }}\ninternalListeners: false\n");
    assert_eq!(
        mistakes(&yaml, Host::EnvoyGateway),
        [
            "$.internalListeners: must be true with envoyGateway.image",
            "$.loopback.httpsPort: is 10004, which another listener has",
        ]
    );
    assert!(read(&yaml, Form::newest(Host::Istio)).is_ok());
    let alone = format!("{RIGHT}envoyGateway: {{ pullSecret: a }}\n");
    let found = mistakes(&alone, Host::EnvoyGateway);
    assert!(
        found[0].starts_with("$.envoyGateway.pullSecret: is for an image"),
        "{found:#?}"
    );
}
