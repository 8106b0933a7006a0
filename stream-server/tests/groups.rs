//! Groups over HTTP: balance, hand-over, time-out, take-over, commits, UpdateGroup.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{Batch, Client, TestServer, wait_until};
use serde_json::{Value, json};

const INVALID: &str = "The cursor is invalid. Create a new one.";

fn lazy() -> Value {
    json!({ "commitOnGet": false })
}

fn short() -> Value {
    json!({ "timeoutInMs": 1000 })
}

fn fill(client: &mut Client, count: u32) -> BTreeSet<String> {
    let values: BTreeSet<String> = (0..count).map(|n| format!("m{n:04}")).collect();
    // Keys spread them over the partitions. The engine on Kafka takes one partition for those of a
    // request that have none.
    for value in &values {
        client.put(Some(value), &[value]);
    }
    values
}

#[test]
fn a_group_is_created_once_and_shows_its_reservations() {
    let server = TestServer::start(2);
    let mut client = server.client();
    client.put(None, &["early"]);
    client
        .on_stream("GET", "groups/g", &Value::Null)
        .refused(404, "NotAuthorizedOrNotFound");
    let cursor = client.join("a", &json!({ "type": "LATEST" }));
    assert!(client.get(&cursor, 10).messages.is_empty());
    let cursor = client.join("b", &json!({ "type": "TRIM_HORIZON" }));
    assert!(
        client.get(&cursor, 10).messages.is_empty(),
        "the type of a known group is ignored"
    );
    let group = client.on_stream("GET", "groups/g", &Value::Null).ok();
    assert_eq!(
        (&group["groupName"], &group["streamId"]),
        (&json!("g"), &json!(common::STREAM))
    );
    for (partition, line) in client.reservations().iter().enumerate() {
        assert_eq!(line["partition"], partition.to_string());
        assert!(line["reservedInstance"] == "a" || line["reservedInstance"] == "b");
        assert!(line["timeReservedUntil"].as_str().unwrap().ends_with('Z'));
        assert!(
            line.get("committedOffset").is_none(),
            "nothing was committed"
        );
    }
}

#[test]
fn two_instances_share_and_nothing_comes_twice_in_an_orderly_join() {
    let server = TestServer::start(4);
    let mut client = server.client();
    let all = fill(&mut client, 200);
    let mut got = Vec::new();
    let mut read = |client: &mut Client, cursor: &str| -> Batch {
        let batch = client.get(cursor, 20);
        got.extend(batch.values());
        batch
    };
    let start = client.join("a", &Value::Null);
    let mut a = read(&mut client, &start).next;
    let mut b = client.join("b", &Value::Null);
    loop {
        let (of_a, of_b) = (read(&mut client, &a), read(&mut client, &b));
        if of_a.messages.is_empty() && of_b.messages.is_empty() {
            break;
        }
        (a, b) = (of_a.next, of_b.next);
    }
    assert_eq!((client.held_by("a"), client.held_by("b")), (2, 2));
    assert_eq!(got.len(), 200, "each message once");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), all);
}

#[test]
fn surplus_instances_stand_by() {
    let server = TestServer::start(1);
    let mut client = server.client();
    fill(&mut client, 3);
    let first = client.join("a", &Value::Null);
    let second = client.join("b", &Value::Null);
    assert!(client.get(&second, 10).messages.is_empty());
    assert_eq!(client.get(&first, 10).messages.len(), 3);
}

#[test]
fn a_silent_instance_loses_its_partitions_and_its_batch_comes_again() {
    let server = TestServer::start(2);
    let mut client = server.client();
    let all = fill(&mut client, 20);
    let a = client.join("a", &short());
    let a = client.get(&a, 100).next;
    let mut b = client.join("b", &json!({ "timeoutInMs": 60_000 }));
    wait_until("b has all partitions", || {
        b = common::value(client.try_heartbeat(&b));
        client.held_by("b") == 2
    });
    for refused in [client.try_get(&a, 10), client.try_commit(&a)] {
        let message = refused.refused(400, "InvalidParameter");
        assert!(
            message.starts_with("Trying to commit unreserved partition"),
            "{message}"
        );
    }
    client.try_heartbeat(&a).refused(400, "InvalidParameter");
    let again: BTreeSet<String> = client.get(&b, 100).values().into_iter().collect();
    assert_eq!(again, all);
}

#[test]
fn an_instance_that_does_not_commit_keeps_what_it_has_until_it_does() {
    let server = TestServer::start(2);
    let mut client = server.client();
    fill(&mut client, 40);
    let start = client.join("a", &lazy());
    let first = client.get(&start, 100);
    client.join("b", &lazy());
    assert_eq!((client.held_by("a"), client.held_by("b")), (2, 0));
    fill(&mut client, 40);
    let second = client.get(&first.next, 100);
    let partitions: BTreeSet<String> = second
        .messages
        .iter()
        .map(|m| m["partition"].to_string())
        .collect();
    assert_eq!(
        partitions.len(),
        1,
        "nothing new of the partition that leaves"
    );
    client.commit(&first.next);
    assert_eq!((client.held_by("a"), client.held_by("b")), (1, 1));
    client.commit(&second.next);
}

#[test]
fn a_name_that_joins_again_takes_over_at_the_committed_offset() {
    let server = TestServer::start(2);
    let mut client = server.client();
    let all = fill(&mut client, 10);
    let old = client.join("a", &Value::Null);
    let old = client.get(&old, 100).next;
    let new = client.join("a", &Value::Null);
    for refused in [
        client.try_get(&old, 1),
        client.try_commit(&old),
        client.try_heartbeat(&old),
    ] {
        assert_eq!(refused.refused(400, "InvalidParameter"), INVALID);
    }
    assert_eq!(client.held_by("a"), 2);
    assert_eq!(
        client
            .get(&new, 100)
            .values()
            .into_iter()
            .collect::<BTreeSet<_>>(),
        all
    );
}

#[test]
fn the_next_get_commits_the_batch_before() {
    let server = TestServer::start(1);
    let mut client = server.client();
    fill(&mut client, 10);
    let first = client.join("a", &Value::Null);
    let second = client.get(&first, 4).next;
    assert_eq!(client.committed(), [None]);
    let third = client.get(&second, 4).next;
    assert_eq!(client.committed(), [Some(3)]);
    client.get(&second, 1);
    assert_eq!(
        client.committed(),
        [Some(3)],
        "an older cursor commits no less"
    );
    client.commit(&third);
    assert_eq!(client.committed(), [Some(7)]);
}

#[test]
fn a_commit_reaches_as_far_as_its_cursor_and_the_client_goes_on_with_any() {
    let server = TestServer::start(1);
    let mut client = server.client();
    fill(&mut client, 9);
    let start = client.join("a", &lazy());
    let one = client.get(&start, 3).next;
    let two = client.get(&one, 3).next;
    let three = client.get(&two, 3).next;
    assert_eq!(client.committed(), [None]);
    let after_two = client.commit(&two);
    assert_eq!(client.committed(), [Some(5)]);
    let after_one = client.commit(&one);
    assert_eq!(
        client.committed(),
        [Some(5)],
        "an older one is a success and changes nothing"
    );
    assert_eq!(
        client.get(&after_one, 1).values(),
        ["m0003"],
        "and keeps its read position"
    );
    assert_eq!(client.get(&after_two, 1).values(), ["m0006"]);
    let beat = common::value(client.try_heartbeat(&two));
    assert_eq!(client.get(&beat, 1).values(), ["m0006"]);
    assert!(client.get(&three, 1).messages.is_empty());
    client.commit(&three);
    assert_eq!(client.committed(), [Some(8)]);
}

#[test]
fn update_group_moves_the_group_and_ends_its_cursors() {
    let server = TestServer::start(1);
    let mut client = server.client();
    fill(&mut client, 5);
    let cursor = client.join("a", &Value::Null);
    let read = client.get(&cursor, 5).next;
    client.commit(&read);
    for (update, expected) in [("TRIM_HORIZON", 5), ("LATEST", 0), ("AT_TIME", 5)] {
        let details = json!({ "type": update, "time": "2020-01-01T00:00:00Z" });
        let answer = client.on_stream("PUT", "groups/g", &details);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(
            client.try_get(&read, 1).refused(400, "InvalidParameter"),
            INVALID
        );
        let cursor = client.join("a", &Value::Null);
        assert_eq!(
            client.get(&cursor, 100).messages.len(),
            expected,
            "{update}"
        );
    }
    let nobody = client.on_stream("PUT", "groups/nobody", &json!({ "type": "LATEST" }));
    nobody.refused(404, "NotAuthorizedOrNotFound");
}

#[test]
fn committed_offsets_and_moves_outlive_a_restart() {
    let mut server = TestServer::start(1);
    let mut client = server.client();
    fill(&mut client, 5);
    let cursor = client.join("a", &Value::Null);
    let read = client.get(&cursor, 5).next;
    client.commit(&read);
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.committed(), [Some(4)]);
    client
        .on_stream("PUT", "groups/g", &json!({ "type": "TRIM_HORIZON" }))
        .ok();
    let cursor = client.join("a", &Value::Null);
    let read = client.get(&cursor, 2).next;
    client.commit(&read);
    drop(client);
    server.restart();
    assert_eq!(server.client().committed(), [Some(1)]);
}

#[test]
fn what_cannot_be_a_member_is_refused() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let long = "x".repeat(256);
    for more in [
        json!({ "timeoutInMs": 999 }),
        json!({ "timeoutInMs": -5 }),
        json!({ "type": "AT_OFFSET" }),
        json!({ "groupName": "" }),
        json!({ "groupName": long }),
        json!({ "instanceName": long }),
    ] {
        let mut details = json!({ "groupName": "g", "type": "LATEST" });
        details
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client
            .on_stream("POST", "groupCursors", &details)
            .refused(400, "InvalidParameter");
    }
    let nameless = json!({ "groupName": "g", "type": "LATEST" });
    client.on_stream("POST", "groupCursors", &nameless).ok();
    assert!(
        client.reservations()[0]["reservedInstance"]
            .as_str()
            .unwrap()
            .len()
            > 10
    );
    let own = client.cursor(&json!({ "partition": "0", "type": "LATEST" }));
    client.try_commit(&own).refused(400, "InvalidParameter");
}
