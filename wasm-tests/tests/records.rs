//! Anybody who may publish on the Stream may have written a record: what can't be understood
//! becomes a dead letter, what can be is a call like any other, and nothing stops the drain (G10)
//! nor lets a record pose as more than it is (G8).
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wasm_tests::gateway::Gateway;

/// Returns records that no call can be made of.
fn hostile() -> Vec<Vec<u8>> {
    let deep = format!(r#"{{"path":"/","x":{}}}"#, "[".repeat(300_000));
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = format!(r#"{{"path":"/","headers":{}}}"#, nested(1_000));
    let many = json!({ "path": "/", "headers": vec![("a", "b"); 1_001] }).to_string();
    let mut records: Vec<Vec<u8>> = [
        " ",
        "null",
        "[]",
        "\"/path\"",
        "{",
        "not JSON",
        "{}",
        r#"{"method":"GET"}"#,
        r#"{"path":""}"#,
        r#"{"path":"relative"}"#,
        r#"{"path":7}"#,
        r#"{"path":"/a b"}"#,
        r#"{"path":"/a\r\nX-Injected: 1"}"#,
        r#"{"path":"/\u0000"}"#,
        r#"{"path":"/\ud800"}"#,
        r#"{"path":"/","method":""}"#,
        r#"{"path":"/","method":"GET / HTTP/1.1\r\nX-Injected: 1"}"#,
        r#"{"path":"/","method":"CONNECT"}"#,
        r#"{"path":"/","authority":"a\r\nX-Injected: 1"}"#,
        r#"{"path":"/","scheme":"file"}"#,
        r#"{"path":"/","headers":[["x","a\r\nX-Injected: 1"]]}"#,
        r#"{"path":"/","headers":[["x\r\nX-Injected","1"]]}"#,
        r#"{"path":"/","headers":[["x: y","1"]]}"#,
        r#"{"path":"/","headers":[["","1"]]}"#,
        r#"{"path":"/","headers":[[":path","/other"]]}"#,
        r#"{"path":"/","headers":[["x","a\u0000b"]]}"#,
        r#"{"path":"/","headers":[["x",{"base64":"%"}]]}"#,
        r#"{"path":"/","headers":{"x":"1"}}"#,
        r#"{"path":"/","headers":[["x"]]}"#,
        r#"{"path":"/","id":"a\r\nb"}"#,
        r#"{"path":"/","correlationId":"a\nb"}"#,
        r#"{"path":"/","acceptedAt":"a\u0000"}"#,
        r#"{"path":"/","body":"a","bodyBase64":"YQ=="}"#,
        r#"{"path":"/","bodyBase64":"*"}"#,
        r#"{"path":"/","version":2}"#,
        r#"{"path":"/","version":-1}"#,
        r#"{"path":"/","version":99999999999999999999}"#,
        r#"{"path":"/","target":"http://elsewhere.test/"}"#,
        r#"{"path":"/","reply":{"callId":"a\r\nX-Injected: 1","outcome":"failed","attempts":1}}"#,
        r#"{"path":"/","reply":{"callId":"a","outcome":"failed\r\nX-Injected: 1","attempts":1}}"#,
        r#"{"path":"/","reply":{"callId":"a","outcome":"failed","attempts":1,"status":70000}}"#,
        &deep,
        &many,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    records.push(nested.into_bytes());
    records.push(b"\xff\xfe\x00".to_vec());
    records.push(b"{\"path\":\"/\xff\"}".to_vec());
    records.push(vec![0; 1_048_576]);
    records.push([b"{\"path\":\"/".as_slice(), &[b'a'; 1_048_500]].concat());
    records
}

/// Returns the record of a letter, or of the parts of one.
fn record_of(letter: &Value) -> Option<Vec<u8>> {
    let text = letter["recordBase64"].as_str()?;
    Some(BASE64.decode(text).unwrap())
}

#[test]
fn what_cannot_be_understood_becomes_a_dead_letter() {
    let gateway = Gateway::start("hostile");
    let hostile = hostile();
    let mut positions = Vec::new();
    for record in &hostile {
        positions.extend(gateway.stream().put(&[record]));
        // Whatever it was, what comes behind it is delivered.
        let good = json!({ "path": "/good", "id": format!("good-{}", positions.len()) });
        let _stored = gateway.stream().put(&[good.to_string().as_bytes()]);
    }
    gateway.wait_for("/good", hostile.len());
    gateway.wait_until_settled();
    assert_eq!(
        gateway.target.count(),
        hostile.len(),
        "nothing else was called"
    );
    assert_eq!(gateway.reloads(), 0, "nothing has trapped");

    let letters = gateway.stream().dead_letters();
    for ((partition, offset), record) in positions.into_iter().zip(&hostile) {
        let start = record
            .escape_ascii()
            .take(80)
            .map(char::from)
            .collect::<String>();
        let place = (json!(partition.to_string()), json!(offset));
        let is_its =
            |letter: &&Value| (&letter["partition"], &letter["offset"]) == (&place.0, &place.1);
        let mut own: Vec<&Value> = letters.iter().filter(is_its).collect();
        own.sort_by_key(|letter| letter["part"].as_u64());
        assert!(!own.is_empty(), "no letter of {start}");
        assert_eq!(own[0]["reason"], "unreadable_record", "{start}");
        assert_eq!(own[0]["id"], format!("p{partition}-o{offset}"), "{start}");
        let parts: Option<Vec<Vec<u8>>> = own.iter().map(|letter| record_of(letter)).collect();
        match parts {
            Some(parts) => assert_eq!(&parts.concat(), record, "{start}"),
            None => assert_eq!(
                own[0]["call"],
                serde_json::from_slice::<Value>(record).unwrap(),
                "{start}"
            ),
        }
    }
}

#[test]
fn the_least_that_is_a_call_is_a_path() {
    let gateway = Gateway::start("minimal");
    let (partition, offset) = gateway.stream().put(&[br#"{"path":"/x"}"#])[0];
    gateway.wait_for("/x", 1);
    let seen = &gateway.target.of("/x")[0];
    assert_eq!(seen.message.start, b"GET /x HTTP/1.1");
    assert_eq!(seen.message.text("host"), "sluice.invalid");
    let id = format!("p{partition}-o{offset}");
    assert_eq!(seen.call_id(), id);
    for mark in ["async-correlation-id", "idempotency-key"] {
        assert_eq!(seen.message.text(mark), id, "{mark}");
    }
    assert_eq!(seen.attempt(), "1");
    let accepted_at = seen.message.text("async-accepted-at");
    assert!(
        accepted_at.starts_with("20") && accepted_at.ends_with('Z'),
        "{accepted_at}"
    );

    // Unknown members are not a reason to refuse it, whatever they are.
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let record = json!({
        "version": 1, "path": "/y?z", "method": "PUT", "authority": "a.test:1", "scheme": "http",
        "id": "mine", "correlationId": "talk", "acceptedAt": "yesterday", "bodyBase64": "/wA=",
        "headers": [["X-A", "1"], ["x-b", { "base64": "/w==" }]], "somethingNew": deep,
    });
    let _stored = gateway.stream().put(&[record.to_string().as_bytes()]);
    gateway.wait_for("/y", 1);
    let seen = &gateway.target.of("/y")[0];
    assert_eq!(seen.message.start, b"PUT /y?z HTTP/1.1");
    assert_eq!(seen.message.body, b"\xff\0");
    assert_eq!(seen.message.field("x-b"), Some(&b"\xff"[..]));
    for (name, value) in [
        ("host", "a.test:1"),
        ("x-a", "1"),
        ("async-call-id", "mine"),
        ("async-correlation-id", "talk"),
        ("async-accepted-at", "yesterday"),
        ("idempotency-key", "mine"),
    ] {
        assert_eq!(seen.message.text(name), value, "{name}");
    }
    gateway.wait_until_settled();
}

#[test]
fn a_record_is_neither_the_gateway_nor_envoy() {
    let gateway = Gateway::start("forged");
    let record = json!({
        "path": "/forged",
        "method": "POST",
        "id": "real",
        "headers": [
            ["Async-Call-Id", "forged"], ["async-attempt", "9"], ["async-correlation-id", "forged"],
            ["async-accepted-at", "forged"], ["Async-Outcome", "failed"], ["async-status", "200"],
            ["async-attempts", "1"], ["Host", "forged"], ["Content-Length", "999"],
            ["content-length", "1"], ["Transfer-Encoding", "chunked"], ["Connection", "x-hop"],
            ["x-hop", "1"], ["Upgrade", "websocket"], ["x-envoy-upstream-rq-timeout-ms", "1"],
            ["x-envoy-max-retries", "9"], ["x-envoy-retry-on", "5xx"], ["expect", "100-continue"],
            ["x-envoy-original-path", "/other"], ["x-stays", "1"],
        ],
        "body": "four",
    });
    let _stored = gateway.stream().put(&[record.to_string().as_bytes()]);
    gateway.wait_for("/forged", 1);
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), 1);
    let message = &gateway.target.of("/forged")[0].message;
    assert_eq!(message.body, b"four");
    let text = |name: &str| {
        let fields = message.fields.iter();
        let values = fields.filter(|(field, _)| field == name.as_bytes());
        let values: Vec<_> = values
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        values.join("|")
    };
    for (name, value) in [
        ("async-call-id", "real"),
        ("async-attempt", "1"),
        ("async-correlation-id", "real"),
        ("async-outcome", ""),
        ("async-status", ""),
        ("async-attempts", ""),
        ("host", "sluice.invalid"),
        ("content-length", "4"),
        ("transfer-encoding", ""),
        ("connection", ""),
        ("x-hop", ""),
        ("upgrade", ""),
        ("expect", ""),
        ("x-envoy-upstream-rq-timeout-ms", ""),
        ("x-envoy-max-retries", ""),
        ("x-envoy-retry-on", ""),
        ("x-envoy-original-path", ""),
        ("x-stays", "1"),
    ] {
        assert_eq!(text(name), value, "{name} in {:?}", message.fields);
    }
    assert!(!text("async-accepted-at").contains("forged"));
}
