//! PutMessages and GetMessages: shapes, order, partitions, bounds of an answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{STREAM, TestServer, encode, text};
use serde_json::{Value, json};

fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() == "2018-04-20T23:21:12.428Z".len() && text.ends_with('Z') && text.contains('T')
}

#[test]
fn a_message_comes_back_as_it_was_put() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let messages = json!([
        { "key": encode("k"), "value": encode("one") },
        { "key": null, "value": encode("two") },
        { "value": encode("three") },
        { "key": "", "value": "AP8\u{2f}", "unknown": 1 },
    ]);
    let put = client.on_stream("POST", "messages", &json!({ "messages": messages }));
    assert_eq!(put.headers["content-type"], "application/json");
    let put = put.ok();
    assert_eq!(put["failures"], 0);
    for (offset, entry) in put["entries"].as_array().unwrap().iter().enumerate() {
        assert_eq!(entry["partition"], "0");
        assert_eq!(entry["offset"], offset);
        assert!(is_timestamp(&entry["timestamp"]), "{entry}");
    }
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let batch = client.get(&cursor, 10);
    let expected = [
        (json!(encode("k")), encode("one")),
        (Value::Null, encode("two")),
        (Value::Null, encode("three")),
        (json!(""), "AP8/".to_owned()),
    ];
    assert_eq!(batch.messages.len(), expected.len());
    for (offset, (message, (key, value))) in batch.messages.iter().zip(expected).enumerate() {
        assert_eq!(message["stream"], "calls");
        assert_eq!(message["partition"], "0");
        assert_eq!((&message["key"], &message["value"]), (&key, &json!(value)));
        assert_eq!(message["offset"], offset);
        assert_eq!(message["timestamp"], put["entries"][offset]["timestamp"]);
    }
    let empty = client.get(&batch.next, 10);
    assert!(empty.messages.is_empty());
    client.put(None, &["later"]);
    assert_eq!(client.get(&empty.next, 10).values(), ["later"]);
}

#[test]
fn one_key_means_one_partition_and_its_order() {
    let server = TestServer::start(8);
    let mut client = server.client();
    let mut by_key: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for round in 0..10 {
        for key in ["a", "b", "c", "d"] {
            let entry = client.put(Some(key), &[&format!("{key}{round}")]).remove(0);
            let place = (
                entry["partition"].to_string(),
                entry["offset"].as_u64().unwrap(),
            );
            by_key.entry(key.to_owned()).or_default().push(place);
        }
    }
    for places in by_key.values() {
        assert!(
            places
                .windows(2)
                .all(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1)
        );
    }
    let cursor = client.join("a", &Value::Null);
    let values = client.get(&cursor, 100).values();
    for key in ["a", "b", "c", "d"] {
        let of_key: Vec<_> = values
            .iter()
            .filter(|value| value.starts_with(key))
            .collect();
        let expected: Vec<_> = (0..10).map(|round| format!("{key}{round}")).collect();
        assert_eq!(of_key, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn messages_without_a_key_spread() {
    let server = TestServer::start(4);
    let mut client = server.client();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    // The engine on Kafka chooses a partition for up to 64 that come together.
    for _ in 0..30 {
        for entry in client.put(None, &["x"; 200]) {
            *counts.entry(entry["partition"].to_string()).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
}

#[test]
fn an_answer_is_bounded_in_bytes_but_never_empty() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let (largest, half) = ("L".repeat(1_048_576), "H".repeat(524_288));
    for value in [&half, &largest, &half, &half, &half] {
        client.put(None, &[value]);
    }
    let mut cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let mut sizes = Vec::new();
    loop {
        let path = format!("messages?cursor={cursor}");
        let answer = client.on_stream("GET", &path, &Value::Null);
        cursor = answer.headers["opc-next-cursor"].clone();
        let messages = answer.ok();
        let messages = messages.as_array().unwrap();
        if messages.is_empty() {
            break;
        }
        sizes.push(
            messages
                .iter()
                .map(|m| text(&m["value"]).len())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        sizes,
        [
            vec![524_288],
            vec![1_048_576],
            vec![524_288; 2],
            vec![524_288]
        ]
    );
}

#[test]
fn a_limit_is_kept_and_everything_comes_in_the_end() {
    let server = TestServer::start(3);
    let mut client = server.client();
    let values: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    client.put(None, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let mut cursor = client.join("a", &Value::Null);
    let mut got = Vec::new();
    loop {
        let batch = client.get(&cursor, 7);
        assert!(batch.messages.len() <= 7);
        if batch.messages.is_empty() {
            break;
        }
        got.extend(batch.values());
        cursor = batch.next;
    }
    got.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(got, values);
}

#[test]
fn request_ids_are_the_clients_first_part_and_two_of_ours() {
    let server = TestServer::start(1);
    let mut client = server.client();
    for (given, first) in [("ABC", Some("ABC")), ("x/y/z", Some("x")), ("", None)] {
        let path = format!("/20180418/streams/{STREAM}");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nopc-request-id: {given}\r\n\r\n");
        client.send(request.as_bytes()).unwrap();
        let answer = client.receive().unwrap();
        let parts: Vec<&str> = answer.headers["opc-request-id"].split('/').collect();
        assert_eq!(parts.len(), 3);
        assert!(first.is_none_or(|first| parts[0] == first), "{parts:?}");
        let hex = |part: &&str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(parts.iter().skip(1).all(hex), "{parts:?}");
    }
}
