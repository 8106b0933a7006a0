//! The control plane beyond creating and listing: pools, tags, etags, retries, deletion, moves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::process::Process;
use common::{Answer, Client, FIELDS, STREAM, TestServer, encode};
use serde_json::{Value, json};

const STREAMS: &str = "/20180418/streams";
const POOLS: &str = "/20180418/streampools";

/// Returns a request with one more header.
fn with_header(
    client: &mut Client,
    (method, path): (&str, &str),
    header: &str,
    body: &Value,
) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\n{FIELDS}{header}\r\n");
    let text = format!("{head}content-length: {length}\r\n\r\n{body}");
    client.send(text.as_bytes()).unwrap();
    client.receive().unwrap()
}

fn create(client: &mut Client, path: &str, details: &Value) -> (Value, Answer) {
    let answer = client.request("POST", path, &details.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.json(), answer)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn pools_live_through_all_their_operations() {
    let mut server = TestServer::start(1);
    let mut client = server.client();
    let details = json!({
        "name": "p", "compartmentId": "c", "freeformTags": { "a": "b" },
        "kafkaSettings": { "numPartitions": 3 },
        "customEncryptionKeyDetails": { "kmsKeyId": "ocid1.key" },
    });
    let (pool, _) = create(&mut client, POOLS, &details);
    let path = format!("{POOLS}/{}", text(&pool["id"]));
    for (member, value) in [
        ("name", json!("p")),
        ("lifecycleState", json!("ACTIVE")),
        ("freeformTags", json!({ "a": "b" })),
        ("isPrivate", json!(false)),
    ] {
        assert_eq!(pool[member], value, "{member}");
    }
    assert_eq!(pool["kafkaSettings"]["numPartitions"], 3);
    let update = json!({ "name": "q", "definedTags": { "n": { "k": 1 } } });
    let updated = client.request("PUT", &path, &update.to_string()).ok();
    assert_eq!(
        (text(&updated["name"]), &updated["definedTags"]["n"]["k"]),
        ("q", &json!(1))
    );
    assert_eq!(
        updated["freeformTags"],
        json!({ "a": "b" }),
        "absent tags stay"
    );
    let list = client
        .request("GET", &format!("{POOLS}?compartmentId=c&sortBy=NAME"), "")
        .ok();
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|p| text(&p["name"]))
        .collect();
    assert_eq!(names, ["DefaultPool", "q"]);
    let inside = json!({ "name": "s", "partitions": 1, "streamPoolId": pool["id"] });
    let (stream, _) = create(&mut client, STREAMS, &inside);
    assert_eq!(stream["compartmentId"], "c", "that of the pool");
    client
        .request("DELETE", &path, "")
        .refused(409, "IncorrectState");
    let moved = json!({ "compartmentId": "d" }).to_string();
    let answer = client.request("POST", &format!("{path}/actions/changeCompartment"), &moved);
    assert_eq!(answer.status, 204);
    let gone = client.request("DELETE", &format!("{STREAMS}/{}", text(&stream["id"])), "");
    assert_eq!(gone.status, 204);
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.request("GET", &path, "").ok()["compartmentId"], "d");
    assert_eq!(client.request("DELETE", &path, "").status, 204);
    client
        .request("GET", &path, "")
        .refused(404, "NotAuthorizedOrNotFound");
    let orphan = json!({ "name": "o", "partitions": 1, "streamPoolId": pool["id"] });
    let answer = client.request("POST", STREAMS, &orphan.to_string());
    answer.refused(404, "NotAuthorizedOrNotFound");
}

#[test]
fn an_update_needs_the_current_etag_where_it_names_one() {
    let mut server = TestServer::start(1);
    let mut client = server.client();
    let path = format!("{STREAMS}/{STREAM}");
    let etag = client.request("GET", &path, "").headers["etag"].clone();
    let tags = json!({ "freeformTags": { "team": "x" } });
    let stale = with_header(&mut client, ("PUT", &path), "if-match: other", &tags);
    stale.refused(412, "NoEtagMatch");
    let fresh = with_header(
        &mut client,
        ("PUT", &path),
        &format!("if-match: {etag}"),
        &tags,
    );
    let next = fresh.headers["etag"].clone();
    assert_ne!(next, etag);
    assert_eq!(fresh.ok()["freeformTags"]["team"], "x");
    let gone = with_header(
        &mut client,
        ("DELETE", &path),
        &format!("if-match: {etag}"),
        &Value::Null,
    );
    gone.refused(412, "NoEtagMatch");
    drop(client);
    server.restart();
    let answer = server.client().request("GET", &path, "");
    assert_eq!(answer.headers["etag"], next);
    assert_eq!(answer.ok()["freeformTags"]["team"], "x");
}

#[test]
fn a_creation_is_repeated_by_its_retry_token() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let stream = json!({ "name": "s", "partitions": 1, "compartmentId": "c" });
    let pool = json!({ "name": "p", "compartmentId": "c" });
    for (path, details) in [(STREAMS, &stream), (POOLS, &pool)] {
        let mut create = |token| {
            let header = format!("opc-retry-token: {token}");
            with_header(&mut client, ("POST", path), &header, details)
        };
        let id = create("t1").ok()["id"].clone();
        assert_eq!(create("t1").ok()["id"], id);
        assert_ne!(create("t2").json()["id"], id, "{path}");
    }
    let other = json!({ "name": "other", "compartmentId": "c" });
    let answer = with_header(&mut client, ("POST", POOLS), "opc-retry-token: t1", &other);
    answer.refused(409, "InvalidatedRetryToken");
}

#[test]
fn work_requests_tell_the_resource() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let details = json!({ "name": "s", "partitions": 1, "compartmentId": "c" });
    let (stream, created) = create(&mut client, STREAMS, &details);
    let deleted = client.request("DELETE", &format!("{STREAMS}/{}", text(&stream["id"])), "");
    for (answer, action) in [(&created, "CREATED"), (&deleted, "DELETED")] {
        let path = format!(
            "/20180418/workRequests/{}",
            answer.headers["opc-work-request-id"]
        );
        let work = client.request("GET", &path, "").ok();
        assert_eq!(
            (text(&work["status"]), &work["percentComplete"]),
            ("SUCCEEDED", &json!(100.0))
        );
        let resource = &work["resources"][0];
        assert_eq!(
            (&resource["identifier"], text(&resource["actionType"])),
            (&stream["id"], action)
        );
        assert_eq!(
            client.request("GET", &format!("{path}/errors"), "").ok(),
            json!({ "items": [] })
        );
        let logs = client.request("GET", &format!("{path}/logs"), "").ok();
        assert_eq!(logs["items"].as_array().unwrap().len(), 1);
    }
    let all = "/20180418/workRequests";
    let list = client.request("GET", &format!("{all}?compartmentId=c&sortOrder=ASC"), "");
    let items = list.ok()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    assert_eq!(text(&items[0]["operationType"]), "CREATE_STREAM");
    let first = client.request("GET", &format!("{all}?limit=1"), "");
    assert!(first.headers.contains_key("opc-next-page"), "{first:?}");
    let other = client.request("GET", &format!("{all}?resourceId=other"), "");
    assert_eq!(other.ok(), json!({ "items": [] }));
    let wrong = client.request("GET", &format!("{all}?sortBy=NAME"), "");
    wrong.refused(400, "InvalidParameter");
    let unknown = client.request("GET", "/20180418/workRequests/x", "");
    unknown.refused(404, "NotAuthorizedOrNotFound");
    let harness = client.request("GET", "/20180418/connectharnesses", "");
    assert!(harness.refused(404, "NotFound").contains("Kafka Connect"));
}

#[test]
fn a_deleted_stream_stays_deleted_and_its_name_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), "other");
    let mut client = Client::connect(process.address);
    let details = json!({ "name": "s", "partitions": 2, "compartmentId": "c" });
    let (stream, _) = create(&mut client, STREAMS, &details);
    let path = format!("{STREAMS}/{}", text(&stream["id"]));
    let value = encode(&"v".repeat(1_000));
    let many: Vec<Value> = (0..500).map(|_| json!({ "value": value })).collect();
    let many = json!({ "messages": many }).to_string();
    client
        .request("POST", &format!("{path}/messages"), &many)
        .ok();
    let join = json!({ "groupName": "g", "type": "TRIM_HORIZON" }).to_string();
    let cursor = common::value(client.request("POST", &format!("{path}/groupCursors"), &join));
    assert_eq!(client.request("DELETE", &path, "").status, 204);
    process.kill();
    let process = Process::start(folder.path(), "other");
    let mut client = Client::connect(process.address);
    for (method, rest, body) in [
        ("GET", String::new(), ""),
        ("POST", "/messages".to_owned(), many.as_str()),
        ("GET", format!("/messages?cursor={cursor}"), ""),
        ("GET", "/groups/g".to_owned(), ""),
        ("DELETE", String::new(), ""),
    ] {
        let answer = client.request(method, &format!("{path}{rest}"), body);
        let message = answer.refused(404, "NotAuthorizedOrNotFound");
        assert_eq!(message, format!("Unknown stream {}", text(&stream["id"])));
    }
    let bytes = common::process::log_bytes(folder.path());
    assert!(
        bytes < 1_000,
        "the messages are gone too, but {bytes} are left"
    );
    let (again, _) = create(&mut client, STREAMS, &details);
    assert_ne!(again["id"], stream["id"]);
    let messages = format!("{STREAMS}/{}/messages", text(&again["id"]));
    let entry = &client.request("POST", &messages, &many).ok()["entries"][0];
    assert!(entry["offset"].as_u64().unwrap() < 500);
}

#[test]
fn publishers_go_on_while_a_stream_is_deleted() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let details = json!({ "name": "s", "partitions": 1, "compartmentId": "c" });
    let (stream, _) = create(&mut client, STREAMS, &details);
    let path = format!("{STREAMS}/{}", text(&stream["id"]));
    let message = json!({ "messages": [{ "value": encode(&"v".repeat(300_000)) }] }).to_string();
    for _ in 0..20 {
        client
            .request("POST", &format!("{path}/messages"), &message)
            .ok();
    }
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut client = server.client();
            for place in 0..50_u64 {
                assert_eq!(client.put(None, &["x"])[0]["offset"], place);
            }
        });
        assert_eq!(client.request("DELETE", &path, "").status, 204);
        publisher.join().unwrap();
    });
    client
        .request("GET", &path, "")
        .refused(404, "NotAuthorizedOrNotFound");
}
