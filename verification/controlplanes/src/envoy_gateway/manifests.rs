//! The resources that Envoy Gateway reads.

use std::fs;
use std::path::{Path, PathBuf};

use local_gateway::render::{egress, merge_patch};
use provision::Project;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

use crate::built::ENVOY_GATEWAY;
use crate::https::{NAME, OTHER};
use crate::written::documents;

/// How Envoy Gateway names what it tells Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xds {
    /// After the Gateway: the default up to 1.9.
    V1,
    /// After protocol and port (`XDSNameSchemeV2`): the default from 1.10.
    V2,
}

impl Xds {
    /// The word for it in the input of `sluice render`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// How the filter comes to Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Module {
    /// As a file beside it.
    Mounted(PathBuf),
    /// As an image of a registry, which Envoy Gateway fetches and serves.
    Image {
        /// Its name, with the registry.
        reference: String,
        /// Ports of the Gateway's listeners that become dispatch, egress-https and egress-http.
        ports: [u16; 3],
    },
}

/// What a set's resources differ in.
#[derive(Clone, Debug)]
pub struct Values {
    /// The Gateway's port.
    pub gateway: u16,
    /// The stream server's.
    pub stream: u16,
    /// The drain's listener.
    pub drain: u16,
    /// Those of the two functions.
    pub functions: [u16; 2],
    /// Where the functions are, as Envoy Gateway is told.
    pub address: &'static str,
    /// The filter.
    pub module: Module,
    /// Envoy's version.
    pub envoy: String,
    /// How Envoy Gateway names things.
    pub xds: Xds,
    /// The certificates of its listener, and of another at the same port, if they are HTTPS ones.
    pub certificates: Option<[Value; 2]>,
    /// Merged into the input of `sluice render` (RFC 7396).
    pub input: Value,
}

/// Everything: the Gateway, its routes, and what `sluice render --for envoy-gateway` writes.
///
/// # Panics
/// When the input has a mistake.
#[must_use]
pub fn all(values: &Values, function: &str) -> Vec<Value> {
    let mut resources = ours(values);
    for file in ["10-gateway.yaml", "20-routes.yaml", "30-policies.yaml"] {
        let path = ENVOY_GATEWAY.folder().join("manifests").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let [a, b] = values.functions;
        let text = text
            .replace("$FUNCTION_A", &a.to_string())
            .replace("$FUNCTION_B", &b.to_string())
            .replace("$FUNCTION", function)
            .replace("$ADDRESS", values.address)
            .replace("$GATEWAY", &values.gateway.to_string());
        resources.extend(documents(&text));
    }
    let listeners = find(&mut resources, "Gateway").pointer_mut("/spec/listeners");
    let listeners = listeners.unwrap().as_array_mut().unwrap();
    if let Some(certificates) = &values.certificates {
        let https = |name: &str, host: &str| {
            json!({ "name": name, "hostname": host, "protocol": "HTTPS", "port": values.gateway,
                "tls": { "certificateRefs": [{ "name": host }] } })
        };
        *listeners = vec![https("listener", NAME), https("other", OTHER)];
        resources.extend(certificates.clone());
    }
    if let Module::Image { ports, .. } = &values.module {
        let listeners = find(&mut resources, "Gateway").pointer_mut("/spec/listeners");
        let listeners = listeners.unwrap().as_array_mut().unwrap();
        let names = ["dispatch", "egress-https", "egress-http", "drain"];
        for (name, port) in names.into_iter().zip(ports.iter().chain([&values.drain])) {
            listeners.push(
                json!({ "name": format!("sluice-{name}"), "protocol": "HTTP", "port": port,
                "allowedRoutes": {
                    "kinds": [{ "kind": "GRPCRoute" }], "namespaces": { "from": "Same" } } }),
            );
        }
    }
    resources
}

/// What `sluice render --for envoy-gateway` writes from `deploy/inputs/control-planes.yaml`, with
/// this set's ports. Explicit targets on this machine are allowed where the input has a rule.
fn ours(values: &Values) -> Vec<Value> {
    let inputs = Project::here().root().join("deploy/inputs");
    let yaml = fs::read_to_string(inputs.join("control-planes.yaml")).unwrap();
    let mut input: Value = yaml_serde::from_str(&yaml).unwrap();
    merge_patch(
        &mut input,
        &json!({
            "envoyGateway": { "namespace": "default", "gateway": "eg", "listener": "listener",
                "protocol": if values.certificates.is_some() { "HTTPS" } else { "HTTP" },
                "port": values.gateway, "xdsNames": values.xds.word() },
            "stream": { "url": format!("http://127.0.0.1:{}", values.stream), "authority": null },
            "ports": { "drain": values.drain },
            // Quick where the defaults are patient.
            "group": { "timeoutMs": 1000 },
            "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 },
        }),
    );
    let module = match &values.module {
        Module::Mounted(file) => json!({ "module": file }),
        Module::Image { reference, ports } => json!({
            "module": null,
            "envoyGateway": { "image": reference },
            "loopback": { "dispatchPort": ports[0], "httpsPort": ports[1], "httpPort": ports[2] },
        }),
    };
    merge_patch(&mut input, &module);
    if values.certificates.is_some() {
        merge_patch(
            &mut input,
            &json!({ "dispatch": { "replyAuthority": NAME } }),
        );
    }
    merge_patch(&mut input, &values.input);
    let has_targets = input.pointer("/targets/allow/0").is_some();
    let form = Form {
        host: Host::EnvoyGateway,
        envoy: values.envoy.parse().unwrap(),
    };
    let input = Input::from_value(input, &inputs, form).unwrap();
    let mut documents = documents(&render(&input, None, None).unwrap());
    if has_targets {
        with_loopback_targets(&mut documents);
    }
    documents
}

/// The documents as one file.
#[must_use]
pub fn text(documents: &[Value]) -> String {
    let mut text = String::new();
    for document in documents {
        // JSON is YAML.
        text.push_str(&format!("---\n{document:#}\n"));
    }
    text
}

/// The resource of this kind.
///
/// # Panics
/// When there is none.
pub fn find<'a>(documents: &'a mut [Value], kind: &str) -> &'a mut Value {
    let mut of_kind = documents.iter_mut().filter(|one| one["kind"] == kind);
    of_kind
        .next()
        .unwrap_or_else(|| panic!("there is no {kind}"))
}

/// Writes a file in one step, so that nobody reads half of it.
///
/// # Panics
/// When it can't be written.
pub fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

/// Lets explicit targets be on 127.0.0.0/8: what an operator does by hand for a network of their
/// own.
fn with_loopback_targets(documents: &mut [Value]) {
    let patches = find(documents, "EnvoyPatchPolicy");
    let patches = patches.pointer_mut("/spec/jsonPatches").unwrap();
    let patches = patches.as_array_mut().unwrap();
    let kinds = [(".Listener", "listeners"), (".Cluster", "clusters")];
    let ours = |kind: &str| {
        let of_kind = patches.iter().filter(|patch| is_ours(patch, kind));
        of_kind.map(as_resource).collect::<Vec<_>>()
    };
    let mut config = json!({ "static_resources": {
        kinds[0].1: ours(kinds[0].0), kinds[1].1: ours(kinds[1].0) } });
    egress::allow_loopback(&mut config).unwrap();
    for (kind, list) in kinds {
        let mut changed = config["static_resources"][list].as_array().unwrap().iter();
        for patch in patches.iter_mut().filter(|patch| is_ours(patch, kind)) {
            let changed = changed.next().unwrap();
            let path = patch["operation"]["path"].as_str().unwrap().to_owned();
            patch["operation"]["value"] = changed.pointer(&path).unwrap().clone();
        }
    }
}

/// Returns whether a patch brings a whole resource of this kind, or all that a listener does.
fn is_ours(patch: &Value, kind: &str) -> bool {
    let of_kind = patch["type"].as_str().unwrap().ends_with(kind);
    let path = &patch["operation"]["path"];
    of_kind && (path == "" || path == "/filter_chains")
}

/// The resource that a patch brings, as far as it does, by the name that it has with us.
fn as_resource(patch: &Value) -> Value {
    let (name, value) = (&patch["name"], patch["operation"]["value"].clone());
    if patch["operation"]["path"] == "" {
        return value;
    }
    let prefix = value.pointer("/0/filters/0/typed_config/stat_prefix");
    json!({ "name": prefix.unwrap_or(name), "filter_chains": value })
}
