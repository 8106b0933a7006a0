//! Messages and groups leave when they are old enough; offsets never come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::process::{Process, log_bytes};
use common::{Client, wait_until};
use serde_json::{Value, json};

const OUTSIDE: &str = "The cursor is outside the retention period and is now invalid.";

/// Returns a server whose stream `calls` keeps messages for one second.
fn start(folder: &Path) -> Process {
    let config = folder.join("config.json");
    let stream = json!({ "name": "calls", "partitions": 1, "retentionSecondsForTests": 1 });
    let data = folder.join("data");
    let settings = json!({ "data": data, "streams": [stream], "segmentBytes": 1_048_576 });
    std::fs::write(&config, settings.to_string()).unwrap();
    let config = config.to_str().unwrap();
    Process::start_with(&["--listen", "127.0.0.1:0", "--config", config])
}

/// Returns whether the stream has no messages. Some may leave between the two requests: then it had
/// some.
fn is_empty(client: &mut Client) -> bool {
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let answer = client.try_get(&cursor, 10_000);
    answer.status == 200 && answer.json() == json!([])
}

#[test]
fn old_messages_leave_and_their_offsets_are_never_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let mut client = Client::connect(server.address);
    client.put(None, &["x"; 2_500]);
    wait_until("all have left", || is_empty(&mut client));
    server.kill();
    // Nothing is left to tell the next offset, but the server remembers.
    let mut server = start(folder.path());
    let mut client = Client::connect(server.address);
    assert_eq!(client.put(None, &["y"])[0]["offset"], 2_500);
    wait_until("that has left too", || is_empty(&mut client));
    assert_eq!(server.terminate(), Some(0));
    let server = start(folder.path());
    let mut client = Client::connect(server.address);
    assert_eq!(client.put(None, &["z"])[0]["offset"], 2_501);
}

#[test]
fn cursors_at_what_has_left_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = Client::connect(server.address);
    client.put(None, &["x", "y", "z"]);
    let partition = client.cursor(&json!({ "partition": "0", "type": "AT_OFFSET", "offset": 0 }));
    let group = client.join("a", &json!({ "timeoutInMs": 60_000 }));
    wait_until("all have left", || is_empty(&mut client));
    for cursor in [partition, group] {
        let refused = client.try_get(&cursor, 10).refused(400, "InvalidParameter");
        assert_eq!(refused, OUTSIDE);
    }
    let details = json!({ "type": "TRIM_HORIZON" });
    client.on_stream("PUT", "groups/g", &details).ok();
    client.put(None, &["new"]);
    let cursor = client.join("a", &json!({}));
    assert_eq!(client.get(&cursor, 10).values(), ["new"]);
}

#[test]
fn who_has_read_everything_goes_on_after_it_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = Client::connect(server.address);
    client.put(None, &["x", "y"]);
    let cursor = client.join("a", &json!({ "timeoutInMs": 60_000 }));
    let read = client.get(&cursor, 10);
    assert_eq!(read.values(), ["x", "y"]);
    let cursor = client.commit(&read.next);
    wait_until("all have left", || is_empty(&mut client));
    client.put(None, &["z"]);
    assert_eq!(client.get(&cursor, 10).values(), ["z"]);
}

#[test]
fn a_group_that_nobody_uses_vanishes_and_one_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = Client::connect(server.address);
    client.join("short", &json!({ "timeoutInMs": 1_000 }));
    let details = json!({
        "groupName": "used", "type": "LATEST", "instanceName": "a", "timeoutInMs": 600_000,
    });
    common::value(client.on_stream("POST", "groupCursors", &details));
    wait_until("it has vanished", || {
        client.on_stream("GET", "groups/g", &Value::Null).status == 404
    });
    client.on_stream("GET", "groups/used", &Value::Null).ok();
    client.join("again", &json!({}));
    assert_eq!(client.committed(), [None]);
}

#[test]
fn the_disk_has_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = Client::connect(server.address);
    let value = "x".repeat(100_000);
    let data = folder.path().join("data");
    for _ in 0..3 {
        for _ in 0..10 {
            client.put(None, &[value.as_str(); 8]);
        }
        wait_until("all have left", || is_empty(&mut client));
        wait_until("the disk has room again", || log_bytes(&data) < 1_000);
    }
}
