//! Any client can publish a call on the Stream itself: Oracle's own SDK does, with nothing of ours,
//! and reads what became of calls that can't be made.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use provision::command::capture;
use provision::{Project, oci_clients};
use serde_json::{Value, json};
use sluice::time::Wall;
use testkit::server::Answer;
use testkit::stream::{CALLS, DEAD};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

const DELAY: Duration = Duration::from_secs(2);

/// The SDK as a client of a gateway's Stream.
struct Sdk {
    python: PathBuf,
    endpoint: String,
}

impl Sdk {
    fn of(gateway: &Gateway) -> Self {
        Self {
            python: oci_clients::python_sdk(&Project::here()).unwrap(),
            endpoint: gateway.set.stream_url(),
        }
    }

    fn ask(&self, stream: &str, what: &str, value: &Value) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_sdk.py");
        let stream = format!("ocid1.stream.oc1.local.{stream}");
        let asked = json!({ "endpoint": self.endpoint, "stream": stream, what: value });
        let mut command = Command::new(&self.python);
        // Without it the SDK loads its clients of all services, which takes seconds.
        command.env("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true");
        let said = capture(command.arg("-I").arg(script).arg(asked.to_string()));
        serde_json::from_str(&said.unwrap()).unwrap()
    }

    /// Publishes call records, each with its `orderKey` as the message's key, and returns partition
    /// and offset of each.
    fn put(&self, records: &[Value]) -> Vec<(String, u64)> {
        let messages = records
            .iter()
            .map(|record| json!({ "key": record["orderKey"], "value": record.to_string() }));
        let places = self.ask(CALLS, "put", &messages.collect());
        let place = |place: &Value| {
            let partition = place["partition"].as_str().unwrap();
            (partition.to_owned(), place["offset"].as_u64().unwrap())
        };
        places.as_array().unwrap().iter().map(place).collect()
    }

    /// Returns the dead letters.
    fn dead_letters(&self) -> Vec<Value> {
        let values = self.ask(DEAD, "read", &json!("0"));
        let values = values.as_array().unwrap().iter();
        let letter = |value: &Value| serde_json::from_str(value.as_str().unwrap()).unwrap();
        values.map(letter).collect()
    }
}

/// When each path was called first.
type Arrivals = Arc<Mutex<BTreeMap<String, SystemTime>>>;

fn recording(arrivals: &Arrivals) -> Target {
    let arrivals = arrivals.clone();
    Target::scripted(move |seen| {
        let mut arrivals = arrivals.lock().unwrap();
        arrivals.entry(seen.path()).or_insert_with(SystemTime::now);
        Answer::status(200)
    })
}

/// RFC 3339, in whole milliseconds.
fn rfc_3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    Wall(u64::try_from(since.as_millis()).unwrap()).to_string()
}

#[test]
fn what_the_sdk_publishes_is_called() {
    let arrivals = Arrivals::default();
    let gateway = Gateway::with("python-sdk", recording(&arrivals), |builder| builder);
    let sdk = Sdk::of(&gateway);
    let every_byte: Vec<u8> = (0..=255).collect();
    let before = SystemTime::now();
    let places = sdk.put(&[
        json!({ "path": "/least" }),
        json!({
            "version": 1, "id": "order-7", "method": "PUT", "authority": "shop.example",
            "path": "/orders/7?a=%20b&a=c", "bodyBase64": BASE64.encode(&every_byte),
            "headers": [["X-Twice", "1"], ["content-type", "application/octet-stream"],
                ["X-Twice", "gr\u{fc}n"], ["x-bytes", { "base64": "//4=" }]],
        }),
        json!({ "path": "/keyed/1", "orderKey": "customer-7" }),
        json!({ "path": "/keyed/2", "orderKey": "customer-7" }),
        json!({ "path": "/later", "deliverAt": rfc_3339(before + DELAY) }),
        json!({ "path": "/keyed/3", "orderKey": "customer-7" }),
    ]);
    gateway.wait("all six are called", || gateway.target.count() >= 6);
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), 6, "each once");

    let least = gateway.target.of("/least").remove(0);
    assert_eq!(least.message.start, b"GET /least HTTP/1.1");
    assert_eq!(
        least.call_id(),
        format!("p{}-o{}", places[0].0, places[0].1)
    );
    assert_eq!(least.attempt(), "1");
    assert_eq!(least.message.body, b"");

    let full = gateway.target.of("/orders/7").remove(0).message;
    assert_eq!(full.start, b"PUT /orders/7?a=%20b&a=c HTTP/1.1");
    assert_eq!(full.body, every_byte);
    assert_eq!(full.text("host"), "shop.example");
    assert_eq!(full.text("async-call-id"), "order-7");
    assert_eq!(full.text("content-type"), "application/octet-stream");
    assert_eq!(full.field("x-bytes"), Some(&b"\xff\xfe"[..]));
    let twice = full.fields.iter().filter(|(name, _)| name == b"x-twice");
    let twice: Vec<&[u8]> = twice.map(|(_, value)| value.as_slice()).collect();
    assert_eq!(twice, [&b"1"[..], "gr\u{fc}n".as_bytes()]);

    let keyed = [2, 3, 5].map(|index: usize| &places[index].0);
    assert!(keyed.iter().all(|one| *one == keyed[0]), "{keyed:?}");
    let seen = gateway.target.seen();
    let paths = seen.iter().map(|seen| seen.path());
    let paths: Vec<String> = paths.filter(|path| path.starts_with("/keyed")).collect();
    assert_eq!(paths, ["/keyed/1", "/keyed/2", "/keyed/3"]);

    let later = arrivals.lock().unwrap()["/later"];
    // The record says it in whole milliseconds.
    let early = before + DELAY - Duration::from_millis(1);
    assert!(later > early, "{later:?} is early (G5)");
}

#[test]
fn what_must_not_be_called_is_read_back_as_a_dead_letter() {
    let elsewhere = Target::start();
    let gateway = Gateway::start("python-sdk-hostile");
    let sdk = Sdk::of(&gateway);
    let hostile = [
        json!({ "id": "injects", "path": "/x", "headers": [["x-a", "1\r\nX-Injected: 1"]] }),
        json!({ "id": "splits", "path": "/x HTTP/1.1\r\nX-Injected: 1\r\n\r\nGET /y" }),
        json!({ "id": "elsewhere", "method": "POST",
            "target": format!("http://127.0.0.1:{}/hooks", elsewhere.port()) }),
        json!({ "id": "metadata", "target": "http://169.254.169.254/opc/v2/instance/" }),
    ];
    let mut records = hostile.to_vec();
    records.push(json!({ "path": "/good" }));
    let places = sdk.put(&records);
    gateway.wait_for("/good", 1);
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), 1, "nothing else was called (G7)");
    assert_eq!(elsewhere.count(), 0, "nor anybody else (G7)");
    assert_eq!(gateway.reloads(), 0, "nothing has trapped (G10)");

    let letters = sdk.dead_letters();
    assert_eq!(letters.len(), hostile.len());
    let reasons = ["unreadable_record", "unreadable_record", "denied", "denied"];
    for ((record, place), reason) in hostile.iter().zip(places).zip(reasons) {
        let of_this = |letter: &&Value| {
            (&letter["partition"], &letter["offset"]) == (&json!(place.0), &json!(place.1))
        };
        let letter = letters.iter().find(of_this);
        let letter = letter.unwrap_or_else(|| panic!("no letter of {record}"));
        assert_eq!(letter["reason"], reason, "{letter}");
        assert_eq!(&letter["call"], record);
    }
}
