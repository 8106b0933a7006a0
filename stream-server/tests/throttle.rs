//! Oracle's rates: the protocol at the time of the test, and once the program.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::process::Process;
use common::{Client, STREAM, encode, wait_until};
use serde_json::{Value, json};
use stream_server::partition_log::partition_of_key;
use stream_server::protocol::{Answer, Protocol};
use stream_server::service::Service;
use stream_server::storage::Storage;
use stream_server::store::{Store, StoreBounds};
use stream_server::throttle::Throttle;
use stream_server::time::{GivenTime, TimeMs};

const BEGIN: TimeMs = TimeMs(1_800_000_000_000);

/// The protocol with Oracle's rates on the stream `calls` with two partitions.
struct Throttled {
    runtime: tokio::runtime::Runtime,
    protocol: Protocol,
    time: Arc<GivenTime>,
    _folder: tempfile::TempDir,
}

impl Throttled {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let time = Arc::new(GivenTime::default());
        let protocol = runtime.block_on(async {
            let storage: Arc<dyn Storage> =
                Arc::new(Store::open(folder.path(), StoreBounds::default()).unwrap());
            let service = Service::start(storage, Box::new(|| 7 << 8)).await.unwrap();
            let created = service.ensure_stream(BEGIN, "calls", 2, None).await;
            created.unwrap();
            let service = Arc::new(service.with_throttle(Throttle::default()));
            Protocol::new(service, Arc::clone(&time))
        });
        let this = Self {
            runtime,
            protocol,
            time,
            _folder: folder,
        };
        this.pass_ms(BEGIN.0);
        this
    }

    fn pass_ms(&self, ms: u64) {
        self.time.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.time.steady_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.protocol.answer(method, path, body.as_bytes());
        self.runtime.block_on(answer)
    }

    fn on_stream(&self, (method, path, body): (&str, &str, &Value)) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.request(method, &format!("/20180418/streams/{STREAM}{path}"), &body)
    }

    /// Publishes one message under each key, of so many bytes; returns status and body.
    fn put(&self, messages: &[(&str, usize)]) -> (u16, Value) {
        let message = |(key, bytes): &(&str, usize)| {
            let value = "x".repeat(bytes.checked_sub(key.len()).unwrap());
            json!({ "key": encode(key), "value": encode(&value) })
        };
        let messages: Vec<Value> = messages.iter().map(message).collect();
        let answer = self.on_stream(("POST", "/messages", &json!({ "messages": messages })));
        (answer.status, body(&answer))
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn is_throttled(answer: &Answer, next_in_ms: u64) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let message = format!("Too many requests: the next request can be made in {next_in_ms} ms");
    let expected = json!({ "code": "TooManyRequests", "message": message });
    assert_eq!(body(answer), expected);
}

fn cursor(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    body(answer)["value"].as_str().unwrap().to_owned()
}

#[test]
fn each_operation_is_done_five_times_a_second() {
    let server = Throttled::start();
    let join = json!({ "groupName": "g", "type": "TRIM_HORIZON", "instanceName": "a" });
    let joined = cursor(&server.on_stream(("POST", "/groupCursors", &join)));
    server.pass_ms(1_000);
    let start = json!({ "partition": "0", "type": "TRIM_HORIZON" });
    let commit = format!("/commit?cursor={joined}");
    let heartbeat = format!("/heartbeat?cursor={joined}");
    let nothing = Value::Null;
    let requests = [
        ("POST", "/cursors", &start),
        ("POST", commit.as_str(), &nothing),
        ("POST", heartbeat.as_str(), &nothing),
        ("GET", "/groups/g", &nothing),
        ("PUT", "/groups/g", &json!({})),
        ("POST", "/groupCursors", &join),
        ("GET", "", &nothing),
        ("PUT", "", &json!({})),
    ];
    for request in requests {
        for _ in 0..5 {
            let answer = server.on_stream(request);
            assert_eq!(answer.status, 200, "{request:?}: {answer:?}");
        }
        is_throttled(&server.on_stream(request), 200);
    }
    server.pass_ms(200);
    // The first cursor was replaced by the later ones of the same instance.
    for request in requests
        .into_iter()
        .filter(|(_, path, _)| !path.contains('?'))
    {
        assert_eq!(server.on_stream(request).status, 200, "{request:?}");
        is_throttled(&server.on_stream(request), 200);
    }
    for _ in 0..9 {
        assert_eq!(server.request("GET", "/health", "").status, 200);
    }
}

#[test]
fn each_partition_is_read_five_times_a_second_by_each_group() {
    let server = Throttled::start();
    let start = |partition: &str| {
        let details = json!({ "partition": partition, "type": "TRIM_HORIZON" });
        cursor(&server.on_stream(("POST", "/cursors", &details)))
    };
    let join = |group: &str, instance: &str| {
        let mut details = json!({ "groupName": group, "type": "TRIM_HORIZON" });
        details["instanceName"] = instance.into();
        cursor(&server.on_stream(("POST", "/groupCursors", &details)))
    };
    let get = |cursor: &str| {
        let path = format!("/messages?cursor={cursor}");
        server.on_stream(("GET", &path, &Value::Null))
    };
    let cursors = [start("0"), start("1"), join("g", "a"), join("h", "a")];
    for cursor in &cursors {
        for _ in 0..5 {
            assert_eq!(get(cursor).status, 200);
        }
        is_throttled(&get(cursor), 200);
    }
    // Another member takes partitions, and with them what was read of them.
    let second = join("g", "b");
    is_throttled(&get(&cursors[2]), 200);
    is_throttled(&get(&second), 200);
    server.pass_ms(200);
    for cursor in cursors.iter().chain([&second]) {
        assert_eq!(get(cursor).status, 200);
        is_throttled(&get(cursor), 200);
    }
}

#[test]
fn each_partition_takes_a_mebibyte_a_second() {
    let server = Throttled::start();
    let of_partition = |partition: u32| {
        let mut keys = (0..).map(|number| format!("k{number}"));
        let is_there = |key: &String| partition_of_key(key.as_bytes(), 2) == partition;
        keys.find(is_there).unwrap()
    };
    let (first, second) = (of_partition(0), of_partition(1));
    let (first, second) = (first.as_str(), second.as_str());
    let half = 524_288;
    assert_eq!(server.put(&[(first, half), (first, half - 9)]).0, 200);
    let (status, result) = server.put(&[(first, half), (second, 100), (first, 9)]);
    assert_eq!(status, 200, "{result}");
    assert_eq!(result["failures"], 2, "{result}");
    let text = "Too many requests: the next request can be made in 500 ms";
    let failed = json!({ "error": "TooManyRequests", "errorMessage": text });
    assert_eq!(result["entries"][0], failed);
    assert_eq!(result["entries"][1]["partition"], "1", "{result}");
    // It would fit, but it would come before the one that did not.
    assert_eq!(result["entries"][2], failed);
    let (status, result) = server.put(&[(first, half), (first, 9)]);
    assert_eq!((status, &result["code"]), (429, &json!("TooManyRequests")));
    assert_eq!(result["message"], text);
    server.pass_ms(510);
    let (status, result) = server.put(&[(first, half), (first, 9)]);
    assert_eq!((status, &result["failures"]), (200, &json!(0)), "{result}");
    let offsets: Vec<&Value> = (0..2).map(|at| &result["entries"][at]["offset"]).collect();
    assert_eq!(offsets, [2, 3], "what was refused took no offset");
}

#[test]
fn the_program_throttles_if_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let settings = json!({
        "data": folder.path().join("data"), "streams": [{ "name": "calls" }], "throttle": "oci",
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let config = config.to_str().unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--config", config];
    let mut server = Process::start_with(&arguments);
    let mut client = Client::connect(server.address);
    let mut throttled = None;
    wait_until("it is too much", || {
        let answer = client.on_stream("GET", "groups/none", &Value::Null);
        throttled = (answer.status == 429).then_some(answer);
        throttled.is_some()
    });
    let message = throttled.unwrap().refused(429, "TooManyRequests");
    let rest = message.split_once("next request can be made in ").unwrap();
    assert!(rest.1.ends_with(" ms"), "{message}");
    wait_until("the next request can be made", || {
        client.on_stream("GET", "groups/none", &Value::Null).status == 404
    });
    server.kill();
    // The command line wins.
    let server = Process::start_with(&[&arguments[..], &["--throttle", "off"]].concat());
    let mut client = Client::connect(server.address);
    for _ in 0..50 {
        client.cursor(&json!({ "partition": "0", "type": "LATEST" }));
    }
}
