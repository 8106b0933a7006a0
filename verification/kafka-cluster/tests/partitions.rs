//! A partition in trouble keeps its trouble to itself: other partitions of the topic are written
//! and read, other slots are served, and the server stays ready.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{Client, Ground, PATIENCE};
use kafka_cluster::Setup;
use serde_json::json;
use testkit::wait;

/// The partition of the stream that has its only copy on the broker that dies.
const LOST: u64 = 2;
/// Topics whose partitions lie on chosen brokers.
fn make_topics(ground: &Ground) {
    let own = [
        "message.timestamp.type=LogAppendTime",
        "min.insync.replicas=1",
    ];
    for (topic, places, kept) in [
        ("sluice.__sluice.members", "1", "retention.ms=3600000"),
        ("sluice.__sluice.slots", "1,2,1,3", "retention.ms=-1"),
        ("sluice.calls", "1,2,3,1", "retention.ms=-1"),
    ] {
        let settings = [&own[..], &[kept]].concat();
        let made = ground.cluster.create_topic(topic, places, &settings);
        made.unwrap();
    }
}

/// Publishes until one partition refuses at once and the others take messages. Returns what they
/// took.
fn publish_beside_trouble(client: &Client) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let mut round = 0;
    let are_others_taken = || {
        round += 1;
        let values: Vec<String> = (0..40).map(|number| format!("{round}-{number}")).collect();
        let answer = client.put(&values).unwrap();
        let entries = answer.json()["entries"].as_array().cloned();
        let entries = entries.unwrap_or_default();
        let (mut refused, mut are_known) = (0, true);
        for (value, entry) in values.iter().zip(&entries) {
            if entry["error"].is_null() {
                kept.insert(value.clone());
            } else {
                refused += 1;
                are_known &= entry["error"] == "ServiceUnavailable";
            }
        }
        are_known && (1..30).contains(&refused)
    };
    let is_so = wait::until(PATIENCE, are_others_taken);
    assert!(is_so, "one partition refuses at once, the others take");
    kept
}

/// Returns how many groups read all of this.
fn count_served(client: &Client, cursors: Vec<String>, kept: &BTreeSet<String>) -> usize {
    let reads_all = |mut cursor: String| {
        let mut read = BTreeSet::new();
        for _ in 0..40 {
            let batch = client.get(&cursor).unwrap();
            if batch.status != 200 {
                return false;
            }
            read.extend(batch.values());
            if kept.is_subset(&read) {
                return true;
            }
            cursor = batch.next.expect("a next cursor");
        }
        false
    };
    cursors
        .into_iter()
        .filter(|cursor| reads_all(cursor.clone()))
        .count()
}

#[test]
fn a_partition_without_a_leader_stops_neither_the_others_nor_the_server() {
    let setup = Setup {
        controllers: Some(1),
        ..Setup::default()
    };
    let Some(mut ground) = Ground::start("partitions", &setup) else {
        return;
    };
    make_topics(&ground);
    let one_copy = ["--replication-factor", "1", "--min-insync-replicas", "1"];
    let front = ground.front(&one_copy);
    let client = front.client();
    let groups: Vec<String> = (0..12).map(|number| format!("g{number}")).collect();
    let join = |group: &String| {
        let joined = client.join(group, "i").unwrap().json();
        joined["value"].as_str().expect("a cursor").to_owned()
    };
    let cursors: Vec<String> = groups.iter().map(join).collect();
    ground.cluster.kill(2).unwrap();
    let kept = publish_beside_trouble(&client);

    // Nobody knows where that partition begins and ends. The others are read by all groups but
    // those of the slot that is lost with it.
    let details = json!({ "partition": LOST.to_string(), "type": "TRIM_HORIZON" });
    let asked = client.request("POST", "cursors", &details).unwrap();
    assert_eq!(asked.status, 503, "{asked:?}");
    let served = count_served(&client, cursors, &kept);
    assert!(served >= 4, "only {served} of 12 groups are served");
    let ready = local_gateway::http::get(&format!("http://127.0.0.1:{}/ready", front.port));
    assert_eq!(ready.unwrap().status, 200);

    ground.cluster.restart(2).unwrap();
    let is_back = || {
        let put: Vec<String> = (0..40).map(|number| format!("back-{number}")).collect();
        let answer = client.put(&put).unwrap();
        answer.status == 200 && answer.json()["failures"] == 0
    };
    assert!(wait::until(PATIENCE, is_back), "it comes back by itself");
    let read: BTreeSet<String> = client.read_all(4).into_iter().collect();
    assert!(kept.is_subset(&read));
}
