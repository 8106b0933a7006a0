//! The seam to a cluster: logs of records in topics, and nothing that knows streams or groups.
//!
//! [`super::memory`] keeps them in memory, [`super::client`] is a client of Apache Kafka.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::partition_log::{Extent, Stamp};
use crate::time::TimeMs;

/// The result of an operation of the log, as a future.
pub(crate) type Done<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// The result of each record that is appended, as a future.
pub(crate) type Produced<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Stamp, LogError>>> + Send + 'a>>;

/// Why an operation failed, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    /// Nothing was done, and trying again won't help.
    #[error("Kafka refuses it: {0}")]
    Refused(String),
    /// Nothing was done: the user lacks a right.
    #[error("Kafka doesn't allow it: {0}")]
    Denied(String),
    /// Nothing was done; it may work a little later.
    #[error("Kafka can't take it now: {0}")]
    Unavailable(String),
    /// It may or may not have been done, or may still be done later.
    #[error("Kafka did not confirm it: {0}")]
    Unknown(String),
    /// There is no such topic.
    #[error("there is no topic of that name")]
    NoTopic,
    /// There is a topic of that name already.
    #[error("a topic of that name exists already")]
    Exists,
    /// The record to read is no longer kept, or was never written.
    #[error("the offset is not within the partition")]
    OutOfRange,
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRecord {
    /// Its partition.
    pub(crate) partition: u32,
    /// Its key.
    pub(crate) key: Option<Bytes>,
    /// Its value.
    pub(crate) value: Bytes,
}

/// A record as it is kept. Whoever may write to the topic has chosen key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its partition.
    pub(crate) partition: u32,
    /// Offset and the log's time.
    pub(crate) stamp: Stamp,
    /// Its key.
    pub(crate) key: Option<Bytes>,
    /// Its value; empty for a record that has none.
    pub(crate) value: Bytes,
}

/// What to read of one partition: offsets `from..until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The partition.
    pub(crate) partition: u32,
    /// The first offset.
    pub(crate) from: u64,
    /// The offset to stop before.
    pub(crate) until: u64,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The records, partition by partition.
    pub(crate) records: Vec<Record>,
    /// The offset to go on with, for each partition that was read: every record before it is among
    /// those above, or can't be delivered.
    pub(crate) reached: BTreeMap<u32, u64>,
}

/// A partition to follow from an offset on, instead of wherever it is followed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Follow {
    /// The topic.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: u32,
    /// The first offset; `None` to follow it no longer.
    pub(crate) from: Option<u64>,
    /// The caller's name for this order, which everything that follows from it repeats.
    pub(crate) order: u64,
}

/// What has come of a partition that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Its next record.
    Record(u64, Record),
    /// There is nothing before this offset that hasn't come.
    Next {
        /// The order that it belongs to.
        order: u64,
        /// The offset.
        next: u64,
    },
}

/// The two ends of what is followed: orders go in, records come out.
pub(crate) type Following = (mpsc::UnboundedSender<Follow>, mpsc::Receiver<Followed>);

/// The internal topics.
#[derive(Clone, Debug)]
pub(super) struct InternalTopics {
    pub(super) members: String,
    pub(super) slots: String,
}

/// What a topic is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    /// Its partitions.
    pub(crate) partitions: u32,
    /// How long records are kept; for ever if `None`.
    pub(crate) retention_ms: Option<u64>,
    /// Whether a broker writes each record to its disk before it acknowledges it.
    pub(crate) flushed: bool,
}

/// What a topic is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicFacts {
    /// The fewest copies that a partition has.
    pub(crate) replicas: usize,
    /// Its partitions.
    pub(crate) partitions: u32,
    /// Its settings, by Kafka's names.
    pub(crate) settings: BTreeMap<String, String>,
}

/// Topics of partitions of records. Every operation ends within a bounded time.
pub(crate) trait Log: Send + Sync {
    /// Appends records, each to its partition, those of one partition in this order. Returns one
    /// result for each, after it is replicated as the topic demands.
    fn produce<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> Produced<'a>;

    /// Reads records of some partitions: at most `count_max`, and at most `bytes_max` of keys and
    /// values except that one record always fits. Those of one partition are in order and without
    /// gaps except for the ends of other clients' transactions, and for batches that can't be read
    /// at all. It may give fewer than there are. A partition in trouble doesn't stop the others: it
    /// fails only if nothing could be read of any.
    fn fetch<'a>(
        &'a self,
        topic: &'a str,
        wanted: Vec<Wanted>,
        count_max: usize,
        bytes_max: usize,
    ) -> Done<'a, Fetched>;

    /// Returns the offsets of these partitions, as they are after this call. What is before `next`
    /// can be read. A partition that nobody answers for is left out; it fails if all are. If
    /// `oldest` has the oldest offsets of all of them, brokers aren't asked for these.
    fn bounds<'a>(
        &'a self,
        topic: &'a str,
        partitions: Range<u32>,
        oldest: Option<BTreeMap<u32, u64>>,
    ) -> Done<'a, BTreeMap<u32, Extent>>;

    /// Returns for each of these partitions the first offset whose record has at least this time,
    /// by one question; partitions without such a record are left out.
    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        partitions: Range<u32>,
        time: TimeMs,
    ) -> Done<'a, BTreeMap<u32, u64>>;

    /// Follows partitions as they are told, until the receiver is dropped. An offset that is not
    /// kept means the oldest one.
    fn follow(&self) -> Result<Following, LogError>;

    /// Creates a topic.
    fn create_topic<'a>(&'a self, topic: &'a str, plan: TopicPlan) -> Done<'a, ()>;

    /// Deletes a topic with its records.
    fn delete_topic<'a>(&'a self, topic: &'a str) -> Done<'a, ()>;

    /// Deletes the records of a partition before an offset.
    fn delete_records<'a>(&'a self, topic: &'a str, partition: u32, before: u64) -> Done<'a, ()>;

    /// Returns the ids of those of the topics that exist: an empty text where the cluster has no
    /// ids. A topic that is deleted and created anew has another one.
    fn topic_ids<'a>(&'a self, topics: &'a [String]) -> Done<'a, BTreeMap<String, String>>;

    /// Returns what a topic is like; `None` if there is none of that name.
    fn describe<'a>(&'a self, topic: &'a str) -> Done<'a, Option<TopicFacts>>;
}
