//! What the rest counts on from any log, tried on that in memory and on a real broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::memory::MemoryLog;
use super::topic_log::{Follow, Followed, Log, LogError, NewRecord, Record, TopicPlan, Wanted};
use crate::partition_log::Extent;
use crate::time::TimeMs;

const PLAN: TopicPlan = TopicPlan {
    partitions: 2,
    retention_ms: Some(86_400_000),
    flushed: false,
};

fn record(partition: u32, key: Option<&'static str>, value: &'static str) -> NewRecord {
    NewRecord {
        partition,
        key: key.map(|key| Bytes::from_static(key.as_bytes())),
        value: Bytes::from_static(value.as_bytes()),
    }
}

fn wanted(partition: u32, from: u64) -> Wanted {
    let until = u64::MAX;
    Wanted {
        partition,
        from,
        until,
    }
}

/// Appends and reads, with bounds of offsets, counts and bytes.
async fn appends_and_reads(log: &dyn Log, topic: &str) {
    log.create_topic(topic, PLAN).await.unwrap();
    assert_eq!(log.create_topic(topic, PLAN).await, Err(LogError::Exists));
    let records = vec![
        record(0, Some("k"), "a"),
        record(1, None, "b"),
        record(0, Some(""), "cc"),
        record(0, None, ""),
    ];
    let stamps = log.produce(topic, records).await;
    let offsets: Vec<u64> = stamps
        .iter()
        .map(|stamp| stamp.as_ref().unwrap().offset)
        .collect();
    assert_eq!(offsets, [0, 0, 1, 2]);
    let bounds = log.bounds(topic, 0..2, None).await.unwrap();
    let extent = |next| Extent { oldest: 0, next };
    assert_eq!(bounds, BTreeMap::from([(0, extent(3)), (1, extent(1))]));
    // A read may give fewer than there are.
    let mut read = Vec::new();
    while read.len() < 4 {
        let next = |partition| {
            let known = read
                .iter()
                .filter(|one: &&Record| one.partition == partition);
            wanted(partition, u64::try_from(known.count()).unwrap())
        };
        let all = vec![next(1), next(0)];
        read.extend(log.fetch(topic, all, 10, 1_000).await.unwrap().records);
    }
    read.sort_by_key(|record| std::cmp::Reverse(record.partition));
    let values: Vec<_> = read
        .iter()
        .map(|one| (one.partition, &one.value[..]))
        .collect();
    assert_eq!(
        values,
        [
            (1, &b"b"[..]),
            (0, &b"a"[..]),
            (0, &b"cc"[..]),
            (0, &b""[..])
        ]
    );
    assert_eq!(read[1].key.as_deref(), Some(&b"k"[..]));
    assert_eq!(
        (read[2].key.as_deref(), &read[3].key),
        (Some(&b""[..]), &None)
    );
    let stamp = stamps[2].as_ref().unwrap();
    assert_eq!(read[2].stamp, *stamp);
    reads_within_bounds(log, topic, stamp.time).await;
}

async fn reads_within_bounds(log: &dyn Log, topic: &str, time: TimeMs) {
    for (count_max, bytes_max, expected) in [(1, 1_000, 1), (10, 1, 1), (10, 2, 1), (10, 4, 3)] {
        let read = log
            .fetch(topic, vec![wanted(0, 0)], count_max, bytes_max)
            .await;
        let read = read.unwrap();
        assert_eq!(read.records.len(), expected, "{count_max} {bytes_max}");
        let reached = u64::try_from(expected).unwrap();
        assert_eq!(read.reached, BTreeMap::from([(0, reached)]));
    }
    let until = Wanted {
        until: 2,
        ..wanted(0, 1)
    };
    assert_eq!(
        log.fetch(topic, vec![until], 10, 1_000)
            .await
            .unwrap()
            .records
            .len(),
        1
    );
    let at = log.offsets_at(topic, 0..2, time).await.unwrap();
    assert!(at.get(&0).is_some_and(|offset| *offset <= 1), "{at:?}");
    let later = TimeMs(time.0 + 3_600_000);
    let none = log.offsets_at(topic, 0..2, later).await.unwrap();
    assert_eq!(none, BTreeMap::new());
}

/// Deletes records and topics.
async fn deletes(log: &dyn Log, topic: &str) {
    log.delete_records(topic, 0, 2).await.unwrap();
    let bounds = log.bounds(topic, 0..2, None).await.unwrap();
    assert_eq!(bounds[&0], Extent { oldest: 2, next: 3 });
    let gone = log.fetch(topic, vec![wanted(0, 1)], 10, 1_000).await;
    assert_eq!(gone, Err(LogError::OutOfRange));
    assert_eq!(
        log.fetch(topic, vec![wanted(0, 2)], 10, 1_000)
            .await
            .unwrap()
            .records
            .len(),
        1
    );
    assert_eq!(log.describe(topic).await.unwrap().unwrap().partitions, 2);
    assert_eq!(log.describe("nowhere").await.unwrap(), None);
    log.delete_topic(topic).await.unwrap();
    assert_eq!(log.delete_topic("nowhere").await, Err(LogError::NoTopic));
}

/// Follows partitions, from other places as it is told.
async fn follows(log: &dyn Log, topic: &str) {
    log.create_topic(topic, PLAN).await.unwrap();
    let first: Vec<_> = (0..3).map(|_| record(0, None, "x")).collect();
    log.produce(topic, first).await;
    let (orders, mut followed) = log.follow().unwrap();
    let follow = |partition, from, order| Follow {
        topic: topic.to_owned(),
        partition,
        from,
        order,
    };
    orders.send(follow(0, Some(1), 7)).unwrap();
    orders.send(follow(1, Some(0), 8)).unwrap();
    let mut next = async || {
        let patience = Duration::from_secs(20);
        let next = tokio::time::timeout(patience, followed.recv()).await;
        match next.unwrap().unwrap() {
            Followed::Record(order, record) => (order, record.stamp.offset),
            Followed::Next { order, next } => panic!("{order} {next}"),
        }
    };
    assert_eq!([next().await, next().await], [(7, 1), (7, 2)]);
    log.produce(topic, vec![record(1, None, "y")]).await;
    assert_eq!(next().await, (8, 0));
    orders.send(follow(1, None, 9)).unwrap();
    orders.send(follow(0, Some(2), 10)).unwrap();
    assert_eq!(next().await, (10, 2));
    log.produce(topic, vec![record(1, None, "z"), record(0, None, "z")])
        .await;
    assert_eq!(next().await, (10, 3));
    log.delete_topic(topic).await.unwrap();
}

async fn keeps_the_contract(log: &dyn Log) {
    // Brokers remember topics of earlier runs.
    let name = |kind: &str| format!("contract-{kind}-{:08x}", fastrand::u32(..));
    let topic = name("records");
    appends_and_reads(log, &topic).await;
    deletes(log, &topic).await;
    follows(log, &name("follow")).await;
}

#[tokio::test]
async fn a_log_in_memory_keeps_the_contract() {
    keeps_the_contract(&MemoryLog::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_broker_keeps_the_contract() {
    let Some(brokers) = testkit::kafka::brokers_or_skip() else {
        return;
    };
    let setting = crate::settings::KafkaSetting {
        replication: 1,
        min_in_sync: 1,
        ..crate::settings::KafkaSetting::local(brokers)
    };
    let log = super::client::KafkaLog::new(&Arc::new(setting)).unwrap();
    keeps_the_contract(&log).await;
}
