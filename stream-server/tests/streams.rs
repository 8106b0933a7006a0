//! The control plane: CreateStream, GetStream, ListStreams.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{TestServer, encode};
use serde_json::{Value, json};

const STREAMS: &str = "/20180418/streams";

#[test]
fn a_created_stream_has_its_own_id_and_can_be_used_at_once() {
    let mut server = TestServer::start(1);
    let mut client = server.client();
    let details = json!({
        "name": "made", "partitions": 2, "compartmentId": "ocid1.c", "retentionInHours": 48,
    });
    let made = client.request("POST", STREAMS, &details.to_string()).ok();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(
        id.starts_with("ocid1.stream.oc1.local.") && !id.ends_with("made"),
        "{id}"
    );
    for (member, value) in [
        ("name", json!("made")),
        ("partitions", json!(2)),
        ("compartmentId", json!("ocid1.c")),
        ("retentionInHours", json!(48)),
        ("lifecycleState", json!("ACTIVE")),
        (
            "messagesEndpoint",
            json!(format!("http://{}", server.address)),
        ),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    assert!(made["streamPoolId"].is_string() && made["timeCreated"].is_string());
    let body = json!({ "messages": [{ "value": encode("x") }] }).to_string();
    client
        .request("POST", &format!("{STREAMS}/{id}/messages"), &body)
        .ok();
    let twin = client.request("POST", STREAMS, &details.to_string());
    twin.refused(409, "NotAuthorizedOrResourceAlreadyExists");
    drop(client);
    server.restart();
    let found = server
        .client()
        .request("GET", &format!("{STREAMS}/{id}"), "")
        .ok();
    assert_eq!(
        (&found["id"], &found["timeCreated"]),
        (&made["id"], &made["timeCreated"])
    );
}

#[test]
fn streams_are_listed_page_by_page() {
    let server = TestServer::start(1);
    let mut client = server.client();
    for name in ["d", "b", "c"] {
        let details = json!({ "name": name, "partitions": 1, "compartmentId": "mine" });
        client.request("POST", STREAMS, &details.to_string()).ok();
    }
    let mut list = |query: &str| -> (Vec<String>, Option<String>) {
        let answer = client.request("GET", &format!("{STREAMS}?{query}"), "");
        let page = answer.headers.get("opc-next-page").cloned();
        let name = |stream: &Value| stream["name"].as_str().unwrap().to_owned();
        (
            answer.ok().as_array().unwrap().iter().map(name).collect(),
            page,
        )
    };
    let (names, page) = list("compartmentId=mine&sortBy=NAME&limit=3");
    assert_eq!(
        names,
        ["b", "c", "calls"],
        "the operator's stream belongs to all compartments"
    );
    let (names, end) = list(&format!(
        "compartmentId=mine&sortBy=NAME&limit=3&page={}",
        page.unwrap()
    ));
    assert_eq!((names, end), (vec!["d".to_owned()], None));
    for (query, expected) in [
        ("compartmentId=other", vec!["calls"]),
        ("compartmentId=mine&name=c", vec!["c"]),
        (
            "compartmentId=mine&sortBy=NAME&sortOrder=DESC",
            vec!["d", "calls", "c", "b"],
        ),
        (
            "compartmentId=mine&sortOrder=ASC",
            vec!["calls", "d", "b", "c"],
        ),
        ("compartmentId=mine", vec!["c", "b", "d", "calls"]),
        ("compartmentId=mine&lifecycleState=DELETED", vec![]),
        (
            "streamPoolId=any&id=ocid1.stream.oc1.local.calls",
            vec!["calls"],
        ),
    ] {
        assert_eq!(list(query).0, expected, "{query}");
    }
}

#[test]
fn wrong_details_are_refused() {
    let server = TestServer::start(1);
    let mut client = server.client();
    for (details, code) in [
        (json!({ "name": "x", "partitions": 1 }), "MissingParameter"),
        (
            json!({ "name": "x", "partitions": 1, "compartmentId": "a", "streamPoolId": "b" }),
            "InvalidParameter",
        ),
        (
            json!({ "name": "x", "partitions": 0, "compartmentId": "a" }),
            "InvalidParameter",
        ),
        (
            json!({ "name": "x", "partitions": 1001, "compartmentId": "a" }),
            "InvalidParameter",
        ),
        (
            json!({ "name": "a/b", "partitions": 1, "compartmentId": "a" }),
            "InvalidParameter",
        ),
        (
            json!({ "name": "", "partitions": 1, "compartmentId": "a" }),
            "InvalidParameter",
        ),
        (
            json!({ "name": "x", "partitions": 1, "compartmentId": "a", "retentionInHours": 9 }),
            "InvalidParameter",
        ),
        (
            json!({ "partitions": 1, "compartmentId": "a" }),
            "CannotParseRequest",
        ),
    ] {
        client
            .request("POST", STREAMS, &details.to_string())
            .refused(400, code);
    }
    for query in [
        "",
        "?compartmentId=a&streamPoolId=b",
        "?compartmentId=a&limit=51",
    ] {
        assert_eq!(
            client
                .request("GET", &format!("{STREAMS}{query}"), "")
                .status,
            400,
            "{query}"
        );
    }
}
