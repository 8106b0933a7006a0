//! What is refused, in OCI's shape: sizes, bodies, paths, parameters, full stores.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Client, FIELDS, STREAM, TestServer, encode};
use serde_json::{Value, json};

fn put(client: &mut Client, messages: &Value) -> common::Answer {
    client.on_stream("POST", "messages", &json!({ "messages": messages }))
}

#[test]
fn sizes_count_decoded_bytes() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let value = |bytes: usize| encode(&"v".repeat(bytes));
    let key = |bytes: usize| encode(&"k".repeat(bytes));
    let limited = "Request size is limited to 1 MiB";
    for (messages, allowed, start) in [
        (json!([{ "value": value(1_048_576) }]), true, ""),
        (json!([{ "value": value(1_048_577) }]), false, limited),
        (
            json!([{ "value": value(1_048_576), "key": key(1) }]),
            false,
            limited,
        ),
        (
            json!([{ "value": value(524_288) }, { "value": value(524_289) }]),
            false,
            limited,
        ),
        (
            json!([{ "value": value(500_000) }, { "value": value(500_000) }]),
            true,
            "",
        ),
        (json!([{ "value": value(1), "key": key(256) }]), true, ""),
        (
            json!([{ "value": value(1), "key": key(257) }]),
            false,
            "The key of messages[0]",
        ),
        (json!([{ "value": "" }]), false, "The value of messages[0]"),
        (json!([]), false, "messages must have"),
    ] {
        let answer = put(&mut client, &messages);
        if allowed {
            answer.ok();
        } else {
            let message = answer.refused(400, "InvalidParameter");
            assert!(message.starts_with(start), "{message}");
        }
    }
}

#[test]
fn bodies_that_are_not_json_or_base64_are_refused() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let path = format!("/20180418/streams/{STREAM}/messages");
    for body in [
        "",
        "hello",
        "{}",
        "{\"messages\":1}",
        "{\"messages\":[{}]}",
        "{\"messages\":[{\"value\":null}]}",
        "{\"messages\":[{\"value\":\"not base64\"}]}",
        "{\"messages\":[{\"value\":\"YQ\"}]}",
        "{\"messages\":[{\"value\":\"YQ==\",\"key\":\"?\"}]}",
        "{\"messages\":[{\"value\":\"YQ==\"}]",
    ] {
        let message = client
            .request("POST", &path, body)
            .refused(400, "CannotParseRequest");
        assert!(
            message.starts_with("Unable to parse JSON body"),
            "{message}"
        );
    }
    assert!(
        client
            .get(&common_cursor(&mut server.client()), 1)
            .messages
            .is_empty()
    );
}

fn common_cursor(client: &mut Client) -> String {
    client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }))
}

#[test]
fn a_body_beyond_all_limits_is_refused_before_it_is_read() {
    let server = TestServer::start(1);
    let path = format!("/20180418/streams/{STREAM}/messages");
    let mut announced = server.client();
    let head = format!("POST {path} HTTP/1.1\r\n{FIELDS}content-length: 99999999\r\n\r\n");
    announced.send(head.as_bytes()).unwrap();
    announced.receive().unwrap().refused(413, "PayloadTooLarge");
    let mut chunked = server.client();
    let head = format!("POST {path} HTTP/1.1\r\n{FIELDS}transfer-encoding: chunked\r\n\r\n");
    chunked.send(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    // The server answers somewhere in between and may stop reading.
    while chunked.send(chunk.as_bytes()).is_ok() {
        if let Some(answer) = chunked.try_receive_now() {
            answer.refused(413, "PayloadTooLarge");
            return;
        }
    }
    chunked.receive().unwrap().refused(413, "PayloadTooLarge");
}

#[test]
fn unknown_things_are_404_and_wrong_methods_405() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let on = |rest: &str| format!("/20180418/streams/{STREAM}{rest}");
    let message = json!({ "messages": [{ "value": "YQ==" }] }).to_string();
    for (method, path, body, status, code) in [
        ("GET", "/".to_owned(), "", 404, "NotFound"),
        ("GET", "/20180418/nothing".to_owned(), "", 404, "NotFound"),
        (
            "GET",
            "/20180418/streams/unknown".to_owned(),
            "",
            404,
            "NotAuthorizedOrNotFound",
        ),
        (
            "POST",
            "/20180418/streams/unknown/messages".to_owned(),
            &message,
            404,
            "NotAuthorizedOrNotFound",
        ),
        (
            "GET",
            on("/groups/unknown"),
            "",
            404,
            "NotAuthorizedOrNotFound",
        ),
        ("PUT", on("/messages"), "", 405, "MethodNotAllowed"),
        ("GET", on("/messages"), "", 400, "MissingParameter"),
        ("GET", on("/messages?cursor="), "", 400, "InvalidParameter"),
        ("POST", on("/commit"), "", 400, "MissingParameter"),
        ("POST", on("/heartbeat"), "", 400, "MissingParameter"),
    ] {
        client.request(method, &path, body).refused(status, code);
    }
    let cursor = common_cursor(&mut client);
    for limit in ["0", "10001", "-1", "many", ""] {
        let path = format!("messages?cursor={cursor}&limit={limit}");
        client
            .on_stream("GET", &path, &Value::Null)
            .refused(400, "InvalidParameter");
    }
}

#[test]
fn health_says_ready() {
    let server = TestServer::start(1);
    let answer = server.client().request("GET", "/health", "");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "{\"status\":\"ready\"}")
    );
}

#[test]
fn a_full_store_answers_500_and_goes_on() {
    let bytes_max = Some(2_000_000);
    let server = TestServer::start_with(|mut settings| {
        settings.data_bytes_max = bytes_max;
        settings.with_stream("calls", 1)
    });
    let mut client = server.client();
    let value = encode(&"v".repeat(200_000));
    let mut stored = 0;
    let refused = loop {
        let answer = put(&mut client, &json!([{ "value": value }]));
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.ok()["entries"][0]["offset"], stored);
        stored += 1;
    };
    refused.refused(500, "InternalServerError");
    assert!(stored > 2, "some fitted");
    let mut cursor = common_cursor(&mut client);
    let mut read = 0;
    loop {
        let batch = client.get(&cursor, 100);
        read += batch.messages.len();
        if batch.messages.is_empty() {
            break;
        }
        cursor = batch.next;
    }
    assert_eq!(read, stored, "what was acknowledged, and nothing else");
    let small = put(&mut client, &json!([{ "value": "YQ==" }])).ok();
    assert_eq!(
        small["entries"][0]["offset"], stored,
        "what was refused took no offset"
    );
}
