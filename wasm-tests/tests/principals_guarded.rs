//! Nobody gets at what a principal asks: neither callers, nor services that lie.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::time::Duration;

use local_gateway::Builder;
use provision::dist::Variant;
use provision::{Programs, Project};
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use testkit::tls::{Authority, Proxy};
use wasm_tests::gateway::Gateway;
use wasm_tests::instance_network::{METADATA, is_inside, lead};
use wasm_tests::oci::Oci;
use wasm_tests::oci_envoy::{AUTH_HOST, lead_auth, lead_metadata, lead_stream, rendered};
use wasm_tests::target::Target;

/// An instance's services, and its gateway as `sluice render` writes it.
struct Instance {
    gateway: Gateway,
    oci: Oci,
    _auth: Proxy,
}

/// Starts it with this change of the input. `redirected`: whether the metadata service is led to
/// what stands in for it, or is at its own address.
fn instance(name: &str, change: &Value, is_redirected: bool, hostile: Option<Answer>) -> Instance {
    let stream = local_gateway::ports::free().unwrap();
    let oci = Oci::start(stream, Duration::from_secs(3_600));
    oci.known().hostile = hostile;
    let authority = Authority::new();
    let auth = authority.start_proxy(AUTH_HOST);
    auth.leads_to(&format!("127.0.0.1:{}", oci.auth.port()));
    let folder = Project::here().target().join("test-keys").join(name);
    let programs = Programs::for_tests(&Project::here(), Variant::Shipped).unwrap();
    let file = rendered("instance", &folder, programs.envoy_version, change);
    let file = file.unwrap_or_else(|error| panic!("{error:#}"));
    let trusted = folder.join("authority.pem");
    fs::write(&trusted, authority.pem()).unwrap();
    let [metadata, auth_port, gate] = [oci.metadata.port(), auth.port(), oci.gate.port()];
    let gateway = Gateway::with(name, Target::start(), |builder: Builder| {
        let builder = builder.configuration(&file).stream_port(stream);
        let builder = builder.drain_patch(json!({})).unfiltered_targets();
        builder.edit(move |config| {
            lead_stream(config, gate)?;
            if is_redirected {
                lead_metadata(config, metadata)?;
            }
            lead_auth(config, auth_port, &trusted)
        })
    });
    Instance {
        gateway,
        oci,
        _auth: auth,
    }
}

fn wait_for_tokens(gateway: &Gateway) {
    gateway.wait("both roles have a token", || {
        gateway.metric("sluice_principal_tokens_total") >= 2
    });
    let request = Request::new("POST", "/warm").marked().body("");
    gateway.wait("a call is accepted", || {
        gateway.exchange(&request).status == 202
    });
}

fn denied(gateway: &Gateway) -> u64 {
    let stats = gateway.set.admin_stats().unwrap();
    let denied = stats.get("http.egress-http.rbac.denied");
    denied.copied().unwrap_or_default()
}

/// The service's address in other words.
const SPELLINGS: [&str; 14] = [
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.169.254:80",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:c1::a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "oci-metadata",
    "oci-auth",
    "sluice-files",
];

#[test]
fn callers_do_not_reach_the_metadata_service() {
    let hosts = format!("127.0.0.1 localhost\n{METADATA} metadata.example\n");
    if !is_inside("callers_do_not_reach_the_metadata_service", &hosts) {
        return;
    }
    // Rules of somebody who has thought of nothing.
    let rules = json!([
        { "scheme": "http", "host": METADATA, "allowPrivate": true },
        { "scheme": "http", "host": "*" },
    ]);
    let change = json!({
        "targets": { "allow": rules }, "replies": { "allow": rules },
        "explicitTargets": { "withoutAddressFilter": true },
    });
    let Instance {
        gateway,
        oci,
        _auth,
    } = instance("guarded", &change, false, None);
    lead(oci.metadata.port());
    // The filter reaches it, at the address that was written.
    wait_for_tokens(&gateway);
    gateway.wait_until_settled();
    let asked = oci.known().metadata;
    assert_eq!(asked, 6, "three files for each role");

    let file = "/opc/v2/identity/key.pem";
    let call = |option: &str, url: &str| {
        let request = Request::new("GET", "/x").field("Authorization", "Bearer Oracle");
        let request = request.field("Async-Retries", "0").field(option, url);
        gateway.exchange(&request.marked().body("")).status
    };
    let mut accepted = 0;
    for option in ["Async-Target", "Async-Reply-To"] {
        for host in SPELLINGS {
            let status = call(option, &format!("http://{host}{file}"));
            let is_named = host.starts_with("169.254.169.254");
            accepted += u64::from(status == 202);
            assert!(status != 202 || is_named, "{option}: {host}: {status}");
        }
        // What it resolves to is for Envoy to see.
        assert_eq!(call(option, &format!("http://metadata.example{file}")), 202);
        accepted += 1;
    }
    // Requests that name it go to the function as all do.
    let before = gateway.target.count();
    for host in [METADATA, "oci-metadata", "oci-auth", "169.254.169.254:80"] {
        let request = Request::without_host("GET", file).field("Host", host);
        let request = request
            .field("Authorization", "Bearer Oracle")
            .field("x-envoy-original-dst-host", "169.254.169.254:80")
            .field("x-envoy-upstream-alt-stat-name", "oci-metadata");
        assert_eq!(gateway.exchange(&request).status, 200);
        accepted += u64::from(gateway.exchange(&request.marked().body("")).status == 202);
    }
    gateway.wait("the calls to the function arrive", || {
        gateway.target.count() >= before + 8
    });
    gateway.wait("Envoy has denied what was accepted", || {
        denied(&gateway) >= accepted - 4
    });
    gateway.wait_until_settled();
    assert_eq!(oci.known().metadata, asked);
    assert_eq!(oci.known().refused, Vec::<String>::new());
}

#[test]
fn services_that_lie_get_nothing_and_break_nothing() {
    let elsewhere = Target::start();
    let redirect = format!("http://127.0.0.1:{}/stolen", elsewhere.port());
    let redirect = Answer::status(302).with("Location", &redirect);
    let hostile = Some(redirect);
    let Instance {
        gateway,
        oci,
        _auth,
    } = instance("hostile", &json!({}), true, hostile);
    let log = || fs::read_to_string(gateway.set.folder().join("envoy.log")).unwrap();
    let said = |why: &str| gateway.wait(why, || log().contains(why));
    said("asked for cert.pem, answered 302");
    let large = |bytes: usize| Answer::Reply {
        status: 200,
        fields: Vec::new(),
        body: vec![b'x'; bytes],
    };
    oci.known().hostile = Some(large(1_000_000));
    said("answered with 1000000 bytes, which are too many");
    oci.known().hostile = None;
    // A token that would end its line and begin another field.
    let token = "eyJhIjoxfQ.eyJleHAiOjI1MDAwMDAwMDB9.c2ln\r\nx-evil: 1";
    oci.set_trouble(Some((200, json!({ "token": token }))));
    said("the token has characters that no token has");
    let refused = gateway.exchange(&Request::new("POST", "/x").marked().body("x"));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["stored"], "no");
    oci.set_trouble(None);
    wait_for_tokens(&gateway);
    assert_eq!(elsewhere.count(), 0, "redirects are not followed");
    assert_eq!(gateway.reloads(), 0, "nothing has trapped");
    assert_eq!(oci.known().refused, Vec::<String>::new());
    let log = log();
    for secret in ["PRIVATE KEY", "x-evil", "eyJ"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
