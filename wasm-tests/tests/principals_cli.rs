//! `sluice` signs as a principal of OCI, before services that verify as Oracle's do.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use provision::Project;
use provision::tools::Tools;
use serde_json::json;
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

/// A home with a session in the profile `session`, whose token is this.
fn home_with_session(name: &str, token: &str) -> PathBuf {
    let home = Project::here().target().join("test-keys").join(name);
    fs::create_dir_all(home.join(".oci")).unwrap();
    let key = key_file("rsa-2048-pkcs8.pem");
    let profile = format!(
        "[session]\nregion=eu-frankfurt-1\nkey_file={}\nsecurity_token_file=~/.oci/token\n",
        key.display()
    );
    fs::write(home.join(".oci/config"), profile).unwrap();
    fs::write(home.join(".oci/token"), token).unwrap();
    home
}

#[test]
fn a_session_is_renewed_when_half_of_its_time_is_over() {
    let gateway = Gateway::start("principals-cli-session");
    let oci = Oci::start(gateway.set.ports().stream, Duration::from_secs(600));
    let pem = fs::read_to_string(key_file("rsa-2048-pkcs8.pem")).unwrap();
    let der = PrivateKey::from_pem(&pem, KEY_BITS_MIN).unwrap();
    let der = der.public_der().unwrap();
    let issue = |age: u64| {
        oci.known().age = Duration::from_secs(age);
        let token = oci.issue(&der);
        oci.known().age = Duration::ZERO;
        token
    };
    let old = issue(400);
    let home = home_with_session("principals-cli-session", &old);
    let variables = [("HOME", home.to_str().unwrap().to_owned())];
    let endpoint = format!("http://127.0.0.1:{}", oci.auth.port());
    let auth = ["--auth", "security_token", "--profile", "session"];
    let auth = [&auth[..], &["--auth-endpoint", &endpoint]].concat();
    let read = || fs::read_to_string(home.join(".oci/token")).unwrap();
    // A failure is told, and the token serves on.
    oci.set_trouble(Some((
        401,
        json!({ "code": "NotAuthenticated", "message": "no" }),
    )));
    let said = list(&oci, &auth, &variables);
    assert!([0, 3].contains(&said.code), "{said:?}");
    assert!(
        said.error.contains("is not renewed: the auth service"),
        "{said:?}"
    );
    assert_eq!(read(), old);
    oci.set_trouble(None);

    let said = list(&oci, &auth, &variables);
    assert!([0, 3].contains(&said.code), "{said:?}");
    let new = read();
    assert_ne!(new, old);
    assert!(oci.known().used.contains_key(&new));
    let mode = fs::metadata(home.join(".oci/token")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "only for its owner");
    // The new one is not renewed at once.
    let asked = oci.known().asked.len();
    let said = list(&oci, &auth, &variables);
    assert!([0, 3].contains(&said.code), "{said:?}");
    assert_eq!((oci.known().asked.len(), read()), (asked, new));
    assert_eq!(oci.known().refused, Vec::<String>::new());

    fs::write(home.join(".oci/token"), issue(700)).unwrap();
    let said = list(&oci, &auth, &variables);
    assert!(
        said.error.contains("Run `oci session authenticate`"),
        "{said:?}"
    );
    assert_ne!(said.code, 0);
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
            "--auth-endpoint is for tokens",
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
