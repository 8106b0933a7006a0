//! What is written for each host has what that host needs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

const INPUT: &str = "
function: http://127.0.0.1:8080
stream: { url: 'http://127.0.0.1:8090', streamId: a }
deadLetters: { streamId: b }
";

fn written(yaml: &str, form: Form) -> (String, Vec<Value>) {
    let input = Input::from_yaml(yaml, Path::new("tests"), form);
    let input = input.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let text = render(&input, Some("sluice.yaml"), None).unwrap();
    let documents = yaml_serde::Deserializer::from_str(&text);
    let documents = documents.map(|one| Value::deserialize(one).unwrap());
    let documents = documents.collect();
    (text, documents)
}

fn patches(documents: &[Value], kind: &str, pointer: &str) -> Vec<Value> {
    let found = documents.iter().find(|one| one["kind"] == kind).unwrap();
    found.pointer(pointer).unwrap().as_array().unwrap().clone()
}

#[test]
fn an_envoy_before_1_39_has_no_way_to_explicit_targets_unless_that_is_accepted() {
    for host in [Host::Envoy, Host::Sidecar, Host::Istio, Host::EnvoyGateway] {
        for (version, is_new) in [
            ("1.37", false),
            ("1.38", false),
            ("1.39", true),
            ("1.40", true),
        ] {
            let envoy = version.parse().unwrap();
            let form = Form { host, envoy };
            let (text, _) = written(INPUT, form);
            assert_eq!(
                text.contains("resolved_address_filter:"),
                is_new,
                "{host} {version}"
            );
            assert_eq!(text.contains("egress-http"), is_new, "{host} {version}");
            assert_eq!(text.contains("targets-http"), is_new, "{host} {version}");
            let accepted = format!("{INPUT}explicitTargets: {{ withoutAddressFilter: true }}\n");
            let (text, _) = written(&accepted, form);
            assert_eq!(
                text.contains("resolved_address_filter:"),
                is_new,
                "{host} {version}"
            );
            // The judge of addresses is there anyway.
            assert!(text.contains("\"169.254.0.0\", prefix_len: 16"));
        }
    }
}

#[test]
fn istio_gets_its_patches_in_their_order() {
    let yaml = format!(
        "{INPUT}istio: {{ port: 8443, routes: https.443.https.gw.ns, labels: [app=gw] }}\n"
    );
    let (_, documents) = written(&yaml, Form::newest(Host::Istio));
    let spec = &documents[0]["spec"];
    assert_eq!(spec["workloadSelector"]["labels"], json!({ "app": "gw" }));
    let patches = patches(&documents, "EnvoyFilter", "/spec/configPatches");
    let names = |kind: &str| {
        let of_kind = patches.iter().filter(|patch| patch["applyTo"] == kind);
        let names = of_kind.filter_map(|patch| patch["patch"]["value"]["name"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        names("HTTP_FILTER"),
        ["sluice.no-marks", "sluice.accept", "sluice.no-conversation"]
    );
    assert_eq!(names("LISTENER").last().map(String::as_str), Some("drain"));
    assert_eq!(names("CLUSTER").len(), 7);
    let dispatch = patches.iter().find(|patch| {
        patch["applyTo"] == "LISTENER" && patch["patch"]["value"]["name"] == "dispatch"
    });
    let manager = "/patch/value/filter_chains/0/filters/0/typed_config";
    let manager = dispatch.unwrap().pointer(manager).unwrap();
    assert_eq!(manager["rds"]["route_config_name"], "https.443.https.gw.ns");
    assert!(manager.get("route_config").is_none());
    for patch in &patches {
        assert_eq!(patch["match"]["context"], "GATEWAY");
        let port = &patch["match"]["listener"]["portNumber"];
        assert!(port.is_null() || port == 8443, "{patch}");
    }
}

#[test]
fn istio_is_told_whose_requests_are_meant() {
    for (context, expected, routes) in [
        ("gateway", "GATEWAY", Some("http.8080")),
        ("inbound", "SIDECAR_INBOUND", None),
        ("outbound", "SIDECAR_OUTBOUND", Some("8080")),
    ] {
        let yaml = format!("{INPUT}istio: {{ context: {context}, sni: a.example }}\n");
        let (_, documents) = written(&yaml, Form::newest(Host::Istio));
        let patches = patches(&documents, "EnvoyFilter", "/spec/configPatches");
        for patch in &patches {
            assert_eq!(patch["match"]["context"], expected);
            let chain = &patch["match"]["listener"]["filterChain"];
            assert!(
                chain.is_null() || chain["sni"] == "a.example",
                "{context}: {patch}"
            );
        }
        let has_routes = |patch: &&Value| patch["applyTo"] == "ROUTE_CONFIGURATION";
        let changed = patches.iter().find(has_routes);
        let changed = changed.map(|patch| &patch["match"]["routeConfiguration"]["name"]);
        assert_eq!(changed.and_then(Value::as_str), routes);
        let dispatch = patches
            .iter()
            .filter(|patch| patch["applyTo"] == "LISTENER")
            .filter(|patch| patch["applyTo"] == "LISTENER")
            .find(|patch| patch["patch"]["value"]["name"] == "dispatch")
            .unwrap();
        let is_direct = dispatch.to_string().contains("inbound|8080||");
        assert_eq!(is_direct, context == "inbound");
    }
}

#[test]
fn no_host_makes_attempts_of_its_own() {
    for host in Host::ALL.into_iter().filter(|host| *host != Host::EnvoyOci) {
        let (text, _) = written(INPUT, Form::newest(host));
        for header in [
            "x-envoy-max-retries",
            "x-envoy-upstream-rq-per-try-timeout-ms",
        ] {
            assert_eq!(text.matches(header).count(), 1, "{host}: {header}");
        }
    }
}

#[test]
fn istio_finds_the_labels_of_metrics() {
    let count = |yaml: &str, host| {
        let (text, _) = written(yaml, Form::newest(host));
        text.matches(r#""labels": "istio""#).count()
    };
    assert_eq!(count(INPUT, Host::Istio), 2, "in both roles");
    assert_eq!(count(INPUT, Host::Envoy), 0);
    let own = format!("{INPUT}metrics: {{ labels: envoy }}\n");
    assert_eq!(count(&own, Host::Istio), 0);
}

#[test]
fn envoy_gateway_gets_both_schemes_of_names() {
    for (scheme, listener, routes) in [
        ("v1", "ns/gw/web", "ns/gw/web"),
        ("v2", "tcp-81", "http-81"),
    ] {
        let yaml = format!(
            "{INPUT}envoyGateway: {{ namespace: ns, gateway: gw, listener: web, port: 81, \
             xdsNames: {scheme} }}\n"
        );
        let (_, documents) = written(&yaml, Form::newest(Host::EnvoyGateway));
        let kinds: Vec<_> = documents
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            ["EnvoyProxy", "ClientTrafficPolicy", "EnvoyPatchPolicy"]
        );
        let bootstrap = documents[0]["spec"]["bootstrap"]["value"].as_str().unwrap();
        let bootstrap: Value = yaml_serde::from_str(bootstrap).unwrap();
        assert!(bootstrap.get("bootstrap_extensions").is_some());
        let patches = patches(&documents, "EnvoyPatchPolicy", "/spec/jsonPatches");
        let inserted: Vec<_> = patches
            .iter()
            .filter(|patch| patch["operation"].get("jsonPath").is_some())
            .collect();
        assert_eq!(inserted.len(), 3);
        for patch in inserted {
            assert_eq!(patch["name"], listener);
        }
        let named = |name: &str| patches.iter().filter(|patch| patch["name"] == name).count();
        assert_eq!(named(routes), if listener == routes { 4 } else { 1 });
        assert_eq!(
            (named("dispatch"), named("drain"), named("stream")),
            (2, 2, 1)
        );
    }
}

/// Each HTTPS listener of a port has a filter chain and routes of its own.
#[test]
fn envoy_gateway_changes_one_https_listener() {
    for (scheme, listener) in [("v1", "default/eg/web"), ("v2", "tcp-443")] {
        let yaml = format!(
            "{INPUT}envoyGateway: {{ listener: web, port: 443, protocol: HTTPS, \
             xdsNames: {scheme} }}\n"
        );
        for image in ["", "image: 'r.example/f@sha256:0', "] {
            let yaml = yaml.replace("listener: web", &format!("{image}listener: web"));
            let (text, documents) = written(&yaml, Form::newest(Host::EnvoyGateway));
            assert!(text.contains("route_config_name: default/eg/web"));
            let patches = patches(&documents, "EnvoyPatchPolicy", "/spec/jsonPatches");
            let inserted = patches.iter().filter(|patch| patch["name"] == listener);
            let paths = inserted.filter_map(|patch| patch["operation"]["jsonPath"].as_str());
            let paths: Vec<_> = paths.collect();
            assert!(paths.len() >= 3, "{paths:?}");
            for path in paths {
                let chain = r#"$.filter_chains[?(@.name=="default/eg/web")]..http_filters"#;
                assert!(path.starts_with(chain), "{path}");
            }
        }
    }
}

#[test]
fn envoy_gateway_fetches_an_image_for_listeners_that_become_ours() {
    let yaml = format!(
        "{INPUT}envoyGateway: {{ name: ours, port: 81, image: 'r.example/f@sha256:0', \
         pullSecret: s }}\n"
    );
    for (more, listener) in [
        ("", "default/eg/ours-drain"),
        (", xdsNames: v2", "tcp-10001"),
    ] {
        let yaml = yaml.replace(", pullSecret", &format!("{more}, pullSecret"));
        let (text, documents) = written(&yaml, Form::newest(Host::EnvoyGateway));
        assert!(!text.contains("filename: /etc/envoy/sluice.wasm"));
        assert_eq!(text.matches("url: \"r.example/f@sha256:0\"").count(), 2);
        assert_eq!(text.matches("pullSecretRef: { name: s }").count(), 2);
        let carried = documents
            .iter()
            .filter(|one| one["kind"] == "EnvoyExtensionPolicy");
        let carried: Vec<_> = carried.map(|one| &one["spec"]["targetRefs"]).collect();
        assert_eq!(carried[0][0]["sectionName"], "http");
        assert_eq!(carried[1].as_array().unwrap().len(), 4);
        let patches = patches(&documents, "EnvoyPatchPolicy", "/spec/jsonPatches");
        let of = |name: &str, op: &str| {
            let found = patches.iter().filter(|one| one["name"] == name);
            found.filter(|one| one["operation"]["op"] == op).count()
        };
        // All of it is one of ours then, with the code that came.
        assert_eq!((of(listener, "copy"), of(listener, "remove")), (1, 1));
        assert!(text.contains(
            &format!("server_listener_name: {}", listener.replace("drain", "dispatch")
            .replace("10001", "10003"))
        ));
    }
    // An Envoy without a way to explicit targets gets none.
    let old = Form {
        host: Host::EnvoyGateway,
        envoy: "1.38".parse().unwrap(),
    };
    let (text, _) = written(&yaml, old);
    assert!(!text.contains("egress"));
    // What another host has of the same input stays a file.
    let (text, _) = written(&yaml, Form::newest(Host::Istio));
    assert!(text.contains("filename: /etc/envoy/sluice.wasm") && !text.contains("r.example"));
}

#[test]
fn without_internal_listeners_a_secret_is_asked_for_and_never_written() {
    for host in Host::ALL.into_iter().filter(|host| *host != Host::EnvoyOci) {
        let yaml =
            format!("{INPUT}internalListeners: false\nloopback: {{ secretEnvironment: OURS }}\n");
        let (text, _) = written(&yaml, Form::newest(host));
        for internal in [
            "internal_listener",
            "internal_upstream",
            "envoy_internal_address",
        ] {
            assert!(!text.contains(internal), "{host}: {internal}");
        }
        // Added by the cluster, compared by the listener.
        assert_eq!(text.matches("%ENVIRONMENT(OURS)%").count(), 2, "{host}");
        assert_eq!(
            text.matches("sluice[-_]loopback").count(),
            1,
            "{host}: the edge strips it"
        );
        for port in [10_003, 10_004, 10_005] {
            let count = text.matches(&format!("port_value: {port}")).count();
            assert_eq!(count, 2, "{host}: {port}");
        }
        let pipes = yaml.replace("OURS", "OURS, pipes: /run/sluice");
        let (text, _) = written(&pipes, Form::newest(host));
        assert_eq!(text.matches("dispatch.sock").count(), 2, "{host}");
        assert_eq!(text.matches("mode: 384").count(), 3, "{host}");
    }
}

#[test]
fn values_stay_what_they_are() {
    let yaml = INPUT.replace("http://127.0.0.1:8080", "https://[::1]:8443")
        + "module: 'a: {b} # c'\ntrust: 'yes'\n";
    let (_, documents) = written(&yaml, Form::newest(Host::Envoy));
    let text = documents[0].to_string();
    assert!(text.contains(r#""filename":"a: {b} # c""#));
    assert!(text.contains(r#""filename":"yes""#));
    assert!(text.contains(r#""address":"::1","port_value":8443"#));
}

#[test]
fn the_plugins_see_the_variables_that_they_read() {
    let yaml = INPUT.replace(
        "streamId: a",
        "streamId: a, signing: { keyId: ST$token, privateKeyEnvironment: KEY }",
    ) + "targets: { allow: [{ host: a.example, secretsEnvironment: THEIRS }] }\n";
    let (text, _) = written(&yaml, Form::newest(Host::Istio));
    assert!(text.contains("host_env_keys: [SLUICE_CALLER_KEY, SLUICE_SEAL_KEYS, KEY]"));
    let drain = "host_env_keys: [SLUICE_WEBHOOK_SECRETS, SLUICE_SEAL_KEYS, KEY, THEIRS]";
    assert!(text.contains(drain));
}

#[test]
fn each_of_several_stream_servers_is_asked_whether_it_is_ready() {
    let several = "
function: http://127.0.0.1:8080
stream: { url: 'http://fronts:8090', authority: localhost, severalServers: true, streamId: a }
deadLetters: { streamId: b }
";
    let stream = |yaml| {
        let envoy = "1.40".parse().unwrap();
        let host = Host::Envoy;
        let (_, documents) = written(yaml, Form { host, envoy });
        let clusters = documents[0]["static_resources"]["clusters"].clone();
        let clusters = clusters.as_array().unwrap().clone();
        let stream = clusters.into_iter().find(|one| one["name"] == "stream");
        stream.unwrap()
    };
    let check = &stream(several)["health_checks"][0];
    let asked = json!({ "path": "/ready", "host": "localhost" });
    assert_eq!(check["http_health_check"], asked);
    assert_eq!(stream(INPUT)["health_checks"], Value::Null);
}
