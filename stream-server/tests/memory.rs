//! What clients do does not make the server grow without bound.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::process::Process;
use common::{Client, FIELDS, STREAM, encode};
use serde_json::{Value, json};

/// Resident memory of the process, in KiB.
fn resident_kib(server: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Many of everything: cursors, instances that come and go, groups up to the bound and beyond.
fn much(client: &mut Client, round: usize) {
    for n in 0..1_000 {
        client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
        let instance = format!("{round}/{n}");
        let details = json!({
            "groupName": "g", "type": "LATEST", "instanceName": instance, "timeoutInMs": 1_000,
        });
        client.on_stream("POST", "groupCursors", &details);
        let group = format!("{round}/{n}");
        let details = json!({ "groupName": group, "type": "LATEST", "instanceName": "a" });
        client.on_stream("POST", "groupCursors", &details);
    }
}

#[test]
fn cursors_groups_and_instances_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), "calls:4");
    let mut client = Client::connect(server.address);
    much(&mut client, 0);
    let before = resident_kib(&server);
    for round in 1..4 {
        much(&mut client, round);
    }
    let after = resident_kib(&server);
    assert!(after < before * 2, "{before} KiB became {after} KiB");
}

#[test]
fn connections_and_huge_bodies_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), "calls:1");
    let before = resident_kib(&server);
    let path = format!("/20180418/streams/{STREAM}/messages");
    let announced = format!("POST {path} HTTP/1.1\r\n{FIELDS}content-length: 1500000\r\n\r\n");
    let mut waiting: Vec<Client> = (0..400).map(|_| Client::connect(server.address)).collect();
    for client in &mut waiting {
        client.send(announced.as_bytes()).unwrap();
        client.send(&[b' '; 1_000]).unwrap();
    }
    let mut client = Client::connect(server.address);
    for _ in 0..20 {
        let mut huge = Client::connect(server.address);
        let head = format!("POST {path} HTTP/1.1\r\n{FIELDS}content-length: 99000000\r\n\r\n");
        huge.send(head.as_bytes()).unwrap();
        huge.receive().unwrap().refused(413, "PayloadTooLarge");
    }
    let body = json!({ "messages": [{ "value": encode(&"x".repeat(1_000_000)) }] });
    for _ in 0..20 {
        client.on_stream("POST", "messages", &body).ok();
    }
    client.on_stream("GET", "", &Value::Null).ok();
    let after = resident_kib(&server);
    // 400 bodies of 1.5 MB would be 600 MB.
    assert!(after < before + 200_000, "{before} KiB became {after} KiB");
}
