//! Individual cursors: each type, their bounds, reuse, restarts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Client, TestServer};
use serde_json::{Value, json};

fn details(kind: &str, more: &Value) -> Value {
    let mut details = json!({ "partition": "0", "type": kind });
    let more = more.as_object().cloned().unwrap_or_default();
    details.as_object_mut().unwrap().extend(more);
    details
}

fn read_all(client: &mut Client, details: &Value) -> Vec<String> {
    let cursor = client.cursor(details);
    client.get(&cursor, 100).values()
}

#[test]
fn each_type_starts_where_it_says() {
    let server = TestServer::start(1);
    let mut client = server.client();
    client.put(None, &["m0", "m1", "m2"]);
    common::wait_until("the clock has moved on", || {
        let entry = client.put(None, &["gap"]).remove(0);
        entry["timestamp"] != client.put(None, &["gap"]).remove(0)["timestamp"]
    });
    let last = client.put(None, &["last"]).remove(0);
    let (offset, time) = (last["offset"].as_u64().unwrap(), &last["timestamp"]);
    let count = usize::try_from(offset).unwrap() + 1;
    for (kind, more, expected_first, expected_count) in [
        ("TRIM_HORIZON", json!({}), "m0", count),
        ("AT_OFFSET", json!({ "offset": 1 }), "m1", count - 1),
        ("AFTER_OFFSET", json!({ "offset": 1 }), "m2", count - 2),
        ("AT_OFFSET", json!({ "offset": offset }), "last", 1),
        (
            "AT_TIME",
            json!({ "time": "2018-04-20T23:21:12.428Z" }),
            "m0",
            count,
        ),
        (
            "AT_TIME",
            json!({ "time": "2018-04-20T23:21:12.428000+02:00" }),
            "m0",
            count,
        ),
    ] {
        let values = read_all(&mut client, &details(kind, &more));
        assert_eq!(
            (values[0].as_str(), values.len()),
            (expected_first, expected_count),
            "{kind}"
        );
    }
    let at_last = read_all(&mut client, &details("AT_TIME", &json!({ "time": time })));
    assert_eq!(at_last.last().unwrap(), "last");
    assert!(at_last.len() < count, "earlier messages are left out");
    for (kind, more) in [
        ("AFTER_OFFSET", json!({ "offset": offset })),
        ("LATEST", json!({})),
    ] {
        let cursor = client.cursor(&details(kind, &more));
        let empty = client.get(&cursor, 100);
        assert!(empty.messages.is_empty());
        client.put(None, &[kind]);
        assert_eq!(client.get(&empty.next, 100).values(), [kind]);
    }
}

#[test]
fn a_time_to_come_waits_for_its_first_message() {
    let server = TestServer::start(1);
    let mut client = server.client();
    client.put(None, &["old"]);
    let cursor = client.cursor(&details(
        "AT_TIME",
        &json!({ "time": "2199-01-01T00:00:00Z" }),
    ));
    let empty = client.get(&cursor, 10);
    assert!(empty.messages.is_empty());
    client.put(None, &["still too early"]);
    assert!(client.get(&empty.next, 10).messages.is_empty());
}

#[test]
fn what_is_not_there_is_refused() {
    let server = TestServer::start(2);
    let mut client = server.client();
    let entry = client.put(Some("k"), &["a", "b"]).remove(0);
    let (full, empty) = match entry["partition"].as_str().unwrap() {
        "0" => ("0", "1"),
        _ => ("1", "0"),
    };
    for (details, code) in [
        (
            json!({ "partition": "2", "type": "LATEST" }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": "x", "type": "LATEST" }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": full, "type": "NEWEST" }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": full, "type": "AT_OFFSET", "offset": 2 }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": full, "type": "AFTER_OFFSET", "offset": 2 }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": empty, "type": "AT_OFFSET", "offset": 0 }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": full, "type": "AT_TIME", "time": "today" }),
            "InvalidParameter",
        ),
        (
            json!({ "partition": full, "type": "AT_OFFSET" }),
            "MissingParameter",
        ),
        (
            json!({ "partition": full, "type": "AT_TIME" }),
            "MissingParameter",
        ),
        (
            json!({ "partition": full, "type": "AT_OFFSET", "offset": -1 }),
            "CannotParseRequest",
        ),
        (
            json!({ "partition": 0, "type": "LATEST" }),
            "CannotParseRequest",
        ),
        (json!({ "type": "LATEST" }), "CannotParseRequest"),
    ] {
        client
            .on_stream("POST", "cursors", &details)
            .refused(400, code);
    }
}

#[test]
fn reading_consumes_nothing_and_cursors_can_be_used_again() {
    let server = TestServer::start(1);
    let mut client = server.client();
    client.put(None, &["a", "b"]);
    let cursor = client.cursor(&details("TRIM_HORIZON", &Value::Null));
    for _ in 0..3 {
        assert_eq!(client.get(&cursor, 1).values(), ["a"]);
    }
}

#[test]
fn a_restart_leaves_partition_cursors_and_ends_group_cursors() {
    let mut server = TestServer::start(1);
    let mut client = server.client();
    client.put(None, &["a", "b"]);
    let first = client.cursor(&details("TRIM_HORIZON", &Value::Null));
    let own = client.get(&first, 1).next;
    let joined = client.join("i", &Value::Null);
    let shared = client.get(&joined, 1).next;
    client.commit(&shared);
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.get(&own, 10).values(), ["b"]);
    let message = client.try_get(&shared, 10).refused(400, "InvalidParameter");
    assert_eq!(message, "The cursor is invalid. Create a new one.");
    let joined = client.join("i", &Value::Null);
    assert_eq!(
        client.get(&joined, 10).values(),
        ["b"],
        "the committed offset is kept"
    );
}

#[test]
fn cursors_are_bound_to_their_stream() {
    let server = TestServer::start_with(|s| s.with_stream("calls", 1).with_stream("other", 1));
    let mut client = server.client();
    let cursor = client.cursor(&details("TRIM_HORIZON", &Value::Null));
    let path = format!("/20180418/streams/ocid1.stream.oc1.local.other/messages?cursor={cursor}");
    let message = client
        .request("GET", &path, "")
        .refused(400, "InvalidParameter");
    assert_eq!(message, "The cursor is invalid. Create a new one.");
    for nonsense in ["x", "AAAA", "%F0%28%8C%28"] {
        client.try_get(nonsense, 1).refused(400, "InvalidParameter");
    }
}
