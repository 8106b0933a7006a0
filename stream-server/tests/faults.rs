//! Faults on demand (`--faults`): what clients meet, and what has been done nevertheless.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::process::command;
use common::{Client, TestServer, encode};
use serde_json::{Value, json};

fn start() -> TestServer {
    TestServer::start_with(|mut settings| {
        settings.faults = true;
        settings.with_stream("calls", 1)
    })
}

fn arm(server: &TestServer, rules: &Value) {
    let mut client = server.client();
    client.request("PUT", "/faults", &rules.to_string()).ok();
}

/// One rule for one request.
fn arm_once(server: &TestServer, operation: &str, effect: &Value) {
    let rule = json!({ "operation": operation, "stream": "calls", "count": 1, "effect": effect });
    arm(server, &json!([rule]));
}

fn put(client: &mut Client, values: &[&str]) -> std::io::Result<common::Answer> {
    let message = |value: &&str| json!({ "value": encode(value) });
    let messages: Vec<Value> = values.iter().map(message).collect();
    let path = format!("/20180418/streams/{}/messages", common::STREAM);
    client.try_request("POST", &path, &json!({ "messages": messages }).to_string())
}

fn stored(server: &TestServer) -> Vec<String> {
    let mut client = server.client();
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    client.get(&cursor, 100).values()
}

#[test]
fn answers_are_told_before_or_after_the_work() {
    let server = start();
    let mut client = server.client();
    let effect = json!({ "kind": "answer", "status": 503, "code": "Busy", "message": "m" });
    arm_once(&server, "PutMessages", &effect);
    let message = put(&mut client, &["a"]).unwrap().refused(503, "Busy");
    assert_eq!((message.as_str(), stored(&server).len()), ("m", 0));
    let effect = json!({ "kind": "answer", "status": 500, "when": "after" });
    arm_once(&server, "PutMessages", &effect);
    put(&mut client, &["b"])
        .unwrap()
        .refused(500, "InternalServerError");
    arm_once(
        &server,
        "PutMessages",
        &json!({ "kind": "throttle", "nextInMs": 250 }),
    );
    let answer = put(&mut client, &["c"]).unwrap();
    let message = answer.refused(429, "TooManyRequests");
    assert!(
        message.contains("next request can be made in 250 ms"),
        "{message}"
    );
    put(&mut client, &["d"]).unwrap().ok();
    assert_eq!(stored(&server), ["b", "d"]);
}

#[test]
fn some_entries_fail_and_the_others_are_stored() {
    let server = start();
    let mut client = server.client();
    let effect = json!({
        "kind": "failEntries", "every": 2, "error": "Throttled", "errorMessage": "later",
    });
    arm_once(&server, "PutMessages", &effect);
    let result = put(&mut client, &["a", "b", "c", "d", "e"]).unwrap().ok();
    assert_eq!(result["failures"], 2);
    let failed = json!({ "error": "Throttled", "errorMessage": "later" });
    assert_eq!(
        (&result["entries"][1], &result["entries"][3]),
        (&failed, &failed)
    );
    assert_eq!(result["entries"][4]["offset"], 2);
    assert_eq!(stored(&server), ["a", "c", "e"]);
}

#[test]
fn connections_are_dropped_and_answers_are_broken() {
    let server = start();
    arm_once(
        &server,
        "PutMessages",
        &json!({ "kind": "drop", "when": "before" }),
    );
    assert!(put(&mut server.client(), &["a"]).is_err());
    arm_once(
        &server,
        "PutMessages",
        &json!({ "kind": "drop", "when": "after" }),
    );
    assert!(put(&mut server.client(), &["b"]).is_err());
    arm_once(
        &server,
        "PutMessages",
        &json!({ "kind": "truncate", "bytes": 5 }),
    );
    let error = put(&mut server.client(), &["c"]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(stored(&server), ["b", "c"]);
    arm_once(
        &server,
        "GetMessages",
        &json!({ "kind": "garbage", "body": "<html>" }),
    );
    let mut client = server.client();
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let answer = client.try_get(&cursor, 1);
    assert_eq!((answer.status, answer.body.as_str()), (200, "<html>"));
    assert!(!answer.headers.contains_key("opc-next-cursor"));
}

#[test]
fn cursors_expire_at_once_and_for_good() {
    let server = start();
    let mut client = server.client();
    let partition = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let group = client.join("i", &Value::Null);
    arm_once(
        &server,
        "ConsumerHeartbeat",
        &json!({ "kind": "expireCursors" }),
    );
    for answer in [
        client.try_heartbeat(&group),
        client.try_heartbeat(&group),
        client.try_get(&group, 1),
        client.try_commit(&group),
        client.try_get(&partition, 1),
    ] {
        let message = answer.refused(400, "InvalidParameter");
        assert_eq!(message, "The cursor is expired. Create a new one.");
    }
    let group = client.join("i", &Value::Null);
    let _ = client.get(&group, 1);
    arm_once(
        &server,
        "GetMessages",
        &json!({ "kind": "outsideRetention" }),
    );
    let message = client.try_get(&group, 1).refused(400, "InvalidParameter");
    let expected = "The cursor is outside the retention period and is now invalid.";
    assert_eq!(message, expected);
}

#[test]
fn a_forgotten_member_cannot_commit_what_it_has_read() {
    let server = start();
    let mut client = server.client();
    client.put(None, &["a"]);
    let cursor = client.join("i", &Value::Null);
    let batch = client.get(&cursor, 10);
    assert_eq!(batch.values(), ["a"]);
    arm_once(
        &server,
        "ConsumerCommit",
        &json!({ "kind": "forgetMembers" }),
    );
    let message = client
        .try_commit(&batch.next)
        .refused(400, "InvalidParameter");
    assert_eq!(message, "Trying to commit unreserved partition 0");
    let cursor = client.join("i", &Value::Null);
    assert_eq!(client.get(&cursor, 10).values(), ["a"], "it comes again");
}

#[test]
fn rules_are_read_back_and_cleared_and_checked() {
    let server = start();
    let mut client = server.client();
    arm(
        &server,
        &json!([{ "operation": "GetGroup", "delayMs": 1, "count": 2 }]),
    );
    let _ = client.on_stream("GET", "groups/g", &Value::Null);
    let rules = client.request("GET", "/faults", "").ok();
    assert_eq!(
        (&rules[0]["struck"], &rules[0]["rule"]["count"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(client.request("DELETE", "/faults", "").status, 204);
    assert_eq!(client.request("GET", "/faults", "").ok(), json!([]));
    let wrong = json!([{ "operation": "Nothing", "count": 0 }]).to_string();
    let message = client
        .request("PUT", "/faults", &wrong)
        .refused(400, "InvalidParameter");
    assert!(
        message.contains("[0].operation") && message.contains("[0].count"),
        "{message}"
    );
}

#[test]
fn faults_are_off_unless_asked_for_and_never_remote() {
    let server = TestServer::start(1);
    server
        .client()
        .request("PUT", "/faults", "[]")
        .refused(404, "NotFound");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let remote = [
        "--listen",
        "0.0.0.0:0",
        "--data",
        data,
        "--allow-remote",
        "--faults",
    ];
    let ended = command(&remote).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
}
