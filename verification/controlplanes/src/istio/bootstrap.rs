//! With what Envoy starts, before istiod tells it the rest.

use std::path::Path;
use std::process::Command;

use provision::command::capture;
use serde_json::{Value, json};

use super::manifests::Kind;
use super::programs::Programs;

/// Who Envoy is for istiod: kind, address, pod and domain. The address is no function's, or the
/// gateway would get the ports of that service.
const fn node(kind: Kind) -> &'static str {
    match kind {
        Kind::Istio | Kind::GatewayApi => "router~127.0.0.2~gw.default~default.svc.cluster.local",
        Kind::Inbound | Kind::Outbound => "sidecar~127.0.0.2~gw.default~default.svc.cluster.local",
    }
}

/// With what Envoy starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// The least that istiod asks for.
    Plain,
    /// What Istio's agent writes in each of Istio's pods.
    Istio,
}

impl Bootstrap {
    /// The configuration.
    pub(super) fn of(
        self,
        programs: &Programs,
        kind: Kind,
        work: &Path,
        admin: u16,
        xds: u16,
    ) -> Value {
        match self {
            Self::Plain => plain(kind, admin, xds),
            Self::Istio => istio(programs, kind, work, admin, xds),
        }
    }
}

fn plain(kind: Kind, admin: u16, xds: u16) -> Value {
    let internal = "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3";
    let http = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let ads = json!({ "ads": {}, "resource_api_version": "V3" });
    json!({
        "node": {
            "id": node(kind),
            "cluster": "gw.default",
            "metadata": {
                "NAMESPACE": "default",
                "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.31.0",
                "LABELS": kind.labels(),
                "INTERCEPTION_MODE": "NONE",
            },
        },
        "admin": { "address": socket(admin) },
        "stats_flush_interval": "1s",
        "stats_config": { "stats_tags": [
            { "tag_name": "reason", "regex": "(reason=\\.=(.*?);\\.;)" }] },
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": { "@type": format!("{internal}.InternalListener") },
        }],
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds-grpc" } }],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": { "clusters": [{
            "name": "xds-grpc",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": http,
                    "explicit_http_config": { "http2_protocol_options": {} },
                },
            },
            "load_assignment": { "cluster_name": "xds-grpc", "endpoints": [
                { "lb_endpoints": [{ "endpoint": { "address": socket(xds) } }] }] },
        }] },
    })
}

/// Istio's own, which is on loopback alone and reaches istiod without the agent's socket.
fn istio(programs: &Programs, kind: Kind, work: &Path, admin: u16, xds: u16) -> Value {
    let template = "tools/packaging/common/envoy_bootstrap.json";
    let mut command = Command::new(&programs.bootstrap);
    command
        .arg(programs.source.join(template))
        .args([node(kind), &admin.to_string(), "reason"])
        .current_dir(work)
        .env("ISTIO_METAJSON_LABELS", kind.labels().to_string())
        .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
        .env("POD_NAMESPACE", "default");
    let text = capture(&mut command).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    // Otherwise what tests look at is five seconds old.
    config["stats_flush_interval"] = json!("1s");
    // What belongs to the agent: its ports for Prometheus and probes.
    let resources = &mut config["static_resources"];
    resources["listeners"] = json!([]);
    for cluster in resources["clusters"].as_array_mut().unwrap() {
        if cluster["name"] == "xds-grpc" {
            let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
            *cluster.pointer_mut(endpoint).unwrap() = socket(xds);
        }
    }
    config
}

fn socket(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}
