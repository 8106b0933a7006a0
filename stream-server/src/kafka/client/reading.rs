//! Reads of a little, from anywhere.

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
use super::errors::{failed, is_unreadable};
use super::offsets::{number, number_of};
use super::producing::time;
use crate::kafka::topic_log::{Fetched, LogError, Record, Wanted};
use crate::limits::VALUE_BYTES_MAX;
use crate::partition_log::Stamp;

/// Reads at a time. Each needs a consumer, with some threads and connections.
const READERS_MAX: usize = 8;
/// How long a read that has something waits for more of what is wanted, and one that has met a
/// problem for what has none.
const MORE: Duration = Duration::from_millis(250);
/// Bytes of a record's key and value that are copied. Topics made here take none that is larger.
const RECORD_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;

/// Consumers that wait for a read.
pub(super) struct Readers {
    config: ClientConfig,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<BaseConsumer>>,
}

/// A read under way.
pub(super) struct Reading {
    wanted: Vec<Wanted>,
    count_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// The offset to go on with, by partition; without those that are done.
    pub(super) open: BTreeMap<u32, u64>,
    pub(super) fetched: Fetched,
    /// Why something couldn't be read.
    failure: Option<LogError>,
    /// Whether there is a batch that librdkafka can't unpack.
    pub(super) meets_unreadable: bool,
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
        bounds: (usize, usize),
    ) -> Result<Fetched, LogError> {
        let busy = |error: &dyn std::fmt::Display| LogError::Unavailable(error.to_string());
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|error| busy(&error))?;
        let (readers, topic) = (Arc::clone(readers), topic.to_owned());
        let work = move || {
            let _permit = permit;
            readers.read_blocking(&topic, Reading::new(wanted, bounds))
        };
        let read = tokio::task::spawn_blocking(work).await;
        read.unwrap_or_else(|error| Err(busy(&error)))
    }

    fn read_blocking(&self, topic: &str, mut reading: Reading) -> Result<Fetched, LogError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let consumer = known.map_or_else(|| self.config.create().map_err(failed), Ok)?;
        reading.run(&consumer, topic)?;
        if reading.meets_unreadable && !reading.is_full() {
            reading.step_over(&consumer, topic)?;
        }
        // A consumer that has failed isn't used again: a new one has no memory of dead brokers.
        if reading.failure.is_none() && consumer.unassign().is_ok() {
            idle().push(consumer);
        }
        reading.end()
    }
}

impl Reading {
    fn new(wanted: Vec<Wanted>, (count_max, bytes_max): (usize, usize)) -> Self {
        let open = wanted.iter().map(|range| (range.partition, range.from));
        Self {
            open: open.collect(),
            wanted,
            count_max,
            bytes_max,
            bytes: 0,
            fetched: Fetched::default(),
            failure: None,
            meets_unreadable: false,
        }
    }

    /// Reads all partitions at once. One in trouble neither stops the others nor spoils what they
    /// have given.
    fn run(&mut self, consumer: &BaseConsumer, topic: &str) -> Result<(), LogError> {
        assign(consumer, topic, &self.open)?;
        let begun = Instant::now();
        let mut latest = begun;
        while !self.open.is_empty() && !self.is_full() && begun.elapsed() < PATIENCE {
            let is_waiting = self.fetched == Fetched::default() && !self.has_met_a_problem();
            let patience = if is_waiting { PATIENCE } else { MORE };
            match consumer.poll(patience.saturating_sub(latest.elapsed())) {
                Some(Ok(message)) => {
                    self.take(topic, &message);
                    latest = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let partition = u32::try_from(partition).unwrap_or(u32::MAX);
                    self.reach_positions(consumer, topic, |one| one == partition);
                    self.open.remove(&partition);
                    latest = Instant::now();
                }
                Some(Err(error)) => self.note(error),
                None => break,
            }
        }
        if !self.is_full() {
            self.reach_positions(consumer, topic, |_| true);
        }
        Ok(())
    }

    /// Notes what librdkafka tells of. It has lost its partition on the way.
    fn note(&mut self, error: KafkaError) {
        if is_unreadable(&error) {
            self.meets_unreadable = true;
        }
        let error = failed(error);
        // librdkafka tells of brokers that it can't reach, and goes on with others. What lasts
        // counts more.
        let lasts = !matches!(error, LogError::Unavailable(_));
        if lasts || self.failure.is_none() {
            self.failure = Some(error);
        }
    }

    fn has_met_a_problem(&self) -> bool {
        let lasts = |error: &LogError| !matches!(error, LogError::Unavailable(_));
        self.meets_unreadable || self.failure.as_ref().is_some_and(lasts)
    }

    pub(super) fn is_full(&self) -> bool {
        self.fetched.records.len() >= self.count_max || self.bytes > self.bytes_max
    }

    pub(super) fn until(&self, partition: u32) -> u64 {
        let mut ranges = self.wanted.iter();
        let range = ranges.find(|range| range.partition == partition);
        range.map_or(u64::MAX, |range| range.until)
    }

    /// Notes that there is nothing to read before this offset any more.
    pub(super) fn reach(&mut self, partition: u32, next: u64) {
        let until = self.until(partition);
        let next = next.min(until);
        if let Some(open) = self.open.get_mut(&partition)
            && *open < next
        {
            *open = next;
            self.fetched.reached.insert(partition, next);
        }
        if next >= until {
            self.open.remove(&partition);
        }
    }

    /// Takes the offsets that the consumer has come to without a record, such as the ends of
    /// transactions. Everything that it has given must have been taken.
    fn reach_positions(
        &mut self,
        consumer: &BaseConsumer,
        topic: &str,
        which: impl Fn(u32) -> bool,
    ) {
        let Ok(positions) = consumer.position() else {
            return;
        };
        for position in positions.elements_for_topic(topic) {
            let partition = u32::try_from(position.partition()).unwrap_or(u32::MAX);
            if let Some(next) = number_of(position.offset()).filter(|_| which(partition)) {
                self.reach(partition, next);
            }
        }
    }

    /// Takes a message, if it is one that was asked for and there is room for it.
    pub(super) fn take(&mut self, topic: &str, message: &BorrowedMessage<'_>) {
        let partition = u32::try_from(message.partition()).unwrap_or(u32::MAX);
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        // A message of an earlier read may still be on its way.
        let is_wanted = self
            .open
            .get(&partition)
            .is_some_and(|next| offset >= *next);
        if message.topic() != topic || !is_wanted {
            return;
        }
        if offset >= self.until(partition) {
            return self.reach(partition, offset);
        }
        let record = record(message);
        let key_bytes = record.key.as_ref().map_or(0, Bytes::len);
        let bytes = key_bytes.saturating_add(record.value.len());
        self.bytes = self.bytes.saturating_add(bytes);
        if self.fetched.records.is_empty() || self.bytes <= self.bytes_max {
            self.fetched.records.push(record);
            self.reach(partition, offset.saturating_add(1));
        }
    }

    /// Returns what was read, partition by partition, as they were asked for.
    fn end(self) -> Result<Fetched, LogError> {
        let Self {
            wanted,
            open,
            mut fetched,
            failure,
            ..
        } = self;
        if fetched == Fetched::default() && !open.is_empty() {
            let late = || LogError::Unavailable("no broker has answered in time".to_owned());
            return Err(failure.unwrap_or_else(late));
        }
        if let Some(failure) = failure.filter(|_| !open.is_empty()) {
            let partitions: Vec<u32> = open.into_keys().collect();
            tracing::debug!(?partitions, "some partitions can't be read now: {failure}");
        }
        let places: BTreeMap<u32, usize> = wanted
            .iter()
            .enumerate()
            .map(|(place, range)| (range.partition, place))
            .collect();
        let place = |record: &Record| places.get(&record.partition).copied();
        fetched.records.sort_by_key(place);
        Ok(fetched)
    }
}

/// Has the consumer read these partitions from these offsets on, and no others.
pub(super) fn assign(
    consumer: &BaseConsumer,
    topic: &str,
    from: &BTreeMap<u32, u64>,
) -> Result<(), LogError> {
    let mut places = TopicPartitionList::new();
    for (partition, from) in from {
        let offset = Offset::Offset(i64::try_from(*from).unwrap_or(i64::MAX));
        let added = places.add_partition_offset(topic, number(*partition), offset);
        added.map_err(failed)?;
    }
    consumer.assign(&places).map_err(failed)
}

/// Returns a copy of a message. One that is too large to be copied comes without key and value, so
/// that whoever reads the stream sees that there is something.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Record {
    let mut key = message.key();
    let mut value = message.payload().unwrap_or_default();
    let bytes = value.len().saturating_add(key.map_or(0, <[u8]>::len));
    if bytes > RECORD_BYTES_MAX {
        tracing::warn!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            "a record of {bytes} bytes is above {RECORD_BYTES_MAX}: it is read as an empty one"
        );
        (key, value) = (None, &[]);
    }
    Record {
        partition: u32::try_from(message.partition()).unwrap_or(u32::MAX),
        stamp: Stamp {
            offset: u64::try_from(message.offset()).unwrap_or(0),
            time: time(message.timestamp()),
        },
        key: key.map(Bytes::copy_from_slice),
        value: Bytes::copy_from_slice(value),
    }
}
