//! Clients that send nothing, or little at a time, lose their connection; others are served.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Client, FIELDS, STREAM, TestServer, encode, wait_until};
use serde_json::json;

#[test]
fn headers_that_never_end_lose_their_connection() {
    let server = TestServer::start(1);
    let mut silent = server.client();
    let mut dripping = server.client();
    dripping
        .send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
        .unwrap();
    let mut other = server.client();
    // Each byte comes in time, the whole does not.
    wait_until("the connection is closed", || {
        other.request("GET", "/health", "").ok();
        dripping.send(b"x").is_err() || dripping.has_ended()
    });
    assert!(silent.receive().is_err(), "it was closed without an answer");
}

#[test]
fn a_body_that_never_ends_is_answered() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let path = format!("/20180418/streams/{STREAM}/messages");
    let head = format!("POST {path} HTTP/1.1\r\n{FIELDS}content-length: 100\r\n\r\n{{");
    client.send(head.as_bytes()).unwrap();
    client.receive().unwrap().refused(408, "RequestTimeout");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let head = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    // It may close before all of this is sent.
    let _ = client.send(head.as_bytes());
    assert!(client.receive().map_or(true, |answer| answer.status == 431));
}

#[test]
fn requests_follow_one_another_on_one_connection() {
    let server = TestServer::start(1);
    let mut client = server.client();
    for _ in 0..100 {
        client.request("GET", "/health", "").ok();
    }
    let two = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2);
    client.send(two.as_bytes()).unwrap();
    client.receive().unwrap().ok();
    client.receive().unwrap().ok();
}

/// What is answered at once leaves no time in which the server looks for the end of the head.
#[test]
fn a_connection_in_use_outlives_the_time_for_a_head() {
    let server = TestServer::start(1);
    let mut silent = server.client();
    let mut busy = server.client();
    wait_until("the silent connection is closed", || {
        busy.request("GET", "/health", "").ok();
        silent.has_ended()
    });
    // It is older than its first head may take by now.
    for _ in 0..100 {
        busy.request("GET", "/health", "").ok();
    }
}

/// More bodies than there is room for: they come, but for their ends.
#[test]
fn bodies_that_never_end_make_room_for_others() {
    let server = TestServer::start(1);
    let path = format!("/20180418/streams/{STREAM}/messages");
    let head = format!("POST {path} HTTP/1.1\r\n{FIELDS}content-length: 1500000\r\n\r\n");
    let value = "x".repeat(500_000);
    let body = json!({ "messages": [{ "value": encode(&value) }] }).to_string();
    let mut slow = Vec::new();
    let made_room = |slow: &mut Vec<Client>| {
        let answers = slow.iter_mut().filter_map(Client::try_receive_now);
        answers.filter(|answer| answer.status == 408).count()
    };
    let mut count = 0;
    wait_until("the first of them make room", || {
        let mut client = server.client();
        client.send(head.as_bytes()).unwrap();
        // One that is refused may be closed before it has sent all.
        let _ = client.send(&vec![b' '; 1_400_000]);
        slow.push(client);
        count += made_room(&mut slow);
        count > 0
    });
    // Their own time isn't over.
    assert!(count < 20, "{count} of {}", slow.len());
    wait_until("another body is taken", || {
        let put = server.client().try_request("POST", &path, &body);
        put.is_ok_and(|answer| answer.status == 200)
    });
}
