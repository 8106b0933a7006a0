//! What Istio reads: our EnvoyFilter as `sluice render` writes it, beside the manifests in
//! `istio/manifests/`.

use std::fs;
use std::path::{Path, PathBuf};

use local_gateway::render::{egress, merge_patch};
use provision::Project;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

use super::programs::module;

/// What operators describe a gateway with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Istio's own `Gateway` and `VirtualService`.
    Istio,
    /// The Gateway API.
    GatewayApi,
}

impl Kind {
    /// The form in which istiod gets its objects.
    pub(super) const fn form(self) -> &'static str {
        match self {
            Self::Istio => "files",
            Self::GatewayApi => "objects",
        }
    }

    /// The labels of the gateway's pod.
    #[must_use]
    pub fn labels(self) -> Value {
        match self {
            Self::Istio => json!({ "istio": "ingressgateway" }),
            Self::GatewayApi => json!({
                "istio": "ingressgateway",
                "gateway.networking.k8s.io/gateway-name": "gw",
            }),
        }
    }

    /// The label by which our manifest chooses it.
    const fn label(self) -> &'static str {
        match self {
            Self::Istio => "istio=ingressgateway",
            Self::GatewayApi => "gateway.networking.k8s.io/gateway-name=gw",
        }
    }

    /// Folder and files of its manifests.
    const fn files(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Istio => ("istio", &["10-gateway.yaml"]),
            Self::GatewayApi => ("gateway-api", &["10-gateway.yaml", "15-cluster.yaml"]),
        }
    }
}

/// What the manifests of one set have of their own.
#[derive(Clone, Debug)]
pub struct Values {
    /// The gateway's port.
    pub gateway: u16,
    /// The stream server's.
    pub stream: u16,
    /// The drain's.
    pub drain: u16,
    /// The functions'.
    pub functions: [u16; 2],
    /// The filter.
    pub module: PathBuf,
    /// Envoy's version.
    pub envoy: String,
}

/// Writes all of them.
///
/// # Panics
/// When a file can't be written, or the input has a mistake.
pub fn write(folder: &Path, kind: Kind, values: &Values, input: &Value) {
    let (own, files) = kind.files();
    for file in files {
        put(folder, file, &filled(&format!("{own}/{file}"), values, ""));
    }
    for file in ["loopback.yaml", "functions.yaml", "forbidden.yaml"] {
        put(folder, file, &filled(file, values, ""));
    }
    write_routes(folder, kind, values, "function-a");
    put(folder, "40-sluice.yaml", &envoy_filter(kind, values, input));
}

/// Writes the routes anew.
///
/// # Panics
/// When the file can't be written.
pub fn write_routes(folder: &Path, kind: Kind, values: &Values, function: &str) {
    let (own, _) = kind.files();
    let text = filled(&format!("{own}/20-routes.yaml"), values, function);
    put(folder, "20-routes.yaml", &text);
}

/// What `sluice render --for istio` writes from `deploy/inputs/control-planes.yaml`, with this
/// set's ports. Explicit targets on this machine are allowed where the input has a rule for one.
///
/// # Panics
/// When the input has a mistake.
#[must_use]
pub fn envoy_filter(kind: Kind, values: &Values, more: &Value) -> String {
    let inputs = Project::here().root().join("deploy/inputs");
    let yaml = fs::read_to_string(inputs.join("control-planes.yaml")).unwrap();
    let mut input: Value = yaml_serde::from_str(&yaml).unwrap();
    merge_patch(
        &mut input,
        &json!({
            "module": values.module,
            "istio": { "namespace": "default", "labels": [kind.label()], "port": values.gateway },
            "stream": { "url": format!("http://127.0.0.1:{}", values.stream), "authority": null },
            "ports": { "drain": values.drain },
            // Quick where the defaults are patient.
            "group": { "timeoutMs": 1000 },
            "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 },
        }),
    );
    merge_patch(&mut input, more);
    let has_targets = input.pointer("/targets/allow/0").is_some();
    let (major, minor) = values.envoy.split_once('.').unwrap();
    let minor = minor.split('.').next().unwrap_or_default();
    let form = Form {
        host: Host::Istio,
        envoy: format!("{major}.{minor}").parse().unwrap(),
    };
    let input = Input::from_value(input, &inputs, form).unwrap();
    let text = render(&input, None, None).unwrap();
    if has_targets {
        with_loopback_targets(&text)
    } else {
        text
    }
}

/// Lets explicit targets be on 127.0.0.0/8: what an operator does by hand for a network of their
/// own.
fn with_loopback_targets(text: &str) -> String {
    let mut manifest: Value = yaml_serde::from_str(text).unwrap();
    let patches = manifest.pointer_mut("/spec/configPatches").unwrap();
    let patches = patches.as_array_mut().unwrap();
    let added = |kind: &str| {
        let of_kind = patches
            .iter()
            .filter(|patch| patch["applyTo"] == kind && patch["patch"]["operation"] == "ADD");
        let values = of_kind.map(|patch| patch["patch"]["value"].clone());
        values.collect::<Vec<_>>()
    };
    let mut config = json!({ "static_resources": {
        "listeners": added("LISTENER"), "clusters": added("CLUSTER") } });
    egress::allow_loopback(&mut config).unwrap();
    for (kind, list) in [("LISTENER", "listeners"), ("CLUSTER", "clusters")] {
        let mut changed = config["static_resources"][list].as_array().unwrap().iter();
        for patch in patches.iter_mut() {
            if patch["applyTo"] == kind && patch["patch"]["operation"] == "ADD" {
                patch["patch"]["value"] = changed.next().unwrap().clone();
            }
        }
    }
    manifest.to_string()
}

fn filled(file: &str, values: &Values, function: &str) -> String {
    let path = module(&Project::here()).join("manifests").join(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let [a, b] = values.functions;
    text.replace("$FUNCTION_A", &a.to_string())
        .replace("$FUNCTION_B", &b.to_string())
        .replace("$FUNCTION", function)
        .replace("$GATEWAY", &values.gateway.to_string())
}

/// In one step, so that nobody reads half of it.
fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, text).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}
