//! What any client of Kafka may write to a stream's topic, and what reads make of it: everything
//! that can be unpacked is read, and what can't is left out, without an end of its partition.
#![cfg(feature = "kafka")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::cluster::Cluster;
use common::{Client, encode, value, wait_until};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer as _};
use serde_json::{Value, json};

/// Longest time that a client of Kafka waits for brokers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of zeros that no reader here may unpack: they take some kilobytes.
const BOMB: usize = 30_000_000;

/// Publishes records as one batch that is packed so.
fn publish_packed(cluster: &Cluster, partition: i32, codec: &str, values: &[Vec<u8>]) {
    let mut config = cluster.config();
    config
        .set("compression.type", codec)
        .set("message.max.bytes", "200000000")
        .set("queue.buffering.max.kbytes", "1000000")
        .set("batch.size", "200000000")
        .set("linger.ms", "1000");
    let producer: FutureProducer = config.create().unwrap();
    let topic = cluster.topic();
    let send = |value: &Vec<u8>| {
        let record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).partition(partition);
        let sent = producer.send_result(record.payload(value));
        sent.map_err(|(error, _)| error).unwrap()
    };
    let sent: Vec<_> = values.iter().map(send).collect();
    for sent in sent {
        cluster.runtime.block_on(sent).unwrap().unwrap();
    }
}

/// Reads a partition from its beginning until so many messages have come.
fn read(client: &mut Client, partition: u32, count: usize) -> Vec<String> {
    let details = json!({ "partition": partition.to_string(), "type": "TRIM_HORIZON" });
    let mut cursor = client.cursor(&details);
    let mut values = Vec::new();
    wait_until("all messages are read", || {
        let batch = client.get(&cursor, 100);
        values.extend(batch.values());
        cursor = batch.next;
        values.len() >= count
    });
    values
}

#[test]
fn batches_are_read_however_they_are_packed() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        publish_packed(&cluster, 0, codec, &[codec.into(), "second".into()]);
    }
    let values = read(&mut server.client(), 0, 2 * codecs.len());
    let expected: Vec<&str> = codecs.iter().flat_map(|codec| [*codec, "second"]).collect();
    assert_eq!(values, expected);
}

#[test]
fn what_cannot_be_unpacked_is_left_out_and_nothing_else() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(2);
    let mut client = server.client();
    let bomb = || vec![0_u8; BOMB];
    let text = |text: &str| text.as_bytes().to_vec();
    publish_packed(&cluster, 0, "none", &[text("a")]);
    publish_packed(&cluster, 0, "zstd", &[bomb()]);
    publish_packed(&cluster, 0, "none", &[text("b"), text("c")]);
    publish_packed(&cluster, 0, "zstd", &[text("lost"), bomb(), text("lost")]);
    publish_packed(&cluster, 0, "zstd", &[bomb()]);
    publish_packed(&cluster, 0, "none", &[text("d")]);
    publish_packed(&cluster, 1, "none", &[text("other")]);
    // The other partition is read although this one is in trouble, at the first try.
    let cursor = client.join("i", &json!({ "timeoutInMs": 120_000 }));
    let mut batch = client.get(&cursor, 100);
    let mut values = batch.values();
    assert!(values.contains(&"other".to_owned()), "{values:?}");
    wait_until("the group is behind what can't be unpacked", || {
        batch = client.get(&batch.next, 100);
        values.extend(batch.values());
        values.len() >= 5
    });
    values.retain(|value| value != "other");
    assert_eq!(values, ["a", "b", "c", "d"]);
    assert_eq!(read(&mut client, 0, 4), ["a", "b", "c", "d"]);
    client.put(None, &["later"]);
    client.commit(&batch.next);
}

#[test]
fn a_record_that_is_too_large_is_an_empty_message() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic(&[
        ("max.message.bytes", "16000000"),
        ("message.timestamp.type", "LogAppendTime"),
    ]);
    let giants = [vec![b'x'; 3_000_000], "small".into()];
    publish_packed(&cluster, 0, "none", &giants);
    // It is small enough for a server to unpack, and too large to be copied.
    publish_packed(&cluster, 0, "gzip", &[vec![b'x'; 9_000_000]]);
    publish_packed(&cluster, 0, "none", &["last".into()]);
    let server = cluster.start(1);
    assert_eq!(read(&mut server.client(), 0, 4), ["", "small", "", "last"]);
}

#[test]
fn brokers_unpack_and_refuse_where_the_topic_wants_it() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic(&[
        ("compression.type", "uncompressed"),
        ("message.timestamp.type", "LogAppendTime"),
    ]);
    let server = cluster.start(1);
    let small = "small".into();
    publish_packed(&cluster, 0, "gzip", &[small]);
    let topic = cluster.topic();
    let mut config = cluster.config();
    config
        .set("compression.type", "gzip")
        .set("message.max.bytes", "200000000");
    let producer: FutureProducer = config.create().unwrap();
    let bomb = vec![0_u8; BOMB];
    let record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).partition(0);
    let sent = producer.send(record.payload(&bomb), PATIENCE);
    let (error, _) = cluster.runtime.block_on(sent).unwrap_err();
    let code = error.rdkafka_error_code();
    assert_eq!(
        code,
        Some(rdkafka::types::RDKafkaErrorCode::MessageSizeTooLarge)
    );
    assert_eq!(read(&mut server.client(), 0, 1), ["small"]);
}

/// A client that has begun a transaction and published a record in it.
fn begin_transaction(cluster: &Cluster, value: &str) -> BaseProducer {
    let mut config = cluster.config();
    config.set("transactional.id", cluster.topic());
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let topic = cluster.topic();
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).partition(0).payload(value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

#[test]
fn a_transaction_that_is_left_open_hides_nothing() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    let transaction = begin_transaction(&cluster, "open");
    let entries = client.put(None, &["acknowledged"]);
    assert_eq!(read(&mut client, 0, 2), ["open", "acknowledged"]);
    let offset = entries[0]["offset"].clone();
    let at = json!({ "partition": "0", "type": "AT_OFFSET", "offset": offset });
    let cursor = client.cursor(&at);
    assert_eq!(client.get(&cursor, 10).values(), ["acknowledged"]);
    // It stays although it is given up. Its end is an offset that has no message.
    transaction.abort_transaction(PATIENCE).unwrap();
    assert_eq!(read(&mut client, 0, 2), ["open", "acknowledged"]);
}

#[test]
fn a_group_goes_on_behind_ends_of_transactions() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = server.client();
    let transaction = begin_transaction(&cluster, "kept");
    transaction.commit_transaction(PATIENCE).unwrap();
    let mut cursor = client.join(
        "i",
        &json!({ "commitOnGet": false, "timeoutInMs": 120_000 }),
    );
    let mut values = Vec::new();
    wait_until("the group has come to the end of the transaction", || {
        let batch = client.get(&cursor, 10);
        values.extend(batch.values());
        cursor = client.commit(&batch.next);
        client.committed() == [Some(1)]
    });
    assert_eq!(values, ["kept"]);
}

#[test]
fn topics_keep_what_is_not_read_yet_whatever_the_brokers_default_is() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    for (name, short) in [("retention.bytes", "1000000"), ("retention.ms", "3600000")] {
        let cluster = Cluster::find().unwrap();
        cluster.create_topic(&[(name, short), ("message.timestamp.type", "LogAppendTime")]);
        let Err(error) = cluster.try_start(1) else {
            panic!("it has started");
        };
        assert!(
            error.to_string().contains(&format!("{name} is {short}")),
            "{error}"
        );
    }
    let _server = cluster.start(1);
    for topic in [
        cluster.topic(),
        format!("{}__sluice.slots", cluster.setting.topic_prefix),
    ] {
        let own = cluster.own_settings(&topic);
        assert_eq!(
            own.get("retention.bytes").map(String::as_str),
            Some("-1"),
            "{topic}: {own:?}"
        );
    }
}

#[test]
fn a_flood_of_small_messages_refuses_nobody_in_the_middle() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let message = json!({ "value": encode("x") });
    let body = json!({ "messages": vec![message; 60_000] });
    let floods: Vec<_> = (0..3)
        .map(|_| {
            let (mut client, body) = (server.client(), body.clone());
            std::thread::spawn(move || client.on_stream("POST", "messages", &body).ok())
        })
        .collect();
    for flood in floods {
        let answer = flood.join().unwrap();
        assert_eq!(answer["failures"], 0);
        let offsets: Vec<u64> = answer["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["offset"].as_u64().unwrap())
            .collect();
        assert!(offsets.is_sorted());
    }
}

#[test]
fn a_stream_that_is_made_anew_is_written_and_read_at_once() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let (first, second) = (cluster.start(1), cluster.start(1));
    let (mut creator, mut user) = (first.client(), second.client());
    let details =
        json!({ "name": "anew", "partitions": 3, "compartmentId": "ocid1.compartment.a" });
    for round in 0..4 {
        let created = creator.request("POST", "/20180418/streams", &details.to_string());
        let id = created.ok()["id"].as_str().unwrap().to_owned();
        let own = format!("/20180418/streams/{id}");
        let message =
            |number: i32| json!({ "key": encode(&number.to_string()), "value": encode("x") });
        let messages: Vec<Value> = (0..30).map(message).collect();
        let body = json!({ "messages": messages }).to_string();
        for client in [&mut user, &mut creator] {
            let put = client
                .request("POST", &format!("{own}/messages"), &body)
                .ok();
            assert_eq!(put["failures"], 0, "round {round}: {put}");
        }
        let mut count = 0;
        for partition in 0..3 {
            let cursor = json!({ "partition": partition.to_string(), "type": "TRIM_HORIZON" });
            let cursor = user.request("POST", &format!("{own}/cursors"), &cursor.to_string());
            let get = format!("{own}/messages?cursor={}", value(cursor));
            count += user.request("GET", &get, "").ok().as_array().unwrap().len();
        }
        assert_eq!(count, 60, "round {round}");
        let deleted = user.request("DELETE", &own, "");
        assert_eq!(deleted.status, 204, "{deleted:?}");
    }
}
