//! The gateway's configuration for Oracle's service, against a stream server that verifies every
//! signature as Oracle does.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use local_gateway::render::{at, cluster, egress, merge_patch};
use local_gateway::{Builder, LocalSet};
use provision::Project;
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::tls::{Authority, Proxy};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// The Stream's host in the configuration for Oracle's service.
const HOST: &str = "cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com";

const KEY_ID: &str = "ocid1.tenancy.oc1..ours/ocid1.user.oc1..gateway/\
                      79:1e:d4:79:05:63:52:b2:30:b6:27:c4:ae:cc:70:7e";

fn key(name: &str) -> PathBuf {
    Project::here().root().join("tests/keys").join(name)
}

/// Returns a folder in which the stream server finds the public key, as the key of `key_id`.
fn key_folder(name: &str, key_id: &str) -> PathBuf {
    let folder = Project::here().target().join("test-keys").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(key("rsa-2048-public.pem"), folder.join("gateway.pub.pem")).unwrap();
    fs::write(folder.join("gateway.keyid"), key_id).unwrap();
    folder
}

/// Returns the configuration for Oracle's service, with the stream server in its place, without
/// TLS.
fn at_oracle(builder: Builder, keys: &Path) -> Builder {
    at_oracle_tls(builder, keys, &json!({})).edit(without_tls)
}

/// Returns the configuration for Oracle's service, with the stream server in its place and `more`
/// in both roles.
fn at_oracle_tls(builder: Builder, keys: &Path, more: &Value) -> Builder {
    at_oracle_in_roles(builder, keys, [more, more])
}

/// Returns the same with this for the accept role, and that for the drain.
fn at_oracle_in_roles(builder: Builder, keys: &Path, more: [&Value; 2]) -> Builder {
    let local = json!({
        "stream": { "streamId": "ocid1.stream.oc1.local.calls" },
        "lanes": [{ "streamId": "ocid1.stream.oc1.local.calls-5s", "delayMs": 5000 }],
    });
    let [accept, mut drain] = more.map(|more| {
        let mut settings = local.clone();
        merge_patch(&mut settings, more);
        settings
    });
    drain["deadLetters"] = json!({ "streamId": "ocid1.stream.oc1.local.calls-dead" });
    drain["attempt"] = json!({ "backoffBaseMs": 20, "backoffMaxMs": 200 });
    let private = fs::read_to_string(key("rsa-2048-pkcs8.pem")).unwrap();
    builder
        .configuration(&Project::here().root().join("envoy/gateway.oci.yaml"))
        .stream_server_arguments(["--auth".into(), "keys".into(), keys.as_os_str().to_owned()])
        .envoy_environment("OCI_PRIVATE_KEY", &private)
        .accept_patch(accept)
        .drain_patch(drain)
}

fn without_tls(config: &mut Value) -> anyhow::Result<()> {
    let stream = cluster(config, "stream")?;
    let members = stream.as_object_mut().context("a cluster is a mapping")?;
    members.remove("transport_socket");
    Ok(())
}

/// Returns the Stream behind TLS: at this port, with a certificate of this authority.
fn behind(
    authority: &Authority,
    port: u16,
    name: &str,
) -> impl FnOnce(&mut Value) -> anyhow::Result<()> + 'static {
    let file = authority_file(authority, name);
    move |config| {
        const ENDPOINT: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint";
        const VALIDATION: &str =
            "/transport_socket/typed_config/common_tls_context/validation_context";
        let stream = cluster(config, "stream")?;
        let endpoint = at(stream, ENDPOINT)?;
        *at(endpoint, "/address/socket_address/port_value")? = json!(port);
        let validation = at(stream, VALIDATION)?;
        *at(validation, "/trusted_ca/filename")? = json!(file);
        Ok(())
    }
}

fn authority_file(authority: &Authority, name: &str) -> PathBuf {
    let file = Project::here()
        .target()
        .join("test-keys")
        .join(format!("{name}.pem"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, authority.pem()).unwrap();
    file
}

/// Returns a gateway whose Stream is behind this proxy, and which trusts this authority.
fn gateway_through(proxy: &Proxy, trusted: &Authority, name: &str) -> Gateway {
    let keys = key_folder(name, KEY_ID);
    let gateway = Gateway::with(name, Target::start(), |builder| {
        at_oracle_tls(builder, &keys, &json!({})).edit(behind(trusted, proxy.port(), name))
    });
    proxy.leads_to(&format!("127.0.0.1:{}", gateway.set.ports().stream));
    gateway
}

/// Denies the filter Envoy's own arithmetic.
fn without_function(config: &mut Value) -> anyhow::Result<()> {
    let text = config.to_string();
    *config = serde_json::from_str(&text.replace("\"proxy_call_foreign_function\":{},", ""))?;
    Ok(())
}

fn calls_arrive(gateway: &Gateway) {
    let id = gateway.call("/signed");
    gateway.wait_for_call(&id);
    // What is moved to a lane and to the dead letters is signed too.
    let late = Request::new("POST", "/late").marked();
    let late = gateway.accept(&late.field("async-delay", "6s").body("x"));
    gateway.wait_for_call(&late);
    gateway.wait("everything is committed", || {
        gateway.metric("sluice_commits_total") > 1
    });
    assert_eq!(gateway.metric("sluice_stream_unauthenticated_total"), 0);
    assert_eq!(gateway.metric("sluice_stream_failures_total"), 0);
}

#[test]
fn a_server_that_verifies_takes_what_envoy_signs() {
    let keys = key_folder("envoys", KEY_ID);
    let change = |builder| at_oracle(builder, &keys);
    let gateway = Gateway::with("signed", Target::start(), change);
    calls_arrive(&gateway);
}

#[test]
fn a_server_that_verifies_takes_what_the_filter_signs_itself() {
    let keys = key_folder("own", KEY_ID);
    let change = |builder| at_oracle(builder, &keys).edit(without_function);
    let gateway = Gateway::with("signed-own", Target::start(), change);
    calls_arrive(&gateway);
}

/// Returns a key for each role, by the users of the keyId, with these rights.
fn keys_with_rights(name: &str, roles: &[(&str, &str)]) -> PathBuf {
    let folder = key_folder(name, KEY_ID);
    fs::write(folder.join("gateway.rights"), "manage").unwrap();
    for (role, rights) in roles {
        let key_id = KEY_ID.replace("gateway", role);
        fs::copy(
            key("rsa-2048-public.pem"),
            folder.join(format!("{role}.pub.pem")),
        )
        .unwrap();
        fs::write(folder.join(format!("{role}.keyid")), key_id).unwrap();
        fs::write(folder.join(format!("{role}.rights")), rights).unwrap();
    }
    folder
}

/// Returns the gateway with these users in its two roles.
fn in_roles(name: &str, keys: &Path, accept: &str, drain: &str) -> Gateway {
    let user = |role: &str| {
        json!({ "stream": { "signing": {
        "user": format!("ocid1.user.oc1..{role}") } } })
    };
    let (accept, drain) = (user(accept), user(drain));
    Gateway::with(name, Target::start(), |builder| {
        at_oracle_in_roles(builder, keys, [&accept, &drain]).edit(without_tls)
    })
}

#[test]
fn each_role_has_a_key_that_does_no_more_than_it_must() {
    let roles = [("accept", "publish"), ("drain", "consume publish")];
    let keys = keys_with_rights("rights", &roles);
    let gateway = in_roles("signed-rights", &keys, "accept", "drain");
    calls_arrive(&gateway);
}

#[test]
fn the_key_of_the_accept_role_reads_nothing() {
    let keys = keys_with_rights("rights-accept", &[("accept", "publish")]);
    let gateway = in_roles("signed-publish-only", &keys, "accept", "accept");
    gateway.call("/stored");
    gateway.wait("the log says what the key lacks", || {
        let log = fs::read_to_string(gateway.set.folder().join("envoy.log")).unwrap();
        log.contains("CreateGroupCursor failed: 404") && log.contains("lacks the right to consume")
    });
    assert_eq!(gateway.metric("sluice_delivered_total"), 0);
}

#[test]
fn the_stream_is_reached_over_tls_by_the_name_that_is_configured() {
    let authority = Authority::new();
    let proxy = authority.start_proxy(HOST);
    let gateway = gateway_through(&proxy, &authority, "signed-tls");
    calls_arrive(&gateway);
    let names = proxy.server_names();
    assert!(!names.is_empty());
    assert!(
        names.iter().all(|name| name.as_deref() == Some(HOST)),
        "{names:?}"
    );
}

#[test]
fn a_stream_that_cannot_prove_its_name_gets_nothing() {
    let (ours, another) = (Authority::new(), Authority::new());
    for (what, certified, trusted) in [
        (
            "signed-tls-name",
            ours.start_proxy("elsewhere.example"),
            &ours,
        ),
        ("signed-tls-authority", another.start_proxy(HOST), &ours),
    ] {
        let gateway = gateway_through(&certified, trusted, what);
        let refused = gateway.exchange(&Request::new("POST", "/x").marked().body("x"));
        assert_eq!(refused.status, 503, "{what}");
        assert_eq!(refused.json()["stored"], "no", "{what}");
        assert_eq!(gateway.metric("sluice_accepted_total"), 0, "{what}");
    }
}

/// The function is a stream server: it takes only what is signed as Oracle's functions want it.
#[test]
fn a_call_to_a_function_of_oracle_is_signed_and_others_are_not() {
    let authority = Authority::new();
    let proxy = authority.start_proxy("localhost");
    let file = authority_file(&authority, "signed-function");
    let rule = |path: &str, sign: &str| {
        json!({ "host": "localhost", "port": proxy.port(), "pathPrefix": path,
            "allowPrivate": true, "sign": sign })
    };
    let functions = "/20180418/streams/ocid1.stream.oc1.local.calls-5s";
    let others = "/20180418/streams/ocid1.stream.oc1.local.calls-dead";
    let targets = json!({ "targets": { "allow": [rule(functions, "oci"), rule(others, "none")] } });
    let keys = key_folder("function", KEY_ID);
    let gateway = Gateway::with("signed-function", Target::start(), |builder| {
        at_oracle_tls(builder, &keys, &targets)
            .edit(without_tls)
            .allow_private_egress()
            .edit(move |config| egress::trust(config, &file))
    });
    proxy.leads_to(&format!("127.0.0.1:{}", gateway.set.ports().stream));
    let invoke = |path: &str| {
        let url = format!("https://localhost:{}{path}/messages", proxy.port());
        let request = Request::new("POST", "/")
            .marked()
            .field("Async-Target", &url);
        let content = json!({ "messages": [{ "key": null, "value": "e30=" }] }).to_string();
        gateway.accept(
            &request
                .field("content-type", "application/json")
                .body(&content),
        );
    };
    invoke(functions);
    gateway.wait("the signed call is taken", || {
        gateway.metric("sluice_delivered_total") == 1
    });
    invoke(others);
    gateway.wait("the unsigned one is refused", || {
        gateway.metric("sluice_dead_lettered.reason=rejected;.total") == 1
    });
    assert_eq!(gateway.metric("sluice_delivered_total"), 1);
}

#[test]
fn whose_key_is_unknown_is_told_what_to_check() {
    let keys = key_folder(
        "unknown",
        "ocid1.tenancy.oc1..ours/ocid1.user.oc1..other/aa",
    );
    let change = |builder| at_oracle(builder, &keys);
    let gateway = Gateway::with("signed-unknown", Target::start(), change);
    let refused = gateway.exchange(&Request::new("POST", "/x").marked().body("x"));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["stored"], "no");
    gateway.wait("the log says what to check", || {
        let log = fs::read_to_string(gateway.set.folder().join("envoy.log")).unwrap();
        log.contains("CreateGroupCursor failed: 401") && log.contains("the API key 79:1e:d4")
    });
    assert!(gateway.metric("sluice_stream_unauthenticated_total") > 0);
}

#[test]
fn a_gateway_without_its_key_does_not_start() {
    for (variable, expected) in [
        (None, "the environment variable OCI_PRIVATE_KEY is not set"),
        (Some("ec-pkcs8.pem"), "a private key that is not of RSA"),
        (Some("rsa-2048-encrypted.pem"), "with a passphrase"),
        (Some("oci-published-1024.pem"), "an RSA key of 1024 bits"),
    ] {
        let file = Project::here().root().join("envoy/gateway.oci.yaml");
        let builder = LocalSet::builder().name("no-key").configuration(&file);
        let builder = match variable {
            Some(name) => {
                let pem = fs::read_to_string(key(name)).unwrap();
                builder.envoy_environment("OCI_PRIVATE_KEY", &pem)
            }
            None => builder,
        };
        let error = format!("{:#}", builder.start().unwrap_err());
        assert!(
            error.contains("$.stream.signing.privateKeyEnvironment"),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
    }
}
