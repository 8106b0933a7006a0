//! What only the engine on Kafka has: foreign records, unfit topics, fronts that come and go.
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
use common::process::{Process, on_kafka};
use common::{Client, encode, text, value, wait_until};
use serde_json::{Value, json};

#[test]
fn records_of_any_client_are_read_as_they_are() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    let long_key = "k".repeat(10_000);
    client.put(Some("own"), &["first"]);
    cluster.publish(None, None);
    cluster.publish(Some(&long_key), Some("long key"));
    cluster.publish(Some(""), Some("\u{0}\u{1f} not JSON"));
    client.put(None, &["last"]);
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let batch = client.get(&cursor, 10);
    let expected = ["first", "", "long key", "\u{0}\u{1f} not JSON", "last"];
    assert_eq!(batch.values(), expected);
    assert_eq!(text(&batch.messages[2]["key"]), long_key);
    assert_eq!(batch.messages[1]["key"], Value::Null);
    assert_eq!(client.get(&batch.next, 10).values(), Vec::<String>::new());
}

#[test]
fn names_of_internal_topics_are_nobodys_streams() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    for name in ["__sluice.slots", "__consumer_offsets"] {
        let body = json!({ "name": name, "partitions": 1, "compartmentId": "ocid1.compartment.a" });
        let answer = client.request("POST", "/20180418/streams", &body.to_string());
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    // A topic that is there isn't taken by a client's request.
    let taken = json!({ "name": "calls", "partitions": 1, "compartmentId": "ocid1.compartment.a" });
    let answer = client.request("POST", "/20180418/streams", &taken.to_string());
    answer.refused(409, "NotAuthorizedOrResourceAlreadyExists");
}

/// A topic that nothing is wrong with.
const SAFE: [(&str, &str); 4] = [
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "false"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "2097152"),
];

/// Returns a safe topic's settings with one that differs.
fn safe_but<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = SAFE.into_iter().filter(|(own, _)| *own != name);
    others.chain([(name, value)]).collect()
}

#[test]
fn each_topic_that_could_lose_messages_is_refused_with_what_to_change() {
    for (name, value, change) in [
        ("min.insync.replicas", "1", "Set it to 2 or more"),
        ("unclean.leader.election.enable", "true", "Set it to false"),
        (
            "message.timestamp.type",
            "CreateTime",
            "Set it to LogAppendTime",
        ),
        ("cleanup.policy", "compact", "Set it to delete"),
    ] {
        let Some(cluster) = Cluster::find() else {
            return;
        };
        cluster.create_topic(&safe_but(name, value));
        let Err(error) = cluster.try_start(1) else {
            panic!("it has started with {name}={value}");
        };
        let error = error.to_string();
        assert!(error.contains(&format!("{name} is {value}")), "{error}");
        assert!(error.contains(change), "{error}");
        assert!(error.contains(&cluster.topic()), "{error}");
    }
}

#[test]
fn a_topic_with_too_few_copies_or_partitions_is_refused() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic_of(1, &SAFE);
    let Err(error) = cluster.try_start(2) else {
        panic!("it has started");
    };
    let error = error.to_string();
    for words in [
        "has 1 copies of a partition, not 3",
        "--replication-factor",
        "has 1 partitions, and the stream has 2",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_topic_that_is_made_unsafe_later_is_refused_at_the_next_start() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    server.client().put(None, &["a"]);
    drop(server);
    cluster.set(&cluster.topic(), "min.insync.replicas", "1");
    let Err(error) = cluster.try_start(1) else {
        panic!("it has started");
    };
    assert!(
        error.to_string().contains("min.insync.replicas is 1"),
        "{error}"
    );
    cluster.set(&cluster.slots_topic(), "retention.ms", "3600000");
    let Err(error) = cluster.try_start(1) else {
        panic!("it has started");
    };
    assert!(
        error.to_string().contains("retention.ms is 3600000"),
        "{error}"
    );
}

#[test]
fn what_is_only_inconvenient_is_in_the_log() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let small = [
        ("min.insync.replicas", "3"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "1000012"),
    ];
    cluster.create_topic(&small);
    let log = tempfile::NamedTempFile::new().unwrap();
    let setting = &cluster.setting;
    let arguments = on_kafka(&setting.brokers, &setting.topic_prefix, "calls");
    let process = Process::start_with_log(&arguments, log.reopen().unwrap());
    let told = std::fs::read_to_string(log.path()).unwrap();
    drop(process);
    for words in [
        "max.message.bytes is 1000012: larger messages get an error",
        "needs all of its 3 copies in sync",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_topic_that_is_there_becomes_the_stream_that_the_operator_names() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic(&[
        ("min.insync.replicas", "2"),
        ("message.timestamp.type", "LogAppendTime"),
    ]);
    cluster.publish(None, Some("before"));
    let server = cluster.start(1);
    let mut client = server.client();
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    assert_eq!(client.get(&cursor, 10).values(), ["before"]);
}

#[test]
fn groups_go_on_when_the_front_that_serves_them_ends() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let first = cluster.start(2);
    let second = cluster.start(2);
    let (mut one, mut other) = (first.client(), second.client());
    one.put(Some("k"), &["a", "b"]);
    // Whoever serves the group, both fronts answer for it.
    let cursor = other.join("i", &json!({}));
    let batch = one.get(&cursor, 10);
    assert_eq!(batch.values(), ["a", "b"]);
    let next = other.commit(&batch.next);
    assert_eq!(one.committed(), other.committed());
    one.put(Some("k"), &["c"]);
    drop(first);
    // The cursor is good if the second front has always served the group, and is invalid after it
    // has taken it over.
    let mut cursor = next;
    let mut values = Vec::new();
    wait_until("the second front serves the group", || {
        let answer = other.try_get(&cursor, 10);
        match answer.status {
            200 => values = answer.json().as_array().unwrap().clone(),
            400 => cursor = value(join(&mut other)),
            503 => {}
            status => panic!("{status}"),
        }
        !values.is_empty()
    });
    let values: Vec<String> = values.iter().map(|one| text(&one["value"])).collect();
    assert_eq!(values, ["c"]);
}

fn join(client: &mut Client) -> common::Answer {
    let details = json!({ "groupName": "g", "type": "TRIM_HORIZON", "instanceName": "i" });
    client.on_stream("POST", "groupCursors", &details)
}

#[test]
fn what_one_front_creates_the_others_have_at_once() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let (first, second) = (cluster.start(1), cluster.start(1));
    let (mut creator, mut user) = (first.client(), second.client());
    let details = json!({ "name": "new", "partitions": 2, "compartmentId": "ocid1.compartment.a" });
    let created = creator.request("POST", "/20180418/streams", &details.to_string());
    let id = created.ok()["id"].as_str().unwrap().to_owned();
    let messages = format!("/20180418/streams/{id}/messages");
    let body = json!({ "messages": [{ "value": encode("x") }] }).to_string();
    let put = user.request("POST", &messages, &body);
    assert_eq!(put.ok()["failures"], 0);
    let deleted = user.request("DELETE", &format!("/20180418/streams/{id}"), "");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    wait_until("the stream is gone", || {
        creator.request("POST", &messages, &body).status == 404
    });
}
