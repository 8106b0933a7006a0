//! `stream-server copy` that is killed, that meets faults, and that must not go on.
#![cfg(feature = "copy")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::process::Command;

use common::copying::{Ends, fill, read, run};
use common::{Client, wait_until};
use serde_json::{Value, json};
use sluice::stream::signing::{KEY_BITS_MIN, PrivateKey};

fn arm(client: &mut Client, rules: &Value) {
    client.request("PUT", "/faults", &rules.to_string()).ok();
}

fn stored(ends: &Ends, partitions: u32) -> usize {
    let mut client = ends.destination();
    let count = |partition| read(&mut client, partition).len();
    (0..partitions).map(count).sum()
}

#[test]
fn a_copy_that_is_killed_goes_on_without_loss_and_repetition() {
    let ends = Ends::start_with(4, &[], &["--faults"]);
    let large = "x".repeat(20_000);
    for number in 0..400 {
        ends.source().put(None, &[&format!("{number}-{large}")]);
    }
    // Each request takes a while, so that the kill hits one that is under way.
    let slow = json!([{ "operation": "PutMessages", "delayMs": 100 }]);
    arm(&mut ends.destination(), &slow);
    let mut kills = 0;
    let mut before = 0;
    while kills < 3 {
        let mut copying = ends.begin(&["--settle", "1s"]);
        let mut ended = false;
        wait_until("some more are stored", || {
            ended = copying.try_wait().unwrap().is_some();
            ended || stored(&ends, 4) > before
        });
        copying.kill().unwrap();
        copying.wait().unwrap();
        if ended {
            break;
        }
        kills += 1;
        before = stored(&ends, 4);
    }
    assert!(kills > 0);
    arm(&mut ends.destination(), &json!([]));
    let run = run(&ends.arguments(&["--settle", "1s"]));
    assert!(run.copied() < 400, "{run:?}");
    ends.assert_alike(4);
}

#[test]
fn answers_that_are_lost_repeat_nothing() {
    let ends = Ends::start_with(2, &[], &["--faults"]);
    fill(&mut ends.source(), "call", 60);
    let rule = |effect: Value| json!({ "operation": "PutMessages", "count": 1, "effect": effect });
    let rules = json!([
        rule(json!({ "kind": "drop", "when": "after" })),
        rule(json!({ "kind": "drop", "when": "before" })),
        rule(json!({ "kind": "answer", "status": 500, "when": "after" })),
        rule(json!({ "kind": "answer", "status": 503, "when": "before" })),
        rule(json!({ "kind": "throttle", "nextInMs": 10 })),
    ]);
    arm(&mut ends.destination(), &rules);
    assert_eq!(ends.copy(&["--parallel", "1"]).copied(), 60);
    ends.assert_alike(2);
}

#[test]
fn cursors_that_expire_lose_nothing() {
    let ends = Ends::start_with(1, &["--faults"], &["--faults"]);
    fill(&mut ends.source(), "call", 40);
    let expire = json!([{ "operation": "GetMessages", "skip": 1, "count": 1,
        "effect": { "kind": "expireCursors" } }]);
    arm(&mut ends.source(), &expire);
    arm(&mut ends.destination(), &expire);
    assert_eq!(ends.copy(&[]).copied(), 40);
    ends.assert_alike(1);
}

#[test]
fn a_request_that_was_stored_in_parts_is_no_copy() {
    let ends = Ends::start_with(1, &[], &["--faults"]);
    fill(&mut ends.source(), "call", 10);
    let holes = json!([{ "operation": "PutMessages", "count": 1,
        "effect": { "kind": "failEntries", "every": 2, "error": "E", "errorMessage": "m" } }]);
    arm(&mut ends.destination(), &holes);
    let refused = ends.copy(&[]);
    assert!(refused.refused(1).contains("is not a copy"), "{refused:?}");
    let again = ends.copy(&[]);
    assert!(again.refused(1).contains("is not a copy"), "{again:?}");
}

#[test]
fn a_destination_that_others_use_is_refused() {
    let ends = Ends::start(1);
    fill(&mut ends.source(), "call", 10);
    ends.destination().put(None, &["somebody else's"]);
    let refused = ends.copy(&[]);
    let message = "message at offset 0 is not the source's at offset 0";
    assert!(refused.refused(1).contains(message), "{refused:?}");
    let ends = Ends::start(1);
    fill(&mut ends.source(), "call", 10);
    assert_eq!(ends.copy(&[]).copied(), 10);
    ends.destination().put(None, &["a call of a gateway"]);
    let refused = ends.copy(&[]);
    assert!(
        refused.refused(1).contains("publishes there"),
        "{refused:?}"
    );
}

#[test]
fn groups_in_use_are_not_moved_and_none_is_moved_back() {
    let ends = Ends::start(1);
    let mut source = ends.source();
    fill(&mut source, "call", 10);
    let cursor = source.join("worker", &json!({ "commitOnGet": false }));
    let batch = source.get(&cursor, 4);
    source.commit(&batch.next);
    assert_eq!(ends.copy(&[]).copied(), 10);
    let mut destination = ends.destination();
    let timeout = json!({ "commitOnGet": false, "timeoutInMs": 1000 });
    let cursor = destination.join("gateway", &timeout);
    let refused = ends.copy(&[]);
    assert!(refused.refused(1).contains("already reads"), "{refused:?}");
    // It may be gone by now.
    let cursor = match destination.try_get(&cursor, 10).status {
        200 => cursor,
        _ => destination.join("gateway", &timeout),
    };
    let batch = destination.get(&cursor, 10);
    destination.commit(&batch.next);
    let done = destination.committed();
    wait_until("the gateway has gone", || {
        destination.held_by("gateway") == 0
    });
    let refused = ends.copy(&[]);
    assert!(refused.refused(1).contains("not moved back"), "{refused:?}");
    assert_eq!(ends.destination().committed(), done);
}

#[test]
fn requests_are_signed_for_each_end() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key.pem");
    let (private, public) = (
        include_str!("../../tests/keys/rsa-2048-pkcs8.pem"),
        include_str!("../../tests/keys/rsa-2048-public.pem"),
    );
    let fingerprint = PrivateKey::from_pem(private, KEY_BITS_MIN)
        .unwrap()
        .fingerprint();
    let fingerprint = fingerprint.unwrap().to_string();
    let key_id = format!("ocid1.tenancy.oc1..t/ocid1.user.oc1..u/{fingerprint}");
    std::fs::write(&key_file, private).unwrap();
    let keys = folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("a.pub.pem"), public).unwrap();
    std::fs::write(keys.join("a.keyid"), &key_id).unwrap();
    let ends = Ends::start_with(1, &[], &["--auth", "keys", keys.to_str().unwrap()]);
    fill(&mut ends.source(), "call", 5);
    let unsigned = ends.copy(&[]);
    assert!(unsigned.refused(1).contains("--to-profile"), "{unsigned:?}");
    let file = key_file.to_str().unwrap();
    let signed = ["--to-key-id", &key_id, "--to-key-file", file];
    assert_eq!(ends.copy(&signed).copied(), 5);
}

#[test]
fn what_ends_a_copy_that_follows_is_a_signal() {
    let ends = Ends::start(1);
    let copying = ends.begin(&["--follow", "--settle", "100ms"]);
    fill(&mut ends.source(), "call", 5);
    wait_until("they are copied", || stored(&ends, 1) == 5);
    let id = copying.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.unwrap().success());
    let output = copying.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn keys_that_lead_elsewhere_are_refused_unless_they_may() {
    let ends = Ends::start(2);
    let mut source = ends.source();
    // One of the two partitions isn't the key's own.
    for partition in 0..2 {
        let path = format!(
            "/20180418/streams/{}/partitions/{partition}/messages",
            common::STREAM
        );
        let message = json!({ "key": common::encode("k"), "value": common::encode("v") });
        let body = json!({ "messages": [message] }).to_string();
        assert_eq!(source.request("POST", &path, &body).ok()["failures"], 0);
    }
    let refused = ends.copy(&["--parallel", "1"]);
    assert!(refused.refused(1).contains("--foreign-keys"), "{refused:?}");
    let report = ends.copy(&["--foreign-keys"]).report();
    ends.assert_alike(2);
    let partitions = report["partitions"].as_array().unwrap();
    let foreign = partitions
        .iter()
        .map(|one| one["foreignKeys"].as_u64().unwrap());
    assert_eq!(foreign.sum::<u64>(), 1);
}

#[test]
fn messages_go_to_the_partition_that_is_named() {
    let ends = Ends::start(2);
    let mut client = ends.source();
    let mut put = |partition: &str| {
        let path = format!(
            "/20180418/streams/{}/partitions/{partition}/messages",
            common::STREAM
        );
        let body = json!({ "messages": [{ "value": common::encode("v") }] }).to_string();
        client.request("POST", &path, &body)
    };
    assert_eq!(put("1").ok()["entries"][0]["partition"], "1");
    put("2").refused(400, "InvalidParameter");
    put("x").refused(400, "InvalidParameter");
}
