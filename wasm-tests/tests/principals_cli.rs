//! `sluice` signs as a principal of OCI, before services that verify as Oracle's do.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::process::Command;
use std::time::Duration;

use provision::Project;
use provision::tools::Tools;
use sluice::stream::signing::{KEY_BITS_MIN, PrivateKey};
use testkit::server::deserted_port;
use wasm_tests::gateway::Gateway;
use wasm_tests::oci::{Oci, key_file};
use wasm_tests::sluice::Said;

/// Lists dead letters through the gate.
fn list(oci: &Oci, auth: &[&str], variables: &[(&str, String)]) -> Said {
    let output = Command::new(Tools::of(&Project::here()).sluice)
        .args(["dead", "list", "--json"])
        .args([
            "--endpoint",
            &format!("http://127.0.0.1:{}", oci.gate.port()),
        ])
        .args(auth)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_command_line_signs_as_instance() {
    let gateway = Gateway::start("principals-cli");
    let oci = Oci::start(gateway.set.ports().stream, Duration::from_secs(600));
    let metadata = format!("http://127.0.0.1:{}/opc/v2/", oci.metadata.port());
    let metadata = [("OCI_METADATA_BASE_URL", metadata)];
    let endpoint = format!("http://127.0.0.1:{}", oci.auth.port());
    let instance = ["--auth", "instance_principal", "--auth-endpoint", &endpoint];
    // No letter matches, which has an exit code of its own; what counts is that it could be asked.
    let said = list(&oci, &instance, &metadata);
    assert!([0, 3].contains(&said.code), "{said:?}");
    assert_eq!(said.json()["counts"]["letters"], 0, "{said:?}");
    let known = oci.known();
    assert_eq!((known.issued(), known.metadata), (1, 3));
    drop(known);

    wrong_words_are_told(&oci, &instance);
}

#[test]
fn the_command_line_signs_as_resource() {
    let gateway = Gateway::start("principals-cli-resource");
    let oci = Oci::start(gateway.set.ports().stream, Duration::from_secs(600));
    let pem = fs::read_to_string(key_file("rsa-2048-pkcs8.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem, KEY_BITS_MIN).unwrap();
    let token = oci.issue(&key.public_der().unwrap());
    let variables = [
        ("OCI_RESOURCE_PRINCIPAL_RPST", token),
        ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", pem),
    ];
    let said = list(&oci, &["--auth", "resource_principal"], &variables);
    assert!([0, 3].contains(&said.code), "{said:?}");
    let word = [
        variables.as_slice(),
        &[("OCI_CLI_AUTH", "nobody".to_owned())],
    ]
    .concat();
    let said = list(&oci, &["--auth", "resource_principal"], &word);
    assert!(
        [0, 3].contains(&said.code),
        "what is named counts more: {said:?}"
    );
    assert_eq!(oci.known().refused, Vec::<String>::new());
    assert_eq!(oci.known().used.len(), 1);
}

/// What can't be done says what to change.
fn wrong_words_are_told(oci: &Oci, instance: &[&str]) {
    let far = [
        "--auth",
        "instance_principal",
        "--auth-endpoint",
        "http://far.example",
    ];
    let keyed = ["--auth", "instance_principal", "--key-id", "x"];
    for (auth, expected) in [
        (instance, "no token as instance principal"),
        (
            &["--auth", "resource_principal"],
            "asked for the file /oci/rpst, answered 404",
        ),
        (
            &["--auth", "oke_workload_identity"],
            "KUBERNETES_SERVICE_HOST is not set",
        ),
        (&keyed, "a principal signs without a key"),
        (
            &["--auth-endpoint", "http://x"],
            "--auth-endpoint is for principals",
        ),
        (&far, "is not secure"),
    ] {
        // Nobody listens there.
        let nowhere = format!("http://127.0.0.1:{}/opc/v2", deserted_port());
        let said = list(oci, auth, &[("OCI_METADATA_BASE_URL", nowhere)]);
        assert!(said.error.contains(expected), "{expected}: {said:?}");
        assert_ne!(said.code, 0, "{said:?}");
    }
}
