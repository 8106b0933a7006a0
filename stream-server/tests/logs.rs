//! What the program tells operators: its log, `--check`, and how it ends when it is told twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::process::{Process, command};
use common::{Client, wait_until};
use serde_json::{Value, json};

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn write(folder: &Path, settings: &Value) -> PathBuf {
    let config = folder.join("config.json");
    std::fs::write(&config, settings.to_string()).unwrap();
    config
}

/// Returns the lines of a log in JSON.
fn events(log: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(log).unwrap();
    let event = |line: &str| serde_json::from_str(line).unwrap();
    log.lines().map(event).collect()
}

#[test]
fn the_log_is_json_with_a_line_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let settings = json!({
        "data": folder.path().join("data"), "streams": [{ "name": "calls" }],
        "logFormat": "json", "logLevel": "debug",
    });
    let config = write(folder.path(), &settings);
    let arguments = [&ANY_PORT[..], &["--config", config.to_str().unwrap()]].concat();
    let mut server = Process::start_with_log(&arguments, File::create(&log).unwrap());
    let mut client = Client::connect(server.address);
    let cursor = client.cursor(&json!({ "partition": "0", "type": "LATEST" }));
    let answer = client.try_get(&cursor, 1);
    assert_eq!(server.terminate(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        !text.contains(&cursor),
        "cursors are nobody's business: {text}"
    );
    let events = events(&log);
    for event in &events {
        for member in ["timestamp", "level", "message"] {
            assert!(event[member].is_string(), "{member} of {event}");
        }
    }
    let told = |message: &str| events.iter().find(|event| event["message"] == message);
    assert!(told("ready").unwrap()["url"].is_string());
    assert!(told("stopped").is_some(), "{events:?}");
    let is_get = |event: &&Value| event["operation"] == "GetMessages";
    let request = events.iter().find(is_get).unwrap();
    assert_eq!(request["level"], "DEBUG");
    assert_eq!(request["status"], 200);
    assert_eq!(request["method"], "GET");
    assert_eq!(request["request_id"], answer.headers["opc-request-id"]);
    assert!(request["milliseconds"].is_u64() && request["peer"].is_string());
}

#[test]
fn the_log_tells_of_another_retention_and_the_level_counts() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let mut messages = Vec::new();
    for hours in [48, 48, 72] {
        let stream = json!({ "name": "calls", "retentionInHours": hours });
        let config = write(folder.path(), &json!({ "data": data, "streams": [stream] }));
        let more = ["--config", config.to_str().unwrap(), "--log-level", "warn"];
        let arguments = [&ANY_PORT[..], &more].concat();
        let mut server = Process::start_with_log(&arguments, File::create(&log).unwrap());
        assert_eq!(server.terminate(), Some(0));
        messages.push(std::fs::read_to_string(&log).unwrap());
    }
    let [first, same, other] = messages.try_into().unwrap();
    assert!(
        other.contains("48 hours") && other.contains("calls"),
        "{other}"
    );
    for log in [first, same] {
        assert!(log.contains("signatures are NOT verified"), "{log}");
        assert!(!log.contains("hours") && !log.contains("ready"), "{log}");
    }
}

#[test]
fn check_tells_whether_the_settings_are_right_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
    std::fs::create_dir(&keys).unwrap();
    let (data_text, keys_text) = (data.to_str().unwrap(), keys.to_str().unwrap());
    let check = |more: &[&str]| {
        let arguments = [&["--check", "--data", data_text], more].concat();
        let output = command(&arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    };
    let wrong = write(
        folder.path(),
        &json!({ "throttle": "fast", "logLevel": "loud" }),
    );
    let wrong = wrong.to_str().unwrap();
    for (arguments, code, word) in [
        (&["--stream", "calls:4"][..], 0, "right"),
        (&["--auth", "keys", keys_text], 2, keys_text),
        (&["--stream", "a/b"], 2, "a/b"),
        (&["--stream", "calls:0"], 2, "partitions"),
        (&["--listen", "0.0.0.0:0"], 2, "--allow-remote"),
        (
            &["--config", wrong],
            2,
            "throttle: must be one of \"off\", \"oci\"",
        ),
        (&["--config", wrong], 2, "logLevel"),
        (&["--log-format", "xml"], 2, "--log-format"),
    ] {
        let (found, text) = check(arguments);
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/official.pub.pem");
    std::fs::copy(keys, Path::new(keys_text).join("me.pub.pem")).unwrap();
    std::fs::write(Path::new(keys_text).join("me.keyid"), "t/u/f").unwrap();
    let (code, text) = check(&["--auth", "keys", keys_text]);
    assert_eq!(code, 0, "{text}");
    assert!(!data.exists(), "the store was touched");
}

/// Whoever read the log may be gone; its clients are not.
#[test]
fn a_log_that_nobody_reads_is_no_reason_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let more = ["--data", data, "--stream", "calls", "--log-level", "debug"];
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut server = Process::start_with_log(&[&ANY_PORT[..], &more].concat(), writer);
    let mut client = Client::connect(server.address);
    for value in ["a", "b"] {
        client.put(None, &[value]);
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let more = ["--data", data, "--stream", "calls", "--faults"];
    let mut server = Process::start_with(&[&ANY_PORT[..], &more].concat());
    let rules = json!([{ "operation": "GetStream", "delayMs": 120_000 }]);
    let mut client = Client::connect(server.address);
    client.request("PUT", "/faults", &rules.to_string()).ok();
    let mut slow = Client::connect(server.address);
    let path = "/20180418/streams/ocid1.stream.oc1.local.calls";
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    slow.send(head.as_bytes()).unwrap();
    wait_until("the request is being worked on", || {
        client.request("GET", "/faults", "").ok()[0]["struck"] == 1
    });
    server.signal();
    wait_until("it accepts no more", || {
        Client::try_connect(server.address).is_err()
    });
    // It would wait for ten seconds and end with 0.
    assert_eq!(server.terminate(), Some(1));
}
