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
use provision::Project;
use serde_json::{Value, json};
use sluice::stream::signing::{KEY_BITS_MIN, PrivateKey};
use testkit::http1::Request;
use testkit::tls::{Authority, Proxy};
use wasm_tests::gateway::Gateway;
use wasm_tests::load::Load;
use wasm_tests::oci::{ACCOUNT_TOKEN, Oci, key_file, socket};
use wasm_tests::oci_envoy::{AUTH_HOST, add_clusters, add_files};
use wasm_tests::target::Target;

/// What an instance at Oracle has around it.
struct Around {
    oci: Oci,
    authority: Authority,
    auth: Proxy,
    stream: u16,
}

impl Around {
    fn start(lifetime: Duration) -> Self {
        let stream = local_gateway::ports::free().unwrap();
        let oci = Oci::start(stream, lifetime);
        let authority = Authority::new();
        let auth = authority.start_proxy(AUTH_HOST);
        auth.leads_to(&format!("127.0.0.1:{}", oci.auth.port()));
        Self {
            oci,
            authority,
            auth,
            stream,
        }
    }

    /// The gateway for Oracle's service with this principal, and these services in the place of
    /// Oracle's.
    fn gateway(
        &self,
        name: &str,
        signing: &Value,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Gateway {
        let file = Project::here()
            .target()
            .join("test-keys")
            .join(format!("{name}.pem"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, self.authority.pem()).unwrap();
        let mut stream = json!({
            "streamId": "ocid1.stream.oc1.local.calls",
            "signing": {
                "tenancy": null, "user": null, "fingerprint": null, "privateKeyEnvironment": null,
            },
        });
        local_gateway::render::merge_patch(&mut stream, &json!({ "signing": signing }));
        // A null says that a key is taken out; a patch of a patch would take out the null.
        for key in ["tenancy", "user", "fingerprint", "privateKeyEnvironment"] {
            stream["signing"][key] = Value::Null;
        }
        let lanes = json!([{ "streamId": "ocid1.stream.oc1.local.calls-5s", "delayMs": 5000 }]);
        let accept = json!({ "stream": stream, "lanes": lanes });
        let drain = json!({
            "stream": stream, "lanes": lanes,
            "deadLetters": { "streamId": "ocid1.stream.oc1.local.calls-dead" },
            "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 },
        });
        let ports = [
            self.oci.metadata.port(),
            self.auth.port(),
            self.oci.gate.port(),
        ];
        Gateway::with(name, Target::start(), |builder| {
            let builder = builder
                .configuration(&Project::here().root().join("envoy/gateway.oci.yaml"))
                .stream_port(self.stream)
                .accept_patch(accept)
                .drain_patch(drain)
                .edit(move |config| add_clusters(config, ports, &file));
            change(builder)
        })
    }
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
    let around = Around::start(Duration::from_secs(3_600));
    let signing = json!({ "principal": "instance" });
    let gateway = around.gateway("principal-instance", &signing, |builder| {
        builder.concurrency(2)
    });
    wait_for_tokens(&gateway);
    let id = call(&gateway, "/as-instance");
    gateway.wait_for_call(&id);
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
    let around = Around::start(Duration::from_secs(12));
    let signing = json!({ "principal": "instance" });
    let gateway = around.gateway("principal-renewed", &signing, |builder| {
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
    let around = Around::start(Duration::from_secs(3_600));
    let refusal = json!({ "code": "NotAuthenticated", "message": "The certificate isn't known" });
    around.oci.set_trouble(Some((401, refusal)));
    let signing = json!({ "principal": "instance" });
    let gateway = around.gateway("principal-refused", &signing, |builder| builder);
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
    let around = Around::start(Duration::from_secs(3_600));
    let signing = json!({ "principal": "instance" });
    let gateway = around.gateway("principal-revoked", &signing, |builder| builder);
    wait_for_tokens(&gateway);
    gateway.wait_for_call(&call(&gateway, "/before"));
    around.oci.known().revoke();
    // A new token is had after a refusal, half a minute after the last one at the earliest.
    let id = call(&gateway, "/after");
    gateway.wait_for_call(&id);
    assert!(around.oci.known().issued() >= 1);
}

/// The files of a resource or a workload, and the listener that serves them.
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
    let around = Around::start(Duration::from_secs(12));
    let files = Files::new("principal-resource");
    let pem = fs::read_to_string(key_file("rsa-2048-pkcs8.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem, KEY_BITS_MIN).unwrap();
    let der = key.public_der().unwrap();
    files.write("private-key", &pem);
    let socket = socket("resource");
    let (folder, at) = (files.folder.clone(), socket.clone());
    let signing = json!({ "principal": "resource" });
    let gateway = around.gateway("principal-resource", &signing, move |builder| {
        builder.edit(move |config| add_files(config, &folder, &at))
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
    let _gone = fs::remove_file(socket);
}

#[test]
fn a_workload_signs_by_the_token_that_its_service_account_brings() {
    let around = Around::start(Duration::from_secs(3_600));
    let files = Files::new("principal-workload");
    files.write("token", &format!("{ACCOUNT_TOKEN}\n"));
    let socket = socket("workload");
    let (folder, at) = (files.folder.clone(), socket.clone());
    let signing = json!({ "principal": "workload", "authAuthority": "10.96.0.1:12250" });
    let gateway = around.gateway("principal-workload", &signing, move |builder| {
        builder.edit(move |config| add_files(config, &folder, &at))
    });
    wait_for_workers(&gateway);
    gateway.wait_for_call(&call(&gateway, "/as-workload"));
    let known = around.oci.known();
    assert_eq!(known.refused, Vec::<String>::new());
    assert_eq!((known.issued(), known.metadata), (2, 0));
    assert_eq!(known.asked[0].text("host"), "10.96.0.1:12250");
    drop(known);
    nothing_is_told(&gateway, &around.oci);
    let _gone = fs::remove_file(socket);
}
