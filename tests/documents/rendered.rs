//! What is written from the inputs in `deploy/inputs/`, and the schemas of documents.

use serde_json::Value;
use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::{Document, KeyDocumentation};
use sluice::drain::config::DrainConfig;
use sluice_render::schema::schema;
use sluice_render::{EnvoyVersion, Form, Host, Input, input, render};

use super::{file, read, settle};

/// An input, whom it is written for, the file that is written, and the name of the plugins'
/// settings in `filter-config/`.
const WRITTEN: [(&str, Host, &str, Option<&str>); 15] = [
    ("gateway", Host::Envoy, "envoy/gateway.yaml", Some("local")),
    (
        "gateway.jwt",
        Host::Envoy,
        "envoy/gateway.jwt.yaml",
        Some("jwt"),
    ),
    (
        "gateway.oci",
        Host::EnvoyOci,
        "envoy/gateway.oci.yaml",
        Some("oci"),
    ),
    (
        "sidecar",
        Host::Sidecar,
        "envoy/sidecar.yaml",
        Some("sidecar"),
    ),
    (
        "control-planes",
        Host::Istio,
        "deploy/istio/sluice.yaml",
        None,
    ),
    (
        "control-planes",
        Host::EnvoyGateway,
        "deploy/envoy-gateway/sluice.yaml",
        None,
    ),
    (
        "control-planes.v2",
        Host::EnvoyGateway,
        "deploy/envoy-gateway/sluice.v2.yaml",
        None,
    ),
    (
        "envoy-gateway.image",
        Host::EnvoyGateway,
        "deploy/envoy-gateway/sluice.image.yaml",
        None,
    ),
    (
        "helm.standalone",
        Host::Compose,
        "deploy/helm/sluice/files/standalone.yaml",
        None,
    ),
    (
        "helm.oci-key",
        Host::Compose,
        "deploy/helm/sluice/files/standalone.oci-key.yaml",
        None,
    ),
    (
        "helm.oci-instance",
        Host::Compose,
        "deploy/helm/sluice/files/standalone.oci-instance.yaml",
        None,
    ),
    (
        "helm.oci-workload",
        Host::Compose,
        "deploy/helm/sluice/files/standalone.oci-workload.yaml",
        None,
    ),
    (
        "helm.control-planes",
        Host::Istio,
        "deploy/helm/sluice/files/istio.yaml",
        None,
    ),
    (
        "helm.control-planes",
        Host::EnvoyGateway,
        "deploy/helm/sluice/files/envoy-gateway.v1.yaml",
        None,
    ),
    (
        "helm.control-planes.v2",
        Host::EnvoyGateway,
        "deploy/helm/sluice/files/envoy-gateway.v2.yaml",
        None,
    ),
];

fn input(name: &str, host: Host) -> (String, Input) {
    let source = format!("deploy/inputs/{name}.yaml");
    // The chart doesn't know which Envoy a control plane has.
    let envoy = match name.starts_with("helm.") {
        true => host.envoy_by_default(),
        false => EnvoyVersion::NEWEST,
    };
    let form = Form { host, envoy };
    let input = Input::from_yaml(&read(&source), &file("deploy/inputs"), form);
    let input = input.unwrap_or_else(|mistakes| panic!("{source} for {host}: {mistakes}"));
    (source, input)
}

#[test]
fn what_we_ship_is_written_from_the_inputs() {
    for (name, host, output, settings) in WRITTEN {
        let (source, input) = input(name, host);
        settle(
            output,
            &render(&input, Some(&source), Some(output)).unwrap(),
        );
        let Some(settings) = settings else {
            continue;
        };
        let plugins = input.plugins();
        let document = |role: &str, text: &str| {
            settle(&format!("filter-config/{role}.json"), &format!("{text}\n"));
        };
        document(&format!("accept.{settings}"), &plugins.accept);
        document(&format!("drain.{settings}"), &plugins.drain);
        document(&format!("answer.{settings}"), &plugins.answer);
        if host == Host::Sidecar {
            document(&format!("accept.{settings}.inbound"), &plugins.inbound);
        }
    }
}

#[test]
fn what_oci_allows_each_second_is_kept() {
    let drain: Value = serde_json::from_str(&read("filter-config/drain.oci.json")).unwrap();
    for key in ["minIntervalMs", "commitIntervalMs"] {
        let pace = drain["fetch"][key].as_u64().unwrap();
        assert!(pace > 200, "{key}: OCI takes 5 requests a second");
    }
}

#[test]
fn the_schemas_of_documents_say_what_the_code_says() {
    let own = |role: &str, keys: &[KeyDocumentation]| {
        let title = format!("Configuration of Sluice's {role} role");
        let comment = "Generated from src/config/: UPDATE_DOCUMENTS=1 cargo test --test documents";
        settle(
            &format!("filter-config/{role}.schema.json"),
            &schema(&title, comment, keys),
        );
    };
    own("accept", &AcceptConfig::keys());
    own("drain", &DrainConfig::keys());
    own("answer", &AnswerConfig::keys());
    settle("deploy/inputs/input.schema.json", &input::json_schema());
}
