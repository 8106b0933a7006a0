//! Our requests for tokens are those of Oracle's SDK for Python, byte for byte where they depend on
//! nothing random.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provision::Project;
use provision::command::capture;
use serde_json::Value;
use sluice::http::OutgoingRequest;
use sluice::id::Entropy;
use sluice::principal::certificate::{InstanceCertificate, bare};
use sluice::principal::exchange::{
    InstanceProof, instance_request, refresh_request, workload_request,
};
use sluice::stream::signing::{KEY_BITS_MIN, KeyId, PrivateKey, Signer};
use sluice::time::Wall;
use testkit::http1::Message;
use testkit::server::deserted_port;
use testkit::tls::Authority;
use wasm_tests::oci::{ACCOUNT_TOKEN, Oci, key_file};

fn key(file: &str) -> PrivateKey {
    PrivateKey::from_pem(&fs::read_to_string(key_file(file)).unwrap(), KEY_BITS_MIN).unwrap()
}

/// The key of the session.
const SESSION_KEY: &str = "rsa-2048-pkcs8.pem";

/// What the SDK asks for, in the order in which it asks, and the token of the session that it
/// renews at the end.
fn asked_by_the_sdk() -> (Oci, Vec<Message>, String) {
    let oci = Oci::start(deserted_port(), Duration::from_secs(3_600));
    let session = oci.issue(&key(SESSION_KEY).public_der().unwrap());
    let authority = Authority::new();
    let tls = authority.start_proxy("localhost");
    tls.leads_to(&format!("127.0.0.1:{}", oci.auth.port()));
    let file = Project::here()
        .target()
        .join("test-keys/principals-sdk.pem");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, authority.pem()).unwrap();
    let python = provision::oci_clients::python_sdk(&Project::here()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/principals_sdk.py");
    let ports = [oci.metadata.port(), oci.auth.port(), tls.port()].map(|port| port.to_string());
    capture(
        Command::new(python)
            .arg(script)
            .args(ports)
            .arg(&file)
            .arg(oci.gate.port().to_string())
            .args([ACCOUNT_TOKEN, &session])
            .arg(key_file(SESSION_KEY)),
    )
    .unwrap();
    let asked = oci.known().asked.clone();
    (oci, asked, session)
}

/// The body and the fields that a signature covers or that the service needs.
fn essence(message: &Message) -> (String, String, Vec<(String, String)>, String) {
    let names = [
        "authorization",
        "content-length",
        "content-type",
        "date",
        "x-content-sha256",
    ];
    let fields = names.map(|name| (name.to_owned(), message.text(name)));
    let body = String::from_utf8(message.body.clone()).unwrap();
    (message.word(0), message.word(1), fields.to_vec(), body)
}

/// Our request, as it stands on the wire.
fn on_the_wire(request: &OutgoingRequest) -> Message {
    let of = |name: &str| {
        let found = request.headers.iter().find(|(field, _)| field == name);
        String::from_utf8(found.unwrap().1.to_vec()).unwrap()
    };
    let fields = request
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(':'));
    let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    Message {
        start: format!("{} {} HTTP/1.1", of(":method"), of(":path")).into_bytes(),
        fields: fields.collect(),
        body: request.body.to_vec(),
        trailers: Vec::new(),
    }
}

/// Returns when it was signed.
fn date(message: &Message) -> Wall {
    let date = httpdate::parse_http_date(&message.text("date")).unwrap();
    let date = date.duration_since(UNIX_EPOCH).unwrap();
    Wall(u64::try_from(date.as_millis()).unwrap())
}

fn member(message: &Message, name: &str) -> Vec<u8> {
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    STANDARD.decode(body[name].as_str().unwrap()).unwrap()
}

#[test]
fn requests_for_tokens_are_those_of_oracles_sdk() {
    let (oci, asked, session) = asked_by_the_sdk();
    assert_eq!(oci.known().refused, Vec::<String>::new());
    // Both tokens were used, and the gate has verified the SDK's signatures by them.
    assert_eq!(oci.known().used.len(), 2);
    let [instance, workload, refresh] = asked.as_slice() else {
        panic!("{} requests", asked.len());
    };

    let text = |name: &str| fs::read_to_string(key_file(name)).unwrap();
    let leaf = text("instance.pem");
    let proof = InstanceProof {
        key_id: &InstanceCertificate::read(&leaf).unwrap().key_id,
        certificate: &bare(&leaf).unwrap(),
        intermediate: &bare(&text("instance-intermediate.pem")).unwrap(),
        public_key: &member(instance, "publicKey"),
    };
    let mut rsa = key("rsa-2048-pkcs1.pem").signs_itself(Entropy::from_seed([1; 32]));
    let ours = instance_request("auth", &proof, rsa.as_mut(), date(instance)).unwrap();
    assert_eq!(essence(&on_the_wire(&ours)), essence(instance));

    let ours = workload_request("oke", ACCOUNT_TOKEN, &member(workload, "podKey"), "a/b/c");
    let ours = on_the_wire(&ours.unwrap());
    assert_eq!(essence(&ours), essence(workload));
    let mut renewed = refresh_request(&refresh.text("host"), &session).unwrap();
    let key_id = KeyId::parse(&format!("ST${session}")).unwrap();
    let rsa = key(SESSION_KEY).signs_itself(Entropy::from_seed([2; 32]));
    Signer::new(key_id, rsa)
        .sign(&mut renewed, date(refresh))
        .unwrap();
    assert_eq!(essence(&on_the_wire(&renewed)), essence(refresh));
    // Ours has no fields that the SDK's hasn't.
    let names = |message: &Message| -> BTreeSet<String> {
        let fields = message.fields.iter();
        let name = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        fields.map(|(field, _)| name(field)).collect()
    };
    assert!(names(&ours).is_subset(&names(workload)));
}
