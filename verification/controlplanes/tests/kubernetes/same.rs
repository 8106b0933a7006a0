//! What the chart renders is, byte for byte, what `sluice render` writes, and so what the tests
//! with the control planes run.

use std::fs;

use controlplanes::istio::{self, Kind};
use controlplanes::kubernetes::chart;
use controlplanes::written::documents;
use local_gateway::render::merge_patch;
use provision::Project;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

use super::{at, programs};

/// Where the chart's stream server is, as gateways call it.
const STREAM: &str = "http://sluice-stream-server.demo.svc.cluster.local:8090";

/// What `sluice render` writes from one of the chart's inputs with these changes.
fn written(input: &str, host: Host, changes: &Value) -> String {
    let inputs = Project::here().root().join("deploy/inputs");
    let source = format!("deploy/inputs/{input}.yaml");
    let yaml = fs::read_to_string(Project::here().root().join(&source)).unwrap();
    let mut value: Value = yaml_serde::from_str(&yaml).unwrap();
    merge_patch(&mut value, &json!({ "stream": { "url": STREAM } }));
    merge_patch(&mut value, changes);
    let envoy = host.envoy_by_default();
    let input = Input::from_value(value, &inputs, Form { host, envoy }).unwrap();
    render(&input, Some(&source), None).unwrap()
}

/// The text that the chart gives Envoy.
fn of_envoy(rendered: &str) -> String {
    let map = chart::find(rendered, "ConfigMap", "sluice");
    at(&map, "/data/envoy.yaml").as_str().unwrap().to_owned()
}

#[test]
fn a_gateway_gets_what_sluice_render_writes() {
    let Some(programs) = programs() else { return };
    for url in [
        "http://orders.shop.svc.cluster.local:8080",
        "http://orders.shop.svc.cluster.local",
        "http://orders:9999",
    ] {
        let least = chart::values().remove("standalone").unwrap();
        let set = format!("function.url={url}");
        let arguments = ["--values", least.to_str().unwrap(), "--set", &set];
        let rendered = chart::template(&programs, &arguments).unwrap();
        let expected = written(
            "helm.standalone",
            Host::Compose,
            &json!({ "function": url }),
        );
        assert!(of_envoy(&rendered) == expected, "{url}");
    }
}

/// Envoy's configuration as Envoy understands it: with the plugins' settings, which are texts.
fn understood(text: &str) -> Value {
    let mut config: Value = yaml_serde::from_str(text).unwrap();
    read_texts(&mut config);
    config
}

fn read_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with('{') => {
            *value = serde_json::from_str(text).unwrap();
        }
        Value::Array(items) => items.iter_mut().for_each(read_texts),
        Value::Object(members) => members.values_mut().for_each(read_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// With Oracle's Streaming the values alone say what an input says. The lines aren't broken in the
/// same places.
#[test]
fn oracles_streaming_by_values_is_what_sluice_render_writes() {
    let Some(programs) = programs() else { return };
    for name in ["key", "instance", "workload"] {
        let input = format!("helm.oci-{name}");
        let values = match name {
            "key" => "standalone-oci".to_owned(),
            other => format!("standalone-oci-{other}"),
        };
        let values = &chart::values()[&values];
        let rendered = chart::with(&programs, values);
        let values: Value = yaml_serde::from_str(&fs::read_to_string(values).unwrap()).unwrap();
        let oci = at(&values, "/stream/oci");
        let changes = json!({
            "function": at(&values, "/function/url"),
            "stream": {
                "url": at(oci, "/endpoint"),
                "streamId": at(oci, "/calls"),
                "signing": at(oci, "/signing"),
            },
            "deadLetters": { "streamId": at(oci, "/deadLetters") },
            "lanes": oci.get("lanes").cloned().unwrap_or_else(|| json!([])),
        });
        let expected = written(&input, Host::Compose, &changes);
        assert_eq!(understood(&of_envoy(&rendered)), understood(&expected));
    }
}

/// The documents of a text that are for a control plane.
fn for_control_plane(text: &str) -> Vec<String> {
    let mut texts = chart::texts(text);
    texts.retain(|text| text.contains("kind: Envoy") || text.contains("kind: ClientTraffic"));
    texts
}

#[test]
fn a_control_plane_gets_what_sluice_render_writes() {
    let Some(programs) = programs() else { return };
    let gateway = json!({ "name": "sluice", "namespace": "edge", "gateway": "public",
        "listener": "web", "port": 8080 });
    let istio = json!({ "istio": { "name": "sluice", "namespace": "edge", "port": 8443,
        "labels": ["app=gateway", "istio=edge"], "routes": "https.443.https.edge.edge" } });
    for (name, input, host, changes) in [
        ("istio", "helm.control-planes", Host::Istio, istio),
        (
            "envoy-gateway",
            "helm.control-planes",
            Host::EnvoyGateway,
            json!({ "envoyGateway": gateway }),
        ),
        (
            "envoy-gateway-v2",
            "helm.control-planes.v2",
            Host::EnvoyGateway,
            json!({ "envoyGateway": gateway }),
        ),
    ] {
        let rendered = chart::with(&programs, &chart::values()[name]);
        let expected = for_control_plane(&written(input, host, &changes));
        assert!(!expected.is_empty());
        assert!(for_control_plane(&rendered) == expected, "{name}");
    }
}

/// With `config`, it is the very text: that which the tests with istiod run, and those that we ship
/// for Envoy Gateway.
#[test]
fn manifests_of_your_own_pass_as_they_are() {
    let Some(programs) = programs() else { return };
    let values = istio::manifests::Values {
        gateway: 10_000,
        stream: 10_001,
        drain: 10_002,
        functions: [10_003, 10_004],
        module: "/etc/envoy/sluice.wasm".into(),
        envoy: "1.39.3".into(),
        certificates: None,
    };
    let filter = istio::manifests::envoy_filter(Kind::Istio, &values, &json!({}));
    let deploy = Project::here().root().join("deploy/envoy-gateway");
    let shipped = |name: &str| fs::read_to_string(deploy.join(name)).unwrap();
    for (name, config) in [
        ("istio", filter),
        ("envoy-gateway", shipped("sluice.yaml")),
        ("envoy-gateway-v2", shipped("sluice.image.yaml")),
    ] {
        let base = fs::read_to_string(&chart::values()[name]).unwrap();
        let rendered = chart::with_text(&programs, name, &base, Some(&config)).unwrap();
        let expected = chart::texts(&config);
        let all = chart::texts(&rendered);
        for text in &expected {
            assert!(all.contains(text), "{name}: {text}");
        }
        assert!(documents(&config).len() <= expected.len());
    }
}
