//! `stream-server copy` between real servers: what arrives, and what becomes of groups.
#![cfg(feature = "copy")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};

use common::copying::{Ends, fill, read, run};
use common::{Client, wait_until};
use serde_json::{Value, json};

/// Reads all that is left for the group `g`, as one instance.
fn read_by_group(client: &mut Client) -> Vec<String> {
    let mut cursor = client.join("reader", &json!({ "commitOnGet": false }));
    let mut values = Vec::new();
    loop {
        let batch = client.get(&cursor, 100);
        if batch.messages.is_empty() {
            values.sort();
            return values;
        }
        values.extend(batch.values());
        cursor = batch.next;
    }
}

/// Lets the group `g` read and commit so many messages, and leave.
fn consume(client: &mut Client, messages: u32) {
    let cursor = client.join(
        "worker",
        &json!({ "commitOnGet": false, "timeoutInMs": 1000 }),
    );
    let batch = client.get(&cursor, messages);
    assert!(!batch.messages.is_empty());
    client.commit(&batch.next);
    wait_until("the instance is gone", || client.held_by("worker") == 0);
}

#[test]
fn messages_keep_partition_key_and_order_and_groups_their_place() {
    let ends = Ends::start(4);
    let mut source = ends.source();
    fill(&mut source, "call", 200);
    consume(&mut source, 70);
    let committed = source.committed();
    let run = ends.copy(&[]);
    let report = run.report();
    assert_eq!(run.copied(), 200);
    ends.assert_alike(4);
    let places = report["groups"][0]["partitions"].as_array().unwrap();
    for (place, committed) in places.iter().zip(&committed) {
        assert_eq!(place["committed"].as_u64(), *committed);
    }
    // No message was removed at the source, so the offsets are the same.
    assert_eq!(ends.destination().committed(), committed);
    assert_eq!(
        read_by_group(&mut ends.destination()),
        read_by_group(&mut source)
    );
}

#[test]
fn a_finished_copy_is_verified_and_nothing_is_copied_again() {
    let ends = Ends::start(2);
    fill(&mut ends.source(), "call", 50);
    assert_eq!(ends.copy(&[]).copied(), 50);
    let again = ends.copy(&[]);
    assert_eq!(again.copied(), 0);
    let messages = again.report()["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["messages"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(messages, 50);
    fill(&mut ends.source(), "later", 10);
    assert_eq!(ends.copy(&[]).copied(), 10);
    ends.assert_alike(2);
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let ends = Ends::start(2);
    fill(&mut ends.source(), "call", 20);
    assert_eq!(ends.copy(&["--dry-run"]).copied(), 20);
    let all: usize = (0..2)
        .map(|partition| read(&mut ends.destination(), partition).len())
        .sum();
    assert_eq!(all, 0);
    let group = ends
        .destination()
        .on_stream("GET", "groups/g", &Value::Null);
    assert_eq!(group.status, 404);
}

#[test]
fn what_is_published_meanwhile_is_copied_too() {
    let ends = Ends::start(2);
    let mut source = ends.source();
    fill(&mut source, "call", 30);
    let mut copying = ends.begin(&["--follow"]);
    let mut errors = BufReader::new(copying.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("caught up"), "{line}");
    fill(&mut source, "meanwhile", 30);
    consume(&mut source, 20);
    let id = copying.id().to_string();
    let killed = std::process::Command::new("kill").arg(&id).status();
    assert!(killed.unwrap().success());
    let ended = copying.wait().unwrap();
    let mut out = String::new();
    copying
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert_eq!(ended.code(), Some(0), "{out}");
    ends.assert_alike(2);
    assert_eq!(ends.destination().committed(), source.committed());
}

#[test]
fn a_copy_goes_on_when_the_oldest_messages_are_gone() {
    let mut ends = Ends::start(1);
    fill(&mut ends.source(), "gone", 10);
    ends.forget_all();
    let mut source = ends.source();
    fill(&mut source, "kept", 8);
    consume(&mut source, 3);
    let run = ends.copy(&[]);
    let report = run.report();
    let partition = &report["partitions"][0];
    assert_eq!(partition["sourceOffsets"], json!([10, 17]));
    assert_eq!(partition["copyOffsets"], json!([0, 7]));
    let place = &report["groups"][0]["partitions"][0];
    assert_eq!(
        (&place["committed"], &place["becomes"]),
        (&json!(12), &json!(2))
    );
    assert_eq!(read_by_group(&mut ends.destination()).len(), 5);
    // Only the last messages tell where the next run goes on.
    fill(&mut source, "later", 4);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 4);
    ends.assert_alike(1);
    // What is gone at the source stays at the destination, if the copy ends with what is there.
    let last = read(&mut source, 0);
    ends.forget_all();
    let mut source = ends.source();
    for (_, key, value) in &last {
        source.put(key.as_deref(), &[value]);
    }
    fill(&mut source, "more", 1);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 1);
}

#[test]
fn messages_that_are_alike_do_not_mislead_a_copy() {
    let mut ends = Ends::start(1);
    ends.source().put(None, &["gone", "same", "same"]);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 3);
    ends.source().put(None, &["same", "same"]);
    // Nothing is gone: the count tells.
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 2);
    ends.forget_all();
    ends.source()
        .put(None, &["gone", "same", "same", "same", "same", "same"]);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 1);
    ends.forget_all();
    ends.source().put(None, &["same"; 100]);
    let refused = ends.copy(&["--no-groups"]);
    assert!(refused.refused(1).contains("is not a copy"), "{refused:?}");
}

#[test]
fn mistakes_are_told_before_anything_is_copied() {
    let ends = Ends::start(2);
    let other = ends.arguments(&["--stream", "missing"]);
    let missing = run(&other);
    assert!(missing.refused(1).contains("--from"), "{missing:?}");
    let mut bad = ends.arguments(&[]);
    bad.retain(|one| one != "--stream" && one != "calls");
    assert_eq!(run(&bad).code, Some(2));
    let more = tempfile::tempdir().unwrap();
    let three = common::process::Process::start(more.path(), "calls:3");
    let mut unequal = ends.arguments(&[]);
    let to = unequal.iter().position(|one| one == "--to").unwrap() + 1;
    unequal[to] = format!("http://{}", three.address);
    let unequal = run(&unequal);
    assert!(unequal.refused(2).contains("has 3"), "{unequal:?}");
    let nowhere = ["--from", "http://127.0.0.1:1", "--to", "http://127.0.0.1:1"];
    let nowhere = ["copy"]
        .iter()
        .chain(&nowhere)
        .chain(&["--stream", "calls"]);
    let nowhere = run(&nowhere.map(|one| (*one).to_owned()).collect::<Vec<_>>());
    assert!(nowhere.refused(1).contains("--from http"), "{nowhere:?}");
}

#[test]
fn offsets_of_groups_are_checked() {
    let ends = Ends::start(2);
    let mut client = ends.destination();
    client.put(Some("a"), &["x", "y"]);
    let mut place = |offsets: &Value| {
        let body = json!({ "type": "AT_OFFSETS", "offsets": offsets });
        client.on_stream("PUT", "groups/g", &body)
    };
    for bad in [
        json!({ "0": 2, "1": 2 }),
        json!({ "2": 0 }),
        json!({ "x": 0 }),
    ] {
        place(&bad).refused(400, "InvalidParameter");
    }
    let full = (0..2).find(|number| {
        let placed = place(&json!({ number.to_string(): 0 }));
        placed.status == 200
    });
    let full = full.unwrap();
    let mut expected = BTreeMap::from([(0, None), (1, None)]);
    expected.insert(full, Some(0));
    let committed: Vec<_> = expected.into_values().collect();
    assert_eq!(ends.destination().committed(), committed);
    assert_eq!(read_by_group(&mut ends.destination()), ["y"]);
}
