//! `stream-server copy` away from Kafka: records of other clients of Kafka.
#![cfg(all(feature = "copy", feature = "kafka"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::cluster::Cluster;
use common::copying::{read, run};
use common::process::Process;
use common::{Client, text};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

/// Publishes records as any client of Kafka can.
fn publish(brokers: &str, topic: &str, records: &[(Option<&str>, Option<&str>)]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("acks", "all");
    let producer: FutureProducer = config.create().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (key, payload) in records {
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(topic).partition(0);
        record.key = *key;
        record.payload = *payload;
        let sent = producer.send(record, Duration::from_secs(20));
        runtime.block_on(sent).unwrap();
    }
}

#[test]
fn records_of_other_clients_are_copied_as_far_as_they_fit() {
    let Ok(brokers) = std::env::var("SLUICE_KAFKA_BROKERS") else {
        eprintln!("SKIPPED: SLUICE_KAFKA_BROKERS names no brokers");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("away-{}.", fastrand::u32(..));
    let usual = ["--listen", "127.0.0.1:0", "--stream", "calls:1"];
    let engine = [
        "--engine",
        "kafka",
        "--brokers",
        &brokers,
        "--topic-prefix",
        &prefix,
    ];
    let from = Process::start_with(&[&usual[..], &engine].concat());
    let to = Process::start(folder.path(), "calls:1");
    let long = "k".repeat(300);
    Client::connect(from.address).put(Some("own"), &["first"]);
    let records = [
        (Some("theirs"), Some("second")),
        (Some("gone"), None),
        (Some(long.as_str()), Some("long key")),
        (Some(""), Some("last")),
    ];
    publish(&brokers, &format!("{prefix}calls"), &records);
    let urls = [from.address, to.address].map(|address| format!("http://{address}"));
    let [from_url, to_url] = &urls;
    let arguments = [
        "copy", "--from", from_url, "--to", to_url, "--stream", "calls", "--json",
    ];
    let copy = |more: &[&str]| {
        let all = arguments.iter().chain(more);
        run(&all.map(|one| (*one).to_owned()).collect::<Vec<_>>())
    };
    let refused = copy(&[]);
    assert!(
        refused.refused(1).contains("it has no value"),
        "{refused:?}"
    );
    let dry = copy(&["--dry-run", "--settle", "1s"]).report();
    assert_eq!(dry["partitions"][0]["leftOut"], 2);
    let report = copy(&["--leave-out-unfit", "--settle", "1s"]).report();
    let partition = &report["partitions"][0];
    assert_eq!(
        (&partition["leftOut"], &partition["messages"]),
        (&json!(2), &json!(3))
    );
    let mut client = Client::connect(to.address);
    let values = read(&mut client, 0).into_iter().map(|(_, _, value)| value);
    assert_eq!(values.collect::<Vec<_>>(), ["first", "second", "last"]);
    let start = json!({ "partition": "0", "type": "TRIM_HORIZON" });
    let cursor = client.cursor(&start);
    let batch = client.get(&cursor, 10);
    assert_eq!(text(&batch.messages[1]["key"]), "theirs");
    assert_eq!(text(&batch.messages[2]["key"]), "");
}

/// Publishes a batch that no server unpacks, of so many records.
fn publish_bomb(cluster: &Cluster, records: usize) {
    let mut config = cluster.config();
    config
        .set("compression.type", "zstd")
        .set("message.max.bytes", "200000000")
        .set("batch.size", "200000000")
        .set("linger.ms", "1000");
    let producer: FutureProducer = config.create().unwrap();
    let topic = cluster.topic();
    let bomb = vec![0_u8; 30_000_000];
    let sent: Vec<_> = (0..records)
        .map(|number| {
            let value = if number == 0 { bomb.as_slice() } else { b"x" };
            let record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).partition(0);
            let sent = producer.send_result(record.payload(value));
            sent.map_err(|(error, _)| error).unwrap()
        })
        .collect();
    for sent in sent {
        cluster.runtime.block_on(sent).unwrap().unwrap();
    }
}

#[test]
fn what_cannot_be_unpacked_does_not_end_a_copy() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    cluster.publish(None, Some("first"));
    // More than a server steps over during one read.
    publish_bomb(&cluster, 2_000);
    cluster.publish(None, Some("last"));
    publish_bomb(&cluster, 2);
    let folder = tempfile::tempdir().unwrap();
    let to = Process::start(folder.path(), "calls:1");
    let urls = [server.address(), to.address].map(|address| format!("http://{address}"));
    let arguments = ["copy", "--from", &urls[0], "--to", &urls[1], "--json"];
    let copy = |more: &[&str]| {
        let usual = arguments.iter().chain(&["--stream", "calls"]);
        run(&usual
            .chain(more)
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>())
    };
    let refused = copy(&[]);
    assert!(
        refused.refused(1).contains("--leave-out-unfit"),
        "{refused:?}"
    );
    let report = copy(&["--leave-out-unfit", "--settle", "1s"]).report();
    assert_eq!(report["partitions"][0]["unreadable"], 2_002);
    let mut client = Client::connect(to.address);
    let values = read(&mut client, 0).into_iter().map(|(_, _, value)| value);
    assert_eq!(values.collect::<Vec<_>>(), ["first", "last"]);
    cluster.stop(server);
}
