//! Every manifest for a control plane, as files to be judged: what is shipped, and what
//! `sluice render` writes for inputs that ask for something else.

use std::fs;
use std::path::{Path, PathBuf};

use local_gateway::render::merge_patch;
use provision::Project;
use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

/// What inputs ask for beside `deploy/inputs/control-planes.yaml`.
fn wishes() -> Vec<(&'static str, Value)> {
    let fingerprint = ["00"; 16].join(":");
    let key = format!("ocid1.tenancy.oc1..a/ocid1.user.oc1..b/{fingerprint}");
    let image = "registry.example/sluice-filter@sha256:0";
    vec![
        ("plain", json!({})),
        (
            "targets",
            json!({ "targets": { "allow": [{ "host": "hooks.example.com" }] },
                "explicitTargets": { "withoutAddressFilter": true } }),
        ),
        ("ports", json!({ "internalListeners": false })),
        (
            "pipes",
            json!({ "internalListeners": false, "loopback": { "pipes": "/run/sluice" } }),
        ),
        (
            "https",
            json!({ "istio": { "routes": "https.443.https.gateway.default" },
                "envoyGateway": { "protocol": "HTTPS", "xdsNames": "v2" } }),
        ),
        ("inbound", json!({ "istio": { "context": "inbound" } })),
        ("outbound", json!({ "istio": { "context": "outbound" } })),
        ("sni", json!({ "istio": { "sni": "api.example" } })),
        (
            "image",
            json!({ "envoyGateway": { "image": image, "pullSecret": "registry" } }),
        ),
        (
            "image-https",
            json!({ "envoyGateway": { "image": image, "protocol": "HTTPS", "xdsNames": "v2" } }),
        ),
        (
            "signed",
            json!({ "stream": { "url": "https://cell-1.streaming.example",
                "signing": { "keyId": key } } }),
        ),
    ]
}

/// Returns the files: those in the folder `shipped` of the project, and those that are written for
/// this host into a folder of the tests.
///
/// # Panics
/// When an input has a mistake or a file can't be written.
#[must_use]
pub fn files(host: Host, shipped: &str) -> Vec<PathBuf> {
    let project = Project::here();
    let listed = fs::read_dir(project.root().join(shipped)).unwrap();
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    let inputs = project.root().join("deploy/inputs");
    let yaml = fs::read_to_string(inputs.join("control-planes.yaml")).unwrap();
    let folder = project.target().join(format!("written-for-{host}"));
    fs::create_dir_all(&folder).unwrap();
    for envoy in ["1.37", "1.40"] {
        let envoy = envoy.parse().unwrap();
        for (name, wish) in wishes() {
            let mut input: Value = yaml_serde::from_str(&yaml).unwrap();
            merge_patch(&mut input, &wish);
            let input = Input::from_value(input, &inputs, Form { host, envoy });
            let input = input.unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
            let file = folder.join(format!("{name}.{envoy}.yaml"));
            fs::write(&file, render(&input, None, None).unwrap()).unwrap();
            files.push(file);
        }
    }
    files
}

/// Returns the documents of a text, as Kubernetes reads them.
///
/// # Panics
/// When it is no YAML.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    yaml_serde::Deserializer::from_str(text)
        .map(|one| Value::deserialize(one).unwrap())
        .filter(|one| !one.is_null())
        .collect()
}

/// Returns the documents of a file.
///
/// # Panics
/// When it can't be read or is no YAML.
#[must_use]
pub fn documents_of(file: &Path) -> Vec<Value> {
    documents(&fs::read_to_string(file).unwrap())
}
