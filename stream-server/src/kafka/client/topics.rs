//! Topics: created, deleted, shortened, described.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::PATIENCE;
use super::errors::{failed, of_code};
use super::told::Asking;
use crate::kafka::topic_log::{LogError, TopicPlan};
use crate::limits::VALUE_BYTES_MAX;
use crate::settings::KafkaSetting;

pub(super) type Admin = AdminClient<DefaultClientContext>;

/// Kafka removes whole segments. So many make up a topic's retention.
const SEGMENTS: u64 = 24;
/// The shortest time that a segment takes records, in milliseconds: each is some files.
const SEGMENT_MS_MIN: u64 = 600_000;

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

/// Creates a topic.
pub(super) async fn create(
    admin: &Admin,
    setting: &KafkaSetting,
    topic: &str,
    plan: TopicPlan,
) -> Result<(), LogError> {
    let partitions = i32::try_from(plan.partitions).unwrap_or(i32::MAX);
    let replicas = TopicReplication::Fixed(i32::from(setting.replication));
    let retention = plan
        .retention_ms
        .map_or("-1".to_owned(), |ms| ms.to_string());
    let segment_ms = plan
        .retention_ms
        .map(|ms| (ms / SEGMENTS).max(SEGMENT_MS_MIN));
    let segment_ms = segment_ms.map(|ms| ms.to_string());
    let min_in_sync = setting.min_in_sync.to_string();
    let bytes_max = (2 * VALUE_BYTES_MAX).to_string();
    let mut new = NewTopic::new(topic, partitions, replicas)
        .set("min.insync.replicas", &min_in_sync)
        .set("unclean.leader.election.enable", "false")
        .set("message.timestamp.type", "LogAppendTime")
        .set("max.message.bytes", &bytes_max)
        .set("cleanup.policy", "delete")
        // The brokers' own settings may bound a partition's size, or pack all records anew.
        .set("retention.bytes", "-1")
        .set("compression.type", "producer")
        .set("retention.ms", &retention);
    if let Some(segment_ms) = &segment_ms {
        new = new.set("segment.ms", segment_ms);
    }
    if plan.flushed {
        new = new.set("flush.messages", "1");
    }
    let created = admin
        .create_topics([&new], &options())
        .await
        .map_err(failed)?;
    one(created)
}

/// Deletes a topic.
pub(super) async fn delete(admin: &Admin, topic: &str) -> Result<(), LogError> {
    one(admin
        .delete_topics(&[topic], &options())
        .await
        .map_err(failed)?)
}

fn one(results: Vec<rdkafka::admin::TopicResult>) -> Result<(), LogError> {
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(of_code(code)),
        None => Err(LogError::Unavailable("no answer".to_owned())),
    }
}

/// Deletes the records of a partition before an offset.
pub(super) async fn delete_records(
    admin: &Admin,
    topic: &str,
    partition: u32,
    before: u64,
) -> Result<(), LogError> {
    let mut places = TopicPartitionList::new();
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    let before = Offset::Offset(i64::try_from(before).unwrap_or(i64::MAX));
    let added = places.add_partition_offset(topic, partition, before);
    added.map_err(failed)?;
    let deleted = admin.delete_records(&places, &options()).await;
    let deleted = deleted.map_err(failed)?;
    deleted
        .elements()
        .iter()
        .try_for_each(|one| one.error().map_err(failed))
}

/// Returns the fewest replicas of a partition and the number of partitions; `None` if there is no
/// such topic.
pub(super) fn copies(asking: &Asking, topic: &str) -> Result<Option<(usize, u32)>, LogError> {
    let metadata = asking
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(failed)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    if let Some(error) = found.error() {
        let error = of_code(error.into());
        return match error == LogError::NoTopic {
            true => Ok(None),
            false => Err(error),
        };
    }
    let partitions = found.partitions();
    let replicas = partitions.iter().map(|one| one.replicas().len()).min();
    let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    Ok(Some((replicas.unwrap_or(0), count)))
}

/// Returns the settings of a topic.
pub(super) async fn settings(
    admin: &Admin,
    topic: &str,
) -> Result<BTreeMap<String, String>, LogError> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let told = admin.describe_configs(&asked, &options()).await;
    let told = told.map_err(failed)?.into_iter().next();
    let missing = || LogError::Unavailable("no answer".to_owned());
    let resource = told.ok_or_else(missing)?.map_err(of_code)?;
    let entries = resource.entries.into_iter();
    Ok(entries
        .filter_map(|entry| Some((entry.name, entry.value?)))
        .collect())
}
