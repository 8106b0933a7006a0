//! Publishing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Timestamp, ToBytes};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};

use super::PATIENCE;
use super::errors::{failed, unpublished};
use super::told::Asking;
use crate::kafka::topic_log::{LogError, NewRecord};
use crate::partition_log::Stamp;
use crate::time::TimeMs;

/// A topic that takes longer than this is looked at: it may lack replicas.
const SLOW: Duration = Duration::from_millis(1_500);
/// How long it is believed that a topic lacks replicas, before it is looked at again.
const SHORT_LIFE: Duration = Duration::from_millis(500);

/// How long records that were sent before this was known are waited for.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
const SHORT: &str = "the topic has fewer replicas in sync than it must have";

/// How long the records of one request are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// As long as librdkafka tries, after a look at what is wrong.
    Whole,
    /// As long as librdkafka tries.
    Looked,
    /// Until this time: replicas are missing.
    Until(Instant),
}

/// The producer, which is replaced when it has failed for good.
pub(super) struct Producing {
    config: ClientConfig,
    producer: RwLock<FutureProducer>,
    asking: Arc<Asking>,
    min_in_sync: u16,
    /// Topics that lack replicas, and when that was seen.
    short: Mutex<BTreeMap<String, Instant>>,
}

impl Producing {
    pub(super) fn new(
        config: ClientConfig,
        asking: Arc<Asking>,
        min_in_sync: u16,
    ) -> Result<Self, LogError> {
        Ok(Self {
            producer: RwLock::new(config.create().map_err(failed)?),
            config,
            asking,
            min_in_sync,
            short: Mutex::default(),
        })
    }

    /// Publishes records; see [`crate::kafka::topic_log::Log::produce`].
    ///
    /// While a topic lacks replicas, its records are refused at once. librdkafka would try for the
    /// whole time-out, and nobody would know whether they come later.
    pub(super) async fn produce(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stamp, LogError>> {
        if self.is_short(topic).await {
            let short = || LogError::Unavailable(SHORT.to_owned());
            return records.iter().map(|_| Err(short())).collect();
        }
        let producer = self.producer();
        let sent: Vec<_> = records
            .iter()
            .map(|record| send(&producer, topic, record))
            .collect();
        let mut results = Vec::with_capacity(sent.len());
        let mut patience = Patience::Whole;
        for sending in sent {
            results.push(match sending {
                Err(error) => Err(error),
                Ok(delivery) => self.delivered(topic, delivery, &mut patience).await,
            });
        }
        if producer.client().fatal_error().is_some() {
            self.replace_producer();
        }
        results
    }

    /// Waits for the result of one record, and looks what is wrong if that takes long.
    async fn delivered(
        &self,
        topic: &str,
        mut delivery: DeliveryFuture,
        patience: &mut Patience,
    ) -> Result<Stamp, LogError> {
        if *patience == Patience::Whole {
            if let Ok(done) = tokio::time::timeout(SLOW, &mut delivery).await {
                return stamp(done);
            }
            self.look(topic).await;
            *patience = match self.short().contains_key(topic) {
                true => Patience::Until(Instant::now() + SHORT_PATIENCE),
                false => Patience::Looked,
            };
        }
        let Patience::Until(end) = *patience else {
            return stamp(delivery.await);
        };
        // Replicas that are missing may stay away for long. librdkafka goes on trying.
        match tokio::time::timeout_at(end.into(), delivery).await {
            Ok(done) => stamp(done),
            Err(_) => Err(LogError::Unknown(SHORT.to_owned())),
        }
    }

    fn producer(&self) -> FutureProducer {
        let producer = self.producer.read();
        producer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_producer(&self) {
        let mut producer = self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Another request may have done it.
        if producer.client().fatal_error().is_none() {
            return;
        }
        tracing::warn!("Kafka's producer has failed for good, and another one takes its place");
        if let Ok(new) = self.config.create() {
            *producer = new;
        }
    }

    fn short(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.short.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the topic lacks replicas.
    async fn is_short(&self, topic: &str) -> bool {
        let seen = self.short().get(topic).copied();
        match seen {
            None => false,
            Some(at) if at.elapsed() < SHORT_LIFE => true,
            Some(_) => {
                self.look(topic).await;
                self.short().contains_key(topic)
            }
        }
    }

    /// Finds out whether the topic lacks replicas.
    async fn look(&self, topic: &str) {
        let (asking, name) = (Arc::clone(&self.asking), topic.to_owned());
        let least = usize::from(self.min_in_sync);
        let looked = tokio::task::spawn_blocking(move || {
            let metadata = asking.fetch_metadata(Some(&name), PATIENCE).ok()?;
            let found = metadata.topics().first()?.partitions();
            Some(found.iter().any(|partition| partition.isr().len() < least))
        });
        match looked.await {
            Ok(Some(true)) => {
                let known = self.short().insert(topic.to_owned(), Instant::now());
                if known.is_none() {
                    tracing::warn!(
                        topic,
                        "the topic has fewer replicas in sync than it must have"
                    );
                }
            }
            Ok(Some(false)) => {
                if self.short().remove(topic).is_some() {
                    tracing::info!(topic, "the topic has enough replicas again");
                }
            }
            // Nobody answers, so nothing is known.
            Ok(None) | Err(_) => {}
        }
    }
}

fn send(
    producer: &FutureProducer,
    topic: &str,
    record: &NewRecord,
) -> Result<DeliveryFuture, LogError> {
    let partition = i32::try_from(record.partition);
    let partition = partition.map_err(|_| LogError::Refused("no such partition".to_owned()))?;
    let mut given: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic)
        .partition(partition)
        .payload(record.value.as_ref());
    if let Some(key) = &record.key {
        given = given.key(key.to_bytes());
    }
    let sent = producer.send_result(given);
    sent.map_err(|(error, _)| unpublished(&error))
}

type Delivered = Result<Delivery, (rdkafka::error::KafkaError, rdkafka::message::OwnedMessage)>;

fn stamp<E>(done: Result<Delivered, E>) -> Result<Stamp, LogError> {
    let lost = || LogError::Unknown("the producer has ended".to_owned());
    let delivery = done.map_err(|_| lost())?;
    let delivery = delivery.map_err(|(error, _)| unpublished(&error))?;
    let offset = u64::try_from(delivery.offset).map_err(|_| lost())?;
    let time = time(delivery.timestamp);
    Ok(Stamp { offset, time })
}

/// Returns a record's time; 1970 if it has none, as records of old clients may.
pub(super) fn time(timestamp: Timestamp) -> TimeMs {
    let ms = timestamp.to_millis().unwrap_or(0);
    TimeMs(u64::try_from(ms).unwrap_or(0))
}
