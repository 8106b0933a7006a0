//! A web page in a browser of this machine can do nothing here: not by sending requests elsewhere,
//! as every page may, and not under a name of its own that leads to this machine by now.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::process::{Process, command};
use common::{Answer, Client, STREAM, TestServer, encode};
use serde_json::json;

/// Returns a request with these fields alone.
fn send(client: &mut Client, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\n{fields}content-length: {length}\r\n\r\n");
    client.send(format!("{head}{body}").as_bytes()).unwrap();
    client.receive().unwrap()
}

fn put_path() -> String {
    format!("/20180418/streams/{STREAM}/messages")
}

fn message() -> String {
    json!({ "messages": [{ "key": null, "value": encode("from a page") }] }).to_string()
}

fn messages_stored(client: &mut Client) -> usize {
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    client.get(&cursor, 100).messages.len()
}

const HERE: &str = "host: 127.0.0.1:8090";
const JSON: &str = "content-type: application/json";

#[test]
fn a_page_publishes_nothing() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let (path, body) = (put_path(), message());
    for (fields, status, code) in [
        // What a page's form or fetch may send without asking.
        (
            &[
                HERE,
                "origin: http://evil.example",
                "content-type: text/plain",
            ][..],
            403,
            "NotAllowed",
        ),
        (&[HERE, "origin: null", JSON], 403, "NotAllowed"),
        // Its Origin may be kept back, but not its type.
        (
            &[HERE, "content-type: text/plain;charset=UTF-8"],
            415,
            "UnsupportedMediaType",
        ),
        (&[HERE], 415, "UnsupportedMediaType"),
        // Under its own name it may send JSON to itself.
        (
            &["host: evil.example:8090", JSON],
            421,
            "MisdirectedRequest",
        ),
        (
            &["host: evil.example", "origin: http://evil.example", JSON],
            403,
            "NotAllowed",
        ),
        (&[JSON], 400, "InvalidParameter"),
    ] {
        let answer = send(&mut client, "POST", &path, fields, &body);
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.starts_with("access-control")),
            "{answer:?}"
        );
        answer.refused(status, code);
    }
    assert_eq!(messages_stored(&mut client), 0);
    send(&mut client, "POST", &path, &[HERE, JSON], &body).ok();
    assert_eq!(messages_stored(&mut client), 1);
}

/// Browsers ask before anything else (Fetch §4.8), and here nothing allows it.
#[test]
fn a_page_that_asks_for_permission_gets_none() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let fields = [
        HERE,
        "origin: http://evil.example",
        "access-control-request-method: DELETE",
    ];
    let path = format!("/20180418/streams/{STREAM}");
    send(&mut client, "OPTIONS", &path, &fields, "").refused(403, "NotAllowed");
    send(&mut client, "DELETE", &path, &fields[..2], "").refused(403, "NotAllowed");
    client.on_stream("GET", "", &json!(null)).ok();
}

/// DNS rebinding: the page's own name leads to this machine.
#[test]
fn a_page_whose_name_leads_here_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_also_with(folder.path(), "calls", &["--faults"]);
    let mut client = Client::connect(process.address);
    let stream = format!("/20180418/streams/{STREAM}");
    for path in ["/health", "/ready", "/metrics", "/faults", "/", &stream] {
        let told = send(&mut client, "GET", path, &["host: evil.example:8090"], "");
        let told = told.refused(421, "MisdirectedRequest");
        assert!(told.contains("--host evil.example"), "{told}");
        let told = send(
            &mut client,
            "GET",
            path,
            &[HERE, "origin: http://a.example"],
            "",
        );
        told.refused(403, "NotAllowed");
    }
    for path in ["/health", "/ready", "/metrics", "/faults", &stream] {
        assert_eq!(send(&mut client, "GET", path, &[HERE], "").status, 200);
    }
}

#[test]
fn names_that_were_told_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stream-server.json");
    let config = json!({ "hosts": ["Stream.Local"], "externalUrl": "https://calls.example:443" });
    std::fs::write(&file, config.to_string()).unwrap();
    let data = folder.path().join("data");
    let more = [
        "--host",
        "stream-server",
        "--config",
        file.to_str().unwrap(),
    ];
    let process = Process::start_also_with(&data, "calls", &more);
    let mut client = Client::connect(process.address);
    for host in ["stream-server:8090", "stream.local", "calls.example"] {
        let host = format!("host: {host}");
        send(&mut client, "GET", "/health", &[&host], "").ok();
    }
    send(&mut client, "GET", "/health", &["host: stream"], "").refused(421, "MisdirectedRequest");
    let ended = command(&["--data", "x", "--host", "http://a:80", "--check"]).output();
    let told = String::from_utf8(ended.unwrap().stderr).unwrap();
    assert!(told.contains("without scheme and port"), "{told}");
}

/// A page has no key, so only what nobody signs needs the check of the name.
#[test]
fn a_page_gets_nothing_from_a_server_with_keys() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(
        keys.join("a.pub.pem"),
        include_str!("keys/official.pub.pem"),
    )
    .unwrap();
    std::fs::write(keys.join("a.keyid"), "t/u/f").unwrap();
    let data = folder.path().join("data");
    let more = ["--auth", "keys", keys.to_str().unwrap()];
    let process = Process::start_also_with(&data, "calls", &more);
    let mut client = Client::connect(process.address);
    let (path, body) = (put_path(), message());
    let proxied = ["host: calls.example", JSON];
    send(&mut client, "POST", &path, &proxied, &body).refused(401, "NotAuthenticated");
    let page = [HERE, "origin: http://evil.example", JSON];
    send(&mut client, "POST", &path, &page, &body).refused(403, "NotAllowed");
    for path in ["/health", "/ready", "/metrics"] {
        let name = ["host: evil.example"];
        send(&mut client, "GET", path, &name, "").refused(421, "MisdirectedRequest");
    }
}
