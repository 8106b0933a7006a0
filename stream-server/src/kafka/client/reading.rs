//! Reads of a little, from anywhere, and questions about offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::PATIENCE;
use super::errors::failed;
use super::producing::time;
use super::told::Asking;
use crate::kafka::topic_log::{LogError, Record, Wanted};
use crate::partition_log::{Extent, Stamp};
use crate::time::TimeMs;

/// Reads at a time. Each needs a consumer, with some threads and connections.
const READERS_MAX: usize = 8;
/// How long a read that has something waits for more of what is wanted.
const MORE: Duration = Duration::from_millis(250);

/// Consumers that wait for a read.
pub(super) struct Readers {
    config: ClientConfig,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<BaseConsumer>>,
}

/// A read under way.
struct Reading {
    wanted: Vec<Wanted>,
    count_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// The offset to go on with, by partition; without those that are done.
    open: BTreeMap<u32, u64>,
    records: Vec<Record>,
}

impl Readers {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            permits: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Mutex::default(),
        }
    }

    /// Reads; see [`crate::kafka::topic_log::Log::fetch`].
    pub(super) async fn read(
        readers: &Arc<Self>,
        topic: &str,
        wanted: Vec<Wanted>,
        (count_max, bytes_max): (usize, usize),
    ) -> Result<Vec<Record>, LogError> {
        let busy = |error: &dyn std::fmt::Display| LogError::Unavailable(error.to_string());
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|error| busy(&error))?;
        let (readers, topic) = (Arc::clone(readers), topic.to_owned());
        let work = move || {
            let _permit = permit;
            let open = wanted.iter().map(|range| (range.partition, range.from));
            let reading = Reading {
                open: open.collect(),
                wanted,
                count_max,
                bytes_max,
                bytes: 0,
                records: Vec::new(),
            };
            readers.read_blocking(&topic, reading)
        };
        let read = tokio::task::spawn_blocking(work).await;
        read.unwrap_or_else(|error| Err(busy(&error)))
    }

    fn read_blocking(&self, topic: &str, mut reading: Reading) -> Result<Vec<Record>, LogError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let consumer = known.map_or_else(|| self.config.create().map_err(failed), Ok)?;
        let read = reading.run(&consumer, topic);
        // A consumer that has failed isn't used again: a new one has no memory of dead brokers.
        if read.is_ok() && consumer.unassign().is_ok() {
            idle().push(consumer);
        }
        read?;
        Ok(reading.in_order())
    }
}

impl Reading {
    fn run(&mut self, consumer: &BaseConsumer, topic: &str) -> Result<(), LogError> {
        let mut places = TopicPartitionList::new();
        for (partition, from) in &self.open {
            let offset = Offset::Offset(i64::try_from(*from).unwrap_or(i64::MAX));
            let added = places.add_partition_offset(topic, number(*partition), offset);
            added.map_err(failed)?;
        }
        consumer.assign(&places).map_err(failed)?;
        let begun = Instant::now();
        while !self.open.is_empty() && !self.is_full() {
            let wait = match self.records.is_empty() {
                true => PATIENCE.saturating_sub(begun.elapsed()),
                false => MORE,
            };
            match consumer.poll(wait) {
                Some(Ok(message)) => self.take(topic, &message),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.open
                        .remove(&u32::try_from(partition).unwrap_or(u32::MAX));
                }
                Some(Err(error)) => {
                    let error = failed(error);
                    // librdkafka tells of brokers that it can't reach, and goes on with others.
                    let may_pass = matches!(error, LogError::Unavailable(_));
                    if !may_pass || begun.elapsed() >= PATIENCE {
                        return Err(error);
                    }
                }
                None if self.records.is_empty() => {
                    let late = "no broker has answered in time".to_owned();
                    return Err(LogError::Unavailable(late));
                }
                None => break,
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.count_max || self.bytes > self.bytes_max
    }

    /// Takes a message, if it is one that was asked for and there is room for it.
    fn take(&mut self, topic: &str, message: &BorrowedMessage<'_>) {
        let partition = u32::try_from(message.partition()).unwrap_or(u32::MAX);
        let Some(next) = self.open.get_mut(&partition) else {
            return;
        };
        let record = record(message);
        // A message of an earlier read may still be on its way.
        if message.topic() != topic || record.stamp.offset < *next {
            return;
        }
        let mut ranges = self.wanted.iter();
        let until = ranges.find(|range| range.partition == partition);
        let until = until.map_or(u64::MAX, |range| range.until);
        if record.stamp.offset >= until {
            self.open.remove(&partition);
            return;
        }
        *next = record.stamp.offset.saturating_add(1);
        if *next >= until {
            self.open.remove(&partition);
        }
        let key_bytes = record.key.as_ref().map_or(0, Bytes::len);
        let bytes = key_bytes.saturating_add(record.value.len());
        self.bytes = self.bytes.saturating_add(bytes);
        if self.records.is_empty() || self.bytes <= self.bytes_max {
            self.records.push(record);
        }
    }

    /// Returns the records partition by partition, as they were asked for.
    fn in_order(self) -> Vec<Record> {
        let Self {
            wanted, records, ..
        } = self;
        let places: BTreeMap<u32, usize> = wanted
            .iter()
            .enumerate()
            .map(|(place, range)| (range.partition, place))
            .collect();
        let mut records = records;
        records.sort_by_key(|record| places.get(&record.partition).copied());
        records
    }
}

/// Returns a copy of a message.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: u32::try_from(message.partition()).unwrap_or(u32::MAX),
        stamp: Stamp {
            offset: u64::try_from(message.offset()).unwrap_or(0),
            time: time(message.timestamp()),
        },
        key: message.key().map(Bytes::copy_from_slice),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

/// Returns the partitions from their oldest and next offsets.
pub(super) fn extents(
    oldest: &BTreeMap<u32, u64>,
    next: BTreeMap<u32, u64>,
) -> BTreeMap<u32, Extent> {
    let extent = |(partition, next): (u32, u64)| {
        let oldest = oldest.get(&partition).copied().unwrap_or(0).min(next);
        (partition, Extent { oldest, next })
    };
    next.into_iter().map(extent).collect()
}

/// Returns an offset of each partition.
pub(super) fn offsets(
    asking: &Asking,
    topic: &str,
    partitions: u32,
    which: Offset,
) -> Result<BTreeMap<u32, u64>, LogError> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        let added = asked.add_partition_offset(topic, number(partition), which);
        added.map_err(failed)?;
    }
    let told = asking.offsets_for_times(asked, PATIENCE).map_err(failed)?;
    let mut offsets = BTreeMap::new();
    for told in told.elements() {
        told.error().map_err(failed)?;
        let partition = u32::try_from(told.partition()).unwrap_or(u32::MAX);
        let nothing = || LogError::Unavailable("a broker told no offset".to_owned());
        let offset = number_of(told.offset()).ok_or_else(nothing)?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

/// Returns the first offset with at least this time.
pub(super) fn offset_at(
    asking: &Asking,
    topic: &str,
    partition: u32,
    time: TimeMs,
) -> Result<Option<u64>, LogError> {
    let mut asked = TopicPartitionList::new();
    let time = Offset::Offset(i64::try_from(time.0).unwrap_or(i64::MAX));
    let added = asked.add_partition_offset(topic, number(partition), time);
    added.map_err(failed)?;
    let told = asking.offsets_for_times(asked, PATIENCE).map_err(failed)?;
    let told = told.elements();
    let Some(told) = told.first() else {
        return Ok(None);
    };
    told.error().map_err(failed)?;
    Ok(number_of(told.offset()))
}

/// Returns the offset as a number, if it is one.
fn number_of(offset: Offset) -> Option<u64> {
    let Offset::Offset(offset) = offset else {
        return None;
    };
    u64::try_from(offset).ok()
}

fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
