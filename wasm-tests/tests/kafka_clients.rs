//! Calls that other clients of Kafka publish are made by a gateway, and they read its dead letters:
//! kcat and confluent-kafka, with nothing of ours. `sluice` works on the same topics.
//!
//! `cargo xtask test --only kafka` starts the brokers and names them. Without, nothing is tested.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use provision::command::capture;
use provision::dist::Variant;
use provision::tools::stream_server_with_kafka;
use provision::{Programs, Project, kafka_clients};
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::kafka;
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::sluice::dead;
use wasm_tests::target::Target;

/// A gateway on a Kafka cluster.
struct OnKafka {
    gateway: Gateway,
    brokers: String,
    prefix: String,
}

impl OnKafka {
    /// Starts one, if the tests have brokers.
    fn start(name: &str) -> Option<Self> {
        let brokers = kafka::brokers_or_skip()?;
        let project = Project::here();
        let mut programs = Programs::for_tests(&project, Variant::Shipped).unwrap();
        programs.tools.stream_server = match env::var_os(kafka::SERVER) {
            Some(server) => server.into(),
            None => stream_server_with_kafka(&project).unwrap(),
        };
        // Brokers remember topics of earlier runs.
        let prefix = format!("{name}-{}.", std::process::id());
        let engine = kafka::engine(&brokers, &prefix).map(str::to_owned).to_vec();
        let target = Target::scripted(|seen| {
            Answer::status(if seen.path().starts_with("/gone") {
                404
            } else {
                200
            })
        });
        let gateway = Gateway::with(name, target, |builder| {
            builder.programs(programs).stream_server_arguments(engine)
        });
        Some(Self {
            gateway,
            brokers,
            prefix,
        })
    }

    fn topic(&self, stream: &str) -> String {
        format!("{}{stream}", self.prefix)
    }

    /// Has a call given up, and returns its id.
    fn letter(&self, path: &str) -> String {
        let id = self
            .gateway
            .accept(&Request::new("POST", path).marked().body("{}"));
        self.gateway.wait("its letter is listed", || {
            let list = dead(&self.gateway, &["list", "--json"]);
            list.code == 0 && list.ids().contains(&id)
        });
        id
    }
}

/// Runs kcat with `input`; returns what it says.
fn kcat(program: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "kcat {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn kcat_publishes_calls_and_reads_dead_letters() {
    let Some(kafka) = OnKafka::start("kcat") else {
        return;
    };
    let program = match kafka_clients::kcat() {
        Ok(program) => program,
        Err(reason) => return eprintln!("SKIPPED: {reason}"),
    };
    let (brokers, calls) = (kafka.brokers.as_str(), kafka.topic("calls"));
    let call = json!({ "method": "POST", "path": "/orders", "body": "{}",
        "headers": [["content-type", "application/json"]] });
    let publish = ["-P", "-b", brokers, "-t", &calls, "-X", "acks=all"];
    kcat(&program, &publish, &format!("{call}\n"));
    kafka.gateway.wait_for("/orders", 1);
    let made = kafka.gateway.target.of("/orders").remove(0).message;
    assert_eq!(made.start, b"POST /orders HTTP/1.1");
    assert_eq!(
        (made.text("content-type"), &made.body[..]),
        ("application/json".to_owned(), &b"{}"[..])
    );
    // What is no call becomes a letter, and stops nothing.
    kcat(&program, &publish, "no call\n");
    let id = kafka.letter("/gone");
    kafka.gateway.wait("both letters are listed", || {
        dead(&kafka.gateway, &["list", "--json"]).ids().len() == 2
    });
    let letters = kafka.topic("calls-dead");
    let read = [
        "-C",
        "-b",
        brokers,
        "-t",
        &letters,
        "-o",
        "beginning",
        "-e",
        "-q",
    ];
    let read = kcat(&program, &read, "");
    let letters: Vec<Value> = read
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reasons = letters
        .iter()
        .map(|letter| letter["reason"].as_str().unwrap());
    let mut reasons: Vec<&str> = reasons.collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["rejected", "unreadable_record"]);
    assert!(letters.iter().any(|letter| letter["id"] == json!(id)));
    kafka.gateway.wait_until_settled();
}

/// Asks the script, which uses confluent-kafka.
fn python(kafka: &OnKafka, topic: &str, more: Value) -> Value {
    let python = kafka_clients::python(&Project::here()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka_clients.py");
    let mut asked = more;
    asked["brokers"] = json!(kafka.brokers);
    asked["topic"] = json!(kafka.topic(topic));
    let said = capture(
        Command::new(python)
            .arg("-I")
            .arg(script)
            .arg(asked.to_string()),
    );
    serde_json::from_str(&said.unwrap()).unwrap()
}

#[test]
fn python_publishes_calls_and_reads_dead_letters() {
    let Some(kafka) = OnKafka::start("confluent") else {
        return;
    };
    let call = json!({ "method": "POST", "path": "/orders", "body": "{\"article\": 7}" });
    let place = python(&kafka, "calls", json!({ "key": "order-7", "call": call }));
    kafka.gateway.wait_for("/orders", 1);
    let made = kafka.gateway.target.of("/orders").remove(0);
    assert_eq!(made.message.body, b"{\"article\": 7}");
    assert_eq!(
        made.call_id(),
        format!("p{}-o{}", place["partition"], place["offset"])
    );
    let id = kafka.letter("/gone");
    let letters = python(&kafka, "calls-dead", json!({ "partitions": 1 }));
    assert_eq!(letters[0]["id"], json!(id));
    kafka.gateway.wait_until_settled();
}

#[test]
fn sluice_lists_shows_and_redrives_letters_on_kafka() {
    let Some(kafka) = OnKafka::start("redrive") else {
        return;
    };
    let (gateway, id) = (&kafka.gateway, kafka.letter("/gone"));
    let shown = dead(gateway, &["show", &id, "--json"]).expect(0);
    assert_eq!(shown.json()["letters"][0]["reason"], "rejected");
    let _said = dead(gateway, &["redrive", &id]).expect(0);
    gateway.wait_for("/gone", 2);
    // It dies again, and has a second letter; the first one is marked.
    gateway.wait("the second letter is listed", || {
        dead(gateway, &["list", "--json", "--all"]).ids().len() == 2
    });
    assert_eq!(dead(gateway, &["list", "--json"]).ids(), [id]);
    gateway.wait_until_settled();
    gateway.wait("the group has no lag", || {
        gateway.stream().uncommitted().is_empty()
    });
}
