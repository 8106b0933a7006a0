//! What a principal of OCI asks is written, where it can work, and nothing else leads to it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

/// The listener; its cluster has the same name.
const FILES: &str = "oci-files";

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a resource needs besides.
const RIGHT: &str = "
resourcePrincipal: { folder: /.oci-credentials }
loopback: { pipes: /run/sluice }
";

fn input(kind: &str, more: &str) -> String {
    format!(
        "
function: http://127.0.0.1:8080
stream:
  url: https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com
  streamId: a
  signing: {{ principal: {kind} }}
deadLetters: {{ streamId: b }}
{more}"
    )
}

fn read(yaml: &str, folder: &Path, form: Form) -> Result<Input, Vec<String>> {
    let input = Input::from_yaml(yaml, folder, form);
    input.map_err(|mistakes| mistakes.0.iter().map(ToString::to_string).collect())
}

fn written(yaml: &str, form: Form) -> (String, Vec<Value>) {
    let input = read(yaml, Path::new("tests"), form);
    let input = input.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let text = render(&input, Some("sluice.yaml"), None).unwrap();
    let documents = yaml_serde::Deserializer::from_str(&text);
    let documents = documents.map(|one| Value::deserialize(one).unwrap());
    let documents = documents.collect();
    (text, documents)
}

/// What has this name, wherever a host's words put it.
fn named<'a>(value: &'a Value, name: &str, member: &str, found: &mut Vec<&'a Value>) {
    let members = match value {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        Value::Object(members) => {
            if members.get("name").is_some_and(|own| own == name) && members.contains_key(member) {
                found.push(value);
            }
            members.values().collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for inner in members {
        named(inner, name, member, found);
    }
}

/// The one cluster of this name, or the one listener.
fn one(documents: &[Value], name: &str) -> Value {
    let member = if name == FILES {
        "filter_chains"
    } else {
        "load_assignment"
    };
    let mut found = Vec::new();
    for document in documents {
        named(document, name, member, &mut found);
    }
    assert_eq!(found.len(), 1, "{name}");
    found[0].clone()
}

fn count(text: &str, name: &str) -> usize {
    text.matches(name).count()
}

#[test]
fn an_instance_has_its_metadata_and_the_auth_service_of_its_region() {
    for host in Host::ALL {
        let (text, documents) = written(&input("instance", ""), Form::newest(host));
        let metadata = one(&documents, "oci-metadata").to_string();
        assert!(metadata.contains(r#"{"address":"169.254.169.254","port_value":80}"#));
        let auth = one(&documents, "oci-auth").to_string();
        let place = r#"{"address":"auth.eu-frankfurt-1.oraclecloud.com","port_value":443}"#;
        assert!(auth.contains(place), "{host}: {auth}");
        let name =
            r#"{"matcher":{"exact":"auth.eu-frankfurt-1.oraclecloud.com"},"san_type":"DNS"}"#;
        assert!(auth.contains(name), "{host}: {auth}");
        assert_eq!(count(&text, "oci-files"), 0, "{host}");
        assert_eq!(count(&text, "OCI_"), 0, "{host}: no variable is needed");
    }
    let stated = input("instance, authAuthority: '10.0.0.7:8443'", "");
    let (_, documents) = written(&stated, Form::newest(Host::Envoy));
    let auth = one(&documents, "oci-auth").to_string();
    assert!(auth.contains(r#"{"address":"10.0.0.7","port_value":8443}"#));
    assert!(auth.contains(r#"{"matcher":{"exact":"10.0.0.7"},"san_type":"IP_ADDRESS"}"#));
}

#[test]
fn a_workload_has_one_file_that_nobody_else_reaches() {
    let pipes = "loopback: { pipes: /run/sluice }\n";
    let image = format!("{pipes}envoyGateway: {{ image: 'r.example/f@sha256:0' }}\n");
    for host in Host::ALL {
        for (version, more) in [("1.37", pipes), ("1.40", pipes), ("1.40", &image)] {
            let envoy = version.parse().unwrap();
            let (text, documents) = written(&input("workload", more), Form { host, envoy });
            let listener = one(&documents, FILES);
            let pipe = json!({ "path": "/run/sluice/oci-files.sock", "mode": 384 });
            assert_eq!(
                listener["address"],
                json!({ "pipe": pipe }),
                "{host} {version}"
            );
            assert_eq!(count(&text, "/run/sluice/oci-files.sock"), 2);
            let manager = "/filter_chains/0/filters/0/typed_config";
            let manager = listener.pointer(manager).unwrap();
            let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
            let path = format!("{ACCOUNT}/token");
            let expected = json!([{
                "match": { "path": path },
                "direct_response": { "status": 200, "body": {
                    "filename": path, "watched_directory": { "path": ACCOUNT } } },
            }]);
            assert_eq!(routes, &expected, "{host} {version}");
            assert_eq!(manager["http_filters"].as_array().unwrap().len(), 1);
            let auth = one(&documents, "oci-auth").to_string();
            assert!(auth.contains(r#"{"address":"kubernetes.default.svc","port_value":12250}"#));
            assert!(auth.contains(&format!(r#""filename":"{ACCOUNT}/ca.crt""#)));
            assert_eq!(count(&text, "oci-metadata"), 0);
            let asks_for_token = text.contains("automountServiceAccountToken: true");
            assert_eq!(asks_for_token, host == Host::EnvoyGateway);
        }
    }
}

#[test]
fn files_are_at_a_socket_and_never_at_a_port() {
    for (kind, more) in [
        ("workload", ""),
        ("resource", "resourcePrincipal: { folder: /creds }\n"),
    ] {
        for internal in ["", "internalListeners: false\n"] {
            let at_ports = input(kind, &format!("{internal}{more}"));
            let found = refused(&at_ports, Host::Envoy, "1.40");
            assert_eq!(found.len(), 1, "{found:#?}");
            assert!(found[0].starts_with("$.loopback.pipes: is required for this principal"));
        }
    }
    let instance = input("instance", "internalListeners: false\n");
    assert!(read(&instance, Path::new("tests"), Form::newest(Host::Envoy)).is_ok());
}

#[test]
fn a_resource_needs_its_folder_and_an_envoy_that_serves_files() {
    let right = input("resource", RIGHT);
    for host in [Host::Envoy, Host::EnvoyOci, Host::Sidecar, Host::Compose] {
        for version in ["1.38", "1.39", "1.40"] {
            let envoy = version.parse().unwrap();
            let (text, documents) = written(&right, Form { host, envoy });
            let listener = one(&documents, FILES).to_string();
            for end in ["file_path_prefix", "request_path_prefix"] {
                let folder = format!(r#""{end}":"/.oci-credentials""#);
                assert!(listener.contains(&folder), "{listener}");
            }
            assert_eq!(count(&text, "oci-auth"), 0);
            let variables = "OCI_RESOURCE_PRINCIPAL_RPST, OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM]";
            assert_eq!(count(&text, &format!("SLUICE_SEAL_KEYS, {variables}")), 2);
        }
    }
}

fn refused(yaml: &str, host: Host, version: &str) -> Vec<String> {
    let envoy = version.parse().unwrap();
    read(yaml, Path::new("tests"), Form { host, envoy }).unwrap_err()
}

#[test]
fn what_a_principal_lacks_is_told_at_once_and_with_what_else_is_wrong() {
    let right = input("resource", RIGHT);
    for (yaml, host, version, starts) in [
        (
            &right,
            Host::Envoy,
            "1.37",
            &["$.stream.signing.principal: resource needs Envoy 1.38 or newer"][..],
        ),
        (
            &right,
            Host::Istio,
            "1.40",
            &["$.stream.signing.principal: resource is for what OCI runs itself"],
        ),
        // All of it at once, and with what else is wrong.
        (
            &input("resource", "functoin: x\n"),
            Host::EnvoyGateway,
            "1.40",
            &[
                "$.functoin: is no key here",
                "$.stream.signing.principal: resource is for",
                "$.resourcePrincipal.folder: is required for the principal resource",
                "$.loopback.pipes: is required for this principal",
            ],
        ),
        (
            &input(
                "workload",
                "resourcePrincipal: { folder: /x }\nloopback: { pipes: /x }\n",
            ),
            Host::Envoy,
            "1.40",
            &["$.resourcePrincipal.folder: means something with"],
        ),
        (
            &input("instance, filesCluster: mine", ""),
            Host::Envoy,
            "1.40",
            &["$.stream.signing.filesCluster: is no key here"],
        ),
    ] {
        let found = refused(yaml, host, version);
        for start in starts {
            let is_told = found.iter().any(|one| one.starts_with(start));
            assert!(is_told, "{start}\n{found:#?}");
        }
        assert_eq!(found.len(), starts.len(), "{found:#?}");
    }
    for folder in ["/", "oci", "/a/../b", "/a//b", "/a/", "'/a b'", "'/a\"b'"] {
        let yaml = input(
            "resource",
            &format!("{}\n", RIGHT.replace("/.oci-credentials", folder)),
        );
        let found = refused(&yaml, Host::Envoy, "1.40");
        assert!(
            found[0].starts_with("$.resourcePrincipal.folder: must be"),
            "{found:#?}"
        );
    }
}

#[test]
fn the_operators_own_words_do_not_lead_to_what_is_for_the_filter_alone() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("principals");
    fs::create_dir_all(&folder).unwrap();
    let said = |kind: &str, key: &str, words: &str| {
        fs::write(folder.join("own.yaml"), words).unwrap();
        let yaml = input(kind, &format!("gateway: {{ {key}: own.yaml }}\n"));
        let input = read(&yaml, &folder, Form::newest(Host::EnvoyOci)).unwrap();
        let text = render(&input, None, None);
        text.map(drop).map_err(|error| error.to_string())
    };
    let route = |action: &str| format!("- match: {{ prefix: / }}\n  route: {{ {action} }}\n");
    for (action, expected) in [
        ("cluster: oci-metadata", "the cluster oci-metadata"),
        ("cluster_header: x-cluster", "cluster_header lets whoever"),
        (
            "weighted_clusters: { clusters: [{ name: oci-auth, weight: 1 }] }",
            "the cluster oci-auth",
        ),
        (
            "cluster: function, request_mirror_policies: [{ cluster: oci-metadata }]",
            "the cluster oci-metadata",
        ),
    ] {
        let error = said("instance", "routes", &route(action)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(
        said("instance", "routes", &route("cluster: function")),
        Ok(())
    );
    // Where nothing is to be guarded, it is the operator's business.
    let signing = "ST$a.b.c";
    let keyed = |words: &str| {
        fs::write(folder.join("own.yaml"), words).unwrap();
        let yaml = input("x", "gateway: { routes: own.yaml }\n")
            .replace("principal: x", &format!("keyId: {signing}"));
        let input = read(&yaml, &folder, Form::newest(Host::EnvoyOci)).unwrap();
        render(&input, None, None).is_ok()
    };
    assert!(keyed(&route("cluster_header: x-cluster")));
    let cluster = "- name: oci-auth\n  connect_timeout: 1s\n";
    let error = said("instance", "clusters", cluster).unwrap_err();
    assert!(
        error.contains("two clusters with the name oci-auth"),
        "{error}"
    );
}
