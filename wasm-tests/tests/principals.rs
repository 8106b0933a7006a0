//! A gateway that signs as a principal of OCI, before services that verify as Oracle's do.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use local_gateway::Builder;
use provision::dist::Variant;
use provision::envoy::Version;
use provision::{Programs, Project};
use serde_json::{Value, json};
use sluice::stream::signing::{KEY_BITS_MIN, PrivateKey};
use testkit::http1::Request;
use testkit::tls::{Authority, Proxy};
use wasm_tests::gateway::Gateway;
use wasm_tests::load::Load;
use wasm_tests::oci::{ACCOUNT_TOKEN, Oci, key_file};
use wasm_tests::oci_envoy::{
    AUTH_HOST, WORKLOAD_HOST, lead_account, lead_auth, lead_metadata, lead_stream, rendered,
    sockets,
};
use wasm_tests::target::Target;

/// What a gateway at Oracle has around it.
struct Around {
    oci: Oci,
    authority: Authority,
    auth: Proxy,
    stream: u16,
}

impl Around {
    fn start(lifetime: Duration, auth_host: &str) -> Self {
        let stream = local_gateway::ports::free().unwrap();
        let oci = Oci::start(stream, lifetime);
        let authority = Authority::new();
        let auth = authority.start_proxy(auth_host);
        auth.leads_to(&format!("127.0.0.1:{}", oci.auth.port()));
        Self {
            oci,
            authority,
            auth,
            stream,
        }
    }

    /// The gateway that `sluice render` writes for this input, with these services in the place of
    /// Oracle's.
    fn gateway(
        &self,
        name: &str,
        input: &str,
        change: &Value,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Gateway {
        let folder = Project::here().target().join("test-keys").join(name);
        let file = rendered(input, &folder, version(), change);
        let file = file.unwrap_or_else(|error| panic!("{error:#}"));
        let trusted = folder.join("authority.pem");
        fs::write(&trusted, self.authority.pem()).unwrap();
        let [metadata, auth, gate] = [
            self.oci.metadata.port(),
            self.auth.port(),
            self.oci.gate.port(),
        ];
        let kind = input.to_owned();
        Gateway::with(name, Target::start(), |builder| {
            // What tests need is in the input.
            let builder = builder.configuration(&file).drain_patch(json!({}));
            let builder = builder.stream_port(self.stream).edit(move |config| {
                lead_stream(config, gate)?;
                if kind == "instance" {
                    lead_metadata(config, metadata)?;
                }
                if kind != "resource" {
                    lead_auth(config, auth, &trusted)?;
                }
                Ok(())
            });
            more(builder)
        })
    }
}

fn version() -> Version {
    let programs = Programs::for_tests(&Project::here(), Variant::Shipped);
    programs.unwrap().envoy_version
}

fn log(gateway: &Gateway) -> String {
    fs::read_to_string(gateway.set.folder().join("envoy.log")).unwrap()
}

fn tokens(gateway: &Gateway) -> u64 {
    gateway.metric("sluice_principal_tokens_total")
}

/// Waits until both roles have a token: before, requests get 503.
fn wait_for_tokens(gateway: &Gateway) {
    gateway.wait("both roles have a token", || tokens(gateway) >= 2);
}

/// Waits until every worker has the token: connections are spread over them.
fn wait_for_workers(gateway: &Gateway) {
    let request = Request::new("POST", "/warm").marked().body("");
    gateway.wait("all workers have a token", || {
        (0..32).all(|_| gateway.exchange(&request).status == 202)
    });
}

/// Has a call accepted, however long the token takes to come to every worker.
fn call(gateway: &Gateway, path: &str) -> String {
    let mut id = String::new();
    let request = Request::new("POST", path).marked().body("");
    gateway.wait("a call is accepted", || {
        let answer = gateway.exchange(&request);
        id = answer.message.text("async-call-id");
        answer.status == 202
    });
    id
}

/// Nothing that is secret has come into the log.
fn nothing_is_told(gateway: &Gateway, oci: &Oci) {
    let log = log(gateway);
    for token in oci.known().used.keys() {
        assert!(!log.contains(token.as_str()), "a token is in the log");
    }
    assert!(!log.contains("PRIVATE KEY"), "a key is in the log");
}

#[test]
fn an_instance_signs_by_a_token_that_its_certificate_brings() {
    let around = Around::start(Duration::from_secs(3_600), AUTH_HOST);
    let gateway = around.gateway("principal-instance", "instance", &json!({}), |builder| {
        builder.concurrency(2)
    });
    wait_for_tokens(&gateway);
    let id = call(&gateway, "/as-instance");
    gateway.wait_for_call(&id);
    wait_for_workers(&gateway);
    let late = Request::new("POST", "/late")
        .marked()
        .field("async-delay", "6s");
    let late = gateway.accept(&late.body("x"));
    gateway.wait_for_call(&late);
    gateway.wait_until_settled();
    let known = around.oci.known();
    assert_eq!(known.refused, Vec::<String>::new());
    // One worker of each role has asked for all.
    assert_eq!((known.issued(), known.used.len()), (2, 2));
    assert_eq!(known.metadata, 6);
    drop(known);
    assert_eq!(tokens(&gateway), 2);
    assert_eq!(gateway.metric("sluice_principal_failures_total"), 0);
    assert_eq!(gateway.metric("sluice_stream_unauthenticated_total"), 0);
    assert!(
        around
            .auth
            .server_names()
            .iter()
            .all(|name| name.as_deref() == Some(AUTH_HOST))
    );
    nothing_is_told(&gateway, &around.oci);
}

#[test]
fn tokens_are_renewed_under_load_and_no_call_is_lost() {
    let around = Around::start(Duration::from_secs(12), AUTH_HOST);
    let gateway = around.gateway("principal-renewed", "instance", &json!({}), |builder| {
        builder.concurrency(2)
    });
    wait_for_tokens(&gateway);
    wait_for_workers(&gateway);
    let load = Load::start(gateway.port(), 4);
    gateway.wait("three tokens of each role were used", || {
        around.oci.known().used.len() >= 6
    });
    let ledger = load.end();
    let told = (&ledger.refused, ledger.broken, ledger.hung);
    println!(
        "{} calls promised; refused, broken, hung: {told:?}",
        ledger.promised.len()
    );
    gateway.wait("every promised call arrives", || {
        let arrivals = gateway.target.arrivals();
        ledger.promised.iter().all(|id| arrivals.contains_key(id))
    });
    assert_eq!(ledger.refused.len(), 0, "{told:?}");
    assert_eq!((ledger.broken, ledger.hung), (0, 0));
    assert_eq!(around.oci.known().refused, Vec::<String>::new());
    nothing_is_told(&gateway, &around.oci);
}

#[test]
fn without_a_token_nothing_is_promised_and_the_log_says_why() {
    let around = Around::start(Duration::from_secs(3_600), AUTH_HOST);
    let refusal = json!({ "code": "NotAuthenticated", "message": "The certificate isn't known" });
    around.oci.set_trouble(Some((401, refusal)));
    let gateway = around.gateway("principal-refused", "instance", &json!({}), |builder| {
        builder
    });
    gateway.wait("the log says why", || {
        log(&gateway).contains("the auth service (cluster oci-auth) answered 401: NotAuthenticated")
    });
    let refused = gateway.exchange(&Request::new("POST", "/x").marked().body("x"));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["stored"], "no");
    assert!(!refused.message.text("retry-after").is_empty());
    // Nothing was sent without a signature.
    assert_eq!(around.oci.known().refused, Vec::<String>::new());
    assert!(gateway.metric("sluice_principal_failures_total") > 0);
    around.oci.set_trouble(None);
    wait_for_tokens(&gateway);
    let id = call(&gateway, "/after");
    gateway.wait_for_call(&id);
}

#[test]
fn a_token_that_was_taken_back_is_replaced() {
    let around = Around::start(Duration::from_secs(3_600), AUTH_HOST);
    let gateway = around.gateway("principal-revoked", "instance", &json!({}), |builder| {
        builder
    });
    wait_for_tokens(&gateway);
    gateway.wait_for_call(&call(&gateway, "/before"));
    around.oci.known().revoke();
    // A new token is had after a refusal, half a minute after the last one at the earliest.
    let id = call(&gateway, "/after");
    gateway.wait_for_call(&id);
    assert!(around.oci.known().issued() >= 1);
}

/// The first Envoy that can serve a resource's files.
const FILE_SERVER: Version = Version::new(1, 38, 0);

/// The files of a resource or a workload.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder = Project::here().target().join("test-keys").join(name);
        let _gone = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, text: &str) {
        let (file, new) = (
            self.folder.join(name),
            self.folder.join(format!("{name}.new")),
        );
        fs::write(&new, text).unwrap();
        fs::rename(new, file).unwrap();
    }
}

#[test]
fn a_resource_signs_by_the_files_that_are_renewed_for_it() {
    let around = Around::start(Duration::from_secs(12), AUTH_HOST);
    let files = Files::new("principal-resource");
    let pem = fs::read_to_string(key_file("rsa-2048-pkcs8.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem, KEY_BITS_MIN).unwrap();
    let der = key.public_der().unwrap();
    files.write("private.pem", &pem);
    let change = json!({ "resourcePrincipal": { "folder": files.folder } });
    if version() < FILE_SERVER {
        let folder = Project::here().target().join("test-keys");
        let error = rendered("resource", &folder, version(), &change).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("resource needs Envoy 1.38 or newer"),
            "{error}"
        );
        return;
    }
    let path = |name: &str| files.folder.join(name).to_str().unwrap().to_owned();
    let gateway = around.gateway("principal-resource", "resource", &change, |builder| {
        builder
            .envoy_environment("OCI_RESOURCE_PRINCIPAL_RPST", &path("rpst"))
            .envoy_environment("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", &path("private.pem"))
    });
    // Not before: the token would end while the gateway is built.
    files.write("rpst", &around.oci.issue(&der));
    wait_for_workers(&gateway);
    let load = Load::start(gateway.port(), 2);
    // Whoever has started the resource renews its token.
    for round in 2..=4 {
        files.write("rpst", &around.oci.issue(&der));
        gateway.wait("the new token is used", || {
            around.oci.known().used.len() >= round
        });
    }
    let ledger = load.end();
    gateway.wait("every promised call arrives", || {
        let arrivals = gateway.target.arrivals();
        ledger.promised.iter().all(|id| arrivals.contains_key(id))
    });
    assert_eq!(
        (ledger.refused.len(), ledger.broken, ledger.hung),
        (0, 0, 0),
        "{ledger:?}"
    );
    assert_eq!(around.oci.known().refused, Vec::<String>::new());
    assert_eq!(around.oci.known().metadata, 0);
    nothing_is_told(&gateway, &around.oci);
    fs::remove_dir_all(sockets("resource")).unwrap();
}

#[test]
fn a_workload_signs_by_the_token_that_its_service_account_brings() {
    let around = Around::start(Duration::from_secs(12), WORKLOAD_HOST);
    let files = Files::new("principal-workload");
    // Kubernetes replaces it now and then; whoever asks with an old one is refused.
    files.write("token", &format!("{ACCOUNT_TOKEN}\n"));
    let folder = files.folder.clone();
    let gateway = around.gateway("principal-workload", "workload", &json!({}), |builder| {
        builder.edit(move |config| lead_account(config, &folder))
    });
    wait_for_workers(&gateway);
    gateway.wait_for_call(&call(&gateway, "/as-workload"));
    let known = around.oci.known();
    assert_eq!(known.refused, Vec::<String>::new());
    assert_eq!(known.metadata, 0);
    assert_eq!(
        known.asked[0].text("host"),
        format!("{WORKLOAD_HOST}:12250")
    );
    drop(known);
    let before = tokens(&gateway);
    around.oci.known().account_token = "account.token.replaced".to_owned();
    files.write("token", "account.token.replaced\n");
    gateway.wait("both roles have a token by the new one", || {
        tokens(&gateway) >= before + 4
    });
    gateway.wait_for_call(&call(&gateway, "/later"));
    nothing_is_told(&gateway, &around.oci);
    fs::remove_dir_all(sockets("workload")).unwrap();
}
