//! What others do to the topics of the engine on Kafka: nothing panics, nothing is lost.
#![cfg(feature = "kafka")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::cluster::Cluster;
use common::wait_until;
use serde_json::{Value, json};

/// Slots of the clusters here.
const SLOTS: i32 = 4;
/// Offsets that a forger tries as keys of groups.
const GUESSES: u64 = 60;

/// Records that nobody of ours writes, for the internal topics.
fn foreign() -> Vec<Option<Vec<u8>>> {
    let texts = [
        "",
        "\u{0}\u{1}",
        "{}",
        "[[[[[[[[",
        r#"{"v":1}"#,
        r#"{"v":99,"epoch":1,"seq":1,"body":"renew"}"#,
        r#"{"v":1,"epoch":18446744073709551615,"seq":0,"body":{"claim":{"front":"x"}}}"#,
        r#"{"v":1,"epoch":0,"seq":0,"body":"release"}"#,
        r#"{"v":1,"epoch":999,"seq":5,"body":{"snapshotBegin":{"front":"x"}}}"#,
        r#"{"v":1,"epoch":999,"seq":6,"body":{"snapshotEnd":{"of":5,"parts":0}}}"#,
        r#"{"v":1,"alive":{"front":"","url":"javascript:alert(1)"}}"#,
        r#"{"v":1,"alive":{"front":"x"}}"#,
        r#"{"v":1,"leaving":{"front":"nobody"}}"#,
    ];
    let mut records: Vec<Option<Vec<u8>>> = vec![None, Some(vec![b'x'; 1_900_000])];
    records.push(Some(vec![b'['; 500_000]));
    records.extend(texts.map(|text| Some(text.as_bytes().to_vec())));
    records
}

/// Commits of a group as a former owner of its slot would write them, and one of the future.
fn forged_commits(slot: i32) -> Vec<Vec<u8>> {
    let slot = u64::try_from(slot).unwrap();
    let forged = |offset: u64| {
        let group = slot << 56 | offset;
        let commit = json!({ "group": group, "incarnation": 0, "offsets": { "0": 1_000_000 } });
        let record = |epoch: u64, seq: u64| {
            json!({
                "v": 1, "epoch": epoch, "seq": seq,
                "body": { "change": { "commit": commit } },
            })
            .to_string()
            .into_bytes()
        };
        [record(0, 1_000), record(1_000_000, 1)]
    };
    (0..GUESSES).flat_map(forged).collect()
}

#[test]
fn whatever_others_write_to_the_internal_topics_changes_nothing() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut one = server.client();
    one.put(Some("k"), &["a", "b", "c"]);
    let cursor = one.join("i", &json!({ "commitOnGet": false }));
    let batch = one.get(&cursor, 2);
    let cursor = one.commit(&batch.next);
    assert_eq!(one.committed(), [Some(1)]);
    for partition in 0..SLOTS {
        for record in foreign() {
            cluster.publish_to(&cluster.slots_topic(), partition, record.as_deref());
        }
        for record in forged_commits(partition) {
            cluster.publish_to(&cluster.slots_topic(), partition, Some(&record));
        }
    }
    for record in foreign() {
        cluster.publish_to(&cluster.members_topic(), 0, record.as_deref());
    }
    for topic in [cluster.slots_topic(), cluster.members_topic()] {
        cluster.publish_in_transaction(&topic, "committed", true);
        cluster.publish_in_transaction(&topic, "aborted", false);
    }
    // The one that serves goes on as if nothing had come.
    assert_eq!(one.committed(), [Some(1)]);
    let batch = one.get(&cursor, 10);
    assert_eq!(batch.values(), ["c"]);
    one.commit(&batch.next);
    assert_eq!(one.committed(), [Some(2)]);
    // And so does one that reads all of it from the beginning, and takes over.
    let second = cluster.start(1);
    let mut other = second.client();
    assert_eq!(other.committed(), [Some(2)]);
    drop(server);
    wait_until("the second server serves the group", || {
        let group = other.on_stream("GET", "groups/g", &Value::Null);
        group.status == 200
    });
    assert_eq!(other.committed(), [Some(2)]);
    other.put(Some("k"), &["d"]);
    let cursor = other.join("i", &json!({}));
    assert_eq!(other.get(&cursor, 10).values(), ["d"]);
}

#[test]
fn transactions_and_huge_records_of_others_are_read_past() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    let topic = cluster.topic();
    client.put(None, &["first"]);
    cluster.publish_in_transaction(&topic, "committed", true);
    cluster.publish_in_transaction(&topic, "aborted", false);
    let huge = vec![b'h'; 2_000_000];
    cluster.publish_to(&topic, 0, Some(&huge));
    cluster.publish_to(&topic, 0, None);
    cluster.publish_in_transaction(&topic, "aborted at the end", false);
    let mut cursor = client.join("i", &json!({}));
    let mut values = Vec::new();
    while values.len() < 6 {
        let batch = client.get(&cursor, 10);
        values.extend(batch.values());
        cursor = batch.next;
    }
    let lengths: Vec<usize> = values.iter().map(String::len).collect();
    let [first, committed, aborted] = ["first", "committed", "aborted"].map(str::len);
    let at_the_end = "aborted at the end".len();
    // Nothing waits for the end of a transaction, so those that are given up are read too.
    let expected = [first, committed, aborted, huge.len(), 0, at_the_end];
    assert_eq!(lengths, expected);
    // Marks of transactions are at the end now. They are no messages, and hide none.
    assert_eq!(client.get(&cursor, 10).values(), Vec::<String>::new());
    client.put(None, &["last"]);
    let batch = client.get(&cursor, 10);
    assert_eq!(batch.values(), ["last"]);
    client.commit(&batch.next);
}

#[test]
fn a_stream_whose_topic_is_gone_says_so_and_can_be_deleted() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    client.put(None, &["a"]);
    let cursor = client.join("i", &json!({}));
    cluster.delete_topic();
    let message = json!({ "messages": [{ "value": "eA==" }] });
    // Brokers may take a while until all of them know.
    wait_until("publishing says that the topic is gone", || {
        let put = client.on_stream("POST", "messages", &message);
        put.body.contains("no topic")
    });
    wait_until("reading says so too", || {
        let got = client.try_get(&cursor, 10);
        got.status >= 500 && got.body.contains("no topic")
    });
    let path = format!("/20180418/streams/{}", common::STREAM);
    assert_eq!(client.request("DELETE", &path, "").status, 204);
    assert_eq!(client.request("GET", &path, "").status, 404);
}

#[test]
fn a_topic_that_was_made_anew_is_noticed() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    client.put(None, &["a", "b", "c"]);
    let single = json!({ "partition": "0", "type": "TRIM_HORIZON" });
    let single = client.cursor(&single);
    let single = client.get(&single, 10).next;
    let cursor = client.join("i", &json!({}));
    let batch = client.get(&cursor, 10);
    let cursor = client.commit(&batch.next);
    cluster.delete_topic();
    wait_until("the topic can be made anew", || {
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cluster.create_topic(&[
                ("min.insync.replicas", "2"),
                ("message.timestamp.type", "LogAppendTime"),
            ]);
        }));
        made.is_ok()
    });
    wait_until("messages are taken again", || {
        let message = json!({ "messages": [{ "value": "eA==" }] });
        let put = client.on_stream("POST", "messages", &message);
        put.status == 200 && put.json()["failures"] == 0
    });
    for read in [&single, &cursor] {
        wait_until("whoever has read more than there is is told", || {
            let got = client.try_get(read, 10);
            got.status == 400 && got.body.contains("behind the end")
        });
    }
    let update = json!({ "type": "TRIM_HORIZON" });
    assert_eq!(client.on_stream("PUT", "groups/g", &update).status, 200);
    let cursor = client.join("i", &json!({}));
    assert!(client.get(&cursor, 10).values().contains(&"x".to_owned()));
}
