//! Publishing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::message::{Timestamp, ToBytes};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PATIENCE;
use super::errors::{failed, unpublished};
use super::short::{SHORT, Short};
use super::told::Asking;
use super::topics::Admin;
use crate::kafka::topic_log::{LogError, NewRecord};
use crate::partition_log::Stamp;
use crate::time::TimeMs;

/// A partition that takes longer than this is looked at: it may lack replicas.
const SLOW: Duration = Duration::from_millis(1_500);
/// How long records that were sent before this was known are waited for.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that wait for brokers, with [`RECORD_BYTES`] for each record. librdkafka's own bounds are
/// beyond it: once it refuses a record, later ones of the same request could still be taken.
const WAITING_BYTES_MAX: usize = 67_108_864;
/// Bytes that a record takes beside its key and its value.
const RECORD_BYTES: usize = 512;
/// The pause between two producers, if they fail for good again and again.
const REPLACED_PAUSE: Duration = Duration::from_secs(1);

/// How long the records of one request are waited for.
struct Waiting {
    /// Until then nothing is wrong, as far as is known.
    slow_at: Instant,
    /// How long those are waited for whose partition lacks replicas, once that was looked at.
    short_until: Option<Instant>,
    /// What isn't waited for any more.
    late: Vec<DeliveryFuture>,
}

/// A producer, which is replaced when it has failed for good.
pub(super) struct Producing {
    config: ClientConfig,
    producer: RwLock<FutureProducer>,
    replaced_at: Mutex<Option<Instant>>,
    /// Bytes that may wait for brokers.
    room: Arc<Semaphore>,
    short: Short,
}

impl Producing {
    pub(super) fn new(
        config: ClientConfig,
        asking: Arc<Asking>,
        admin: Arc<Admin>,
        min_in_sync: u16,
    ) -> Result<Self, LogError> {
        Ok(Self {
            producer: RwLock::new(config.create().map_err(failed)?),
            config,
            replaced_at: Mutex::default(),
            room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)),
            short: Short::new(asking, admin, min_in_sync),
        })
    }

    /// Publishes records; see [`crate::kafka::topic_log::Log::produce`].
    ///
    /// While a partition lacks replicas, its records are refused at once. librdkafka would try for
    /// the whole time-out, and nobody would know whether they come later.
    pub(super) async fn produce(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Stamp, LogError>> {
        let Some(room) = self.room_for(&records).await else {
            let busy = || LogError::Unavailable("too much is waiting".to_owned());
            return records.iter().map(|_| Err(busy())).collect();
        };
        let mut refused = self.short.among(topic, &records).await;
        let producer = self.producer();
        let mut sent = Vec::with_capacity(records.len());
        for record in &records {
            // Once a record is refused, all later ones of its partition are: their order is the
            // caller's.
            let sending = match refused.get(&record.partition) {
                Some(earlier) => Err(earlier.clone()),
                None => send(&producer, topic, record),
            };
            if sending.is_err() {
                let earlier = "an earlier message of its partition was refused".to_owned();
                let later = refused.entry(record.partition);
                later.or_insert(LogError::Unavailable(earlier));
            }
            sent.push((record.partition, sending));
        }
        let mut results = Vec::with_capacity(sent.len());
        let mut waiting = Waiting {
            slow_at: Instant::now() + SLOW,
            short_until: None,
            late: Vec::new(),
        };
        for (partition, sending) in sent {
            results.push(match sending {
                Err(error) => Err(error),
                Ok(delivery) => {
                    let place = (topic, partition);
                    self.delivered(place, delivery, &mut waiting).await
                }
            });
        }
        if producer.client().fatal_error().is_some() {
            self.replace_producer();
        }
        keep_until_delivered(room, waiting.late);
        results
    }

    /// Takes room for these records as a whole; `None` if there is none in time.
    async fn room_for(&self, records: &[NewRecord]) -> Option<OwnedSemaphorePermit> {
        let bytes = records.iter().fold(0_usize, |bytes, record| {
            let key_bytes = record.key.as_ref().map_or(0, bytes::Bytes::len);
            let own = key_bytes.saturating_add(record.value.len());
            bytes.saturating_add(own).saturating_add(RECORD_BYTES)
        });
        let bytes = u32::try_from(bytes.min(WAITING_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        tokio::time::timeout(PATIENCE, room).await.ok()?.ok()
    }

    /// Waits for the result of one record, and looks what is wrong if that takes long.
    async fn delivered(
        &self,
        (topic, partition): (&str, u32),
        mut delivery: DeliveryFuture,
        waiting: &mut Waiting,
    ) -> Result<Stamp, LogError> {
        while !self.short.is(topic, partition) {
            let slow_at = waiting.slow_at.into();
            if let Ok(done) = tokio::time::timeout_at(slow_at, &mut delivery).await {
                return stamp(done);
            }
            // A broker that died counts as in sync for some seconds yet.
            tokio::select! {
                done = &mut delivery => return stamp(done),
                () = self.short.look(topic) => {}
            }
            waiting.slow_at = Instant::now() + SLOW;
        }
        let until = waiting
            .short_until
            .get_or_insert_with(|| Instant::now() + SHORT_PATIENCE);
        // Replicas that are missing may stay away for long. librdkafka goes on trying.
        match tokio::time::timeout_at((*until).into(), &mut delivery).await {
            Ok(done) => stamp(done),
            Err(_) => {
                waiting.late.push(delivery);
                Err(LogError::Unknown(SHORT.to_owned()))
            }
        }
    }

    fn producer(&self) -> FutureProducer {
        let producer = self.producer.read();
        producer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_producer(&self) {
        let mut replaced_at = held(&self.replaced_at);
        // Another request may have done it, or it may have been in vain.
        if self.producer().client().fatal_error().is_none()
            || replaced_at.is_some_and(|at| at.elapsed() < REPLACED_PAUSE)
        {
            return;
        }
        *replaced_at = Some(Instant::now());
        tracing::warn!("Kafka's producer has failed for good, and another one takes its place");
        let Ok(new) = self.config.create() else {
            return;
        };
        let mut producer = self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *producer, new);
        drop(producer);
        // Its end waits for its thread.
        drop(tokio::task::spawn_blocking(move || drop(former)));
    }
}

/// Keeps the room of records that nobody waits for any more, until librdkafka is done with them.
fn keep_until_delivered(room: OwnedSemaphorePermit, late: Vec<DeliveryFuture>) {
    if late.is_empty() {
        return;
    }
    tokio::spawn(async move {
        for delivery in late {
            // Whatever it is, nobody wants to know.
            let _ = delivery.await;
        }
        drop(room);
    });
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
