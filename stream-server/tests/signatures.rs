//! Requests to a server with keys (`--auth keys DIR`), and what it tells those it doesn't believe.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::process::{Process, command};
use common::signing::{KEY_ID, Signed, date};
use common::{Client, STREAM, encode};
use serde_json::json;

/// Returns a server that knows Oracle's published test key under two keyIds.
fn start(folder: &Path) -> Process {
    let keys = folder.join("keys");
    std::fs::create_dir(&keys).unwrap();
    let public = include_str!("keys/official.pub.pem");
    for (name, key_id) in [("user", KEY_ID), ("session", "ST$eyJ.token")] {
        std::fs::write(keys.join(format!("{name}.pub.pem")), public).unwrap();
        std::fs::write(keys.join(format!("{name}.keyid")), format!("{key_id}\n")).unwrap();
    }
    let data = folder.join("data");
    Process::start_with(&[
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "--stream",
        "calls",
        "--auth",
        "keys",
        keys.to_str().unwrap(),
    ])
}

fn on_stream(rest: &str) -> String {
    format!("/20180418/streams/{STREAM}/{rest}")
}

#[test]
fn signed_requests_of_all_shapes_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path());
    let message = json!({ "messages": [{ "value": encode("x") }] }).to_string();
    let (messages, cursors) = (on_stream("messages"), on_stream("cursors"));
    let cursor = json!({ "partition": "0", "type": "TRIM_HORIZON" }).to_string();
    let twice = format!("/{}", on_stream("messages"));
    let short = "date (request-target) host";
    for (target, names) in [
        (&messages, short),
        (&messages, "x-date (request-target) host Content-Type"),
        (
            &messages,
            "date (request-target) host content-length content-type x-content-sha256",
        ),
        (&twice, short),
    ] {
        let put = Signed {
            names,
            ..Signed::new("POST", target, &message)
        };
        assert_eq!(put.send(&process).ok()["failures"], 0, "{target} {names}");
    }
    let session = Signed {
        key_id: "ST$eyJ.token",
        ..Signed::new("POST", &cursors, &cursor)
    };
    let value = common::value(session.send(&process));
    let get = format!("{messages}?cursor={value}&limit=10");
    let read = Signed::new("GET", &get, "").send(&process).ok();
    assert_eq!(read.as_array().unwrap().len(), 4);
    let mut anyone = Client::connect(process.address);
    anyone.request("GET", "/health", "").ok();
}

#[test]
fn everything_else_is_401_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path());
    let (messages, cursors) = (on_stream("messages"), on_stream("cursors"));
    let cursor = json!({ "partition": "0", "type": "LATEST" }).to_string();
    let put = || Signed::new("POST", &messages, "{}");
    let create = || Signed::new("POST", &cursors, &cursor);
    for (signed, part) in [
        (
            Signed {
                date: date(-400),
                ..put()
            },
            "5 minutes apart",
        ),
        (
            Signed {
                date: date(400),
                ..put()
            },
            "5 minutes apart",
        ),
        (
            Signed {
                date: "today".to_owned(),
                ..put()
            },
            "is not a date",
        ),
        (
            Signed {
                key_id: "t/u/f",
                ..put()
            },
            "keyId \"t/u/f\" is unknown",
        ),
        (
            Signed {
                names: "date (request-target) host",
                ..create()
            },
            "has to cover content-length, content-type, x-content-sha256",
        ),
        (
            Signed {
                names: "date host",
                ..put()
            },
            "has to cover (request-target)",
        ),
        (
            Signed {
                signed_body: "other",
                ..create()
            },
            "The body's SHA-256 is",
        ),
        (
            Signed {
                signed_body: "other",
                ..put()
            },
            "The body's SHA-256 is",
        ),
    ] {
        let message = signed.send(&process).refused(401, "NotAuthenticated");
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn unsigned_and_rewritten_requests_are_401() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path());
    let messages = on_stream("messages");
    let put = Signed::new("POST", &messages, "{}");
    let mut client = Client::connect(process.address);
    let unsigned = client.on_stream("GET", "groups/g", &serde_json::Value::Null);
    let message = unsigned.refused(401, "NotAuthenticated");
    assert!(message.contains("no Authorization header"), "{message}");
    let rewritten = put
        .text("a.example")
        .replace("host: a.example", "host: b.example");
    client.send(rewritten.as_bytes()).unwrap();
    let message = client.receive().unwrap().refused(401, "NotAuthenticated");
    assert!(message.contains("does not fit"), "{message}");
    assert!(message.contains("b.example"), "{message}");
}

#[test]
fn a_large_body_with_a_bad_signature_is_not_kept_but_its_sender_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path());
    let mut client = Client::connect(process.address);
    let body = "x".repeat(1_400_000);
    for _ in 0..2 {
        let answer = client.request("POST", &on_stream("messages"), &body);
        answer.refused(401, "NotAuthenticated");
    }
}

#[test]
fn a_bad_key_folder_is_refused_at_start_with_all_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("a.pub.pem"), "no key").unwrap();
    std::fs::write(folder.path().join("b.keyid"), "t/u/f").unwrap();
    let ended = command(&["--data", path, "--auth", "keys", path])
        .output()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{told}");
    for part in [
        "a.pub.pem: is not an RSA",
        "a.keyid: is missing",
        "b.pub.pem: is missing",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let ended = command(&["--data", path, "--auth", "kyes", path])
        .output()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("--auth takes"), "{told}");
}
