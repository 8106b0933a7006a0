//! Following partitions as they grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::errors::failed;
use super::reading::record;
use crate::kafka::topic_log::{Follow, Followed, Following, LogError};

/// Records that wait for whoever follows.
const WAITING_MAX: usize = 1_024;
/// How often a follower looks for orders.
const LOOK: Duration = Duration::from_millis(50);

/// After so long without a record or an end of a partition another consumer is tried. One was seen
/// to wait for minutes for a topic that a broker hadn't known yet.
const DEAF: Duration = Duration::from_secs(10);

/// A partition that is followed.
struct Place {
    order: u64,
    next: u64,
    /// Whether a record has come since the consumer got its places.
    is_heard: bool,
}

struct Follower {
    config: ClientConfig,
    consumer: BaseConsumer,
    places: BTreeMap<(String, i32), Place>,
    sender: mpsc::Sender<Followed>,
    /// When the consumer got its places.
    assigned_at: Instant,
    /// How many ends of partitions have been told since, by partition.
    ends: BTreeMap<i32, usize>,
}

/// Starts a thread that follows; see [`crate::kafka::topic_log::Log::follow`].
pub(super) fn follow(config: &ClientConfig) -> Result<Following, LogError> {
    let (orders, given) = mpsc::unbounded_channel();
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let mut follower = Follower {
        config: config.clone(),
        consumer: config.create().map_err(failed)?,
        places: BTreeMap::new(),
        sender,
        assigned_at: Instant::now(),
        ends: BTreeMap::new(),
    };
    let thread = std::thread::Builder::new().name("kafka-follower".to_owned());
    let started = thread.spawn(move || follower.run(given));
    started.map_err(|error| LogError::Refused(error.to_string()))?;
    Ok((orders, receiver))
}

impl Follower {
    fn run(&mut self, mut orders: mpsc::UnboundedReceiver<Follow>) {
        while !self.sender.is_closed() {
            let is_deaf = self.is_deaf();
            if is_deaf {
                self.replace_consumer();
            }
            if self.obey(&mut orders) || is_deaf {
                // Everything that was on its way is forgotten by this.
                if let Err(error) = self.assign() {
                    tracing::warn!("following Kafka's topics: {error}");
                }
            }
            if self.step().is_none() {
                return;
            }
        }
    }

    /// Takes the orders that have come. Returns whether there were any.
    fn obey(&mut self, orders: &mut mpsc::UnboundedReceiver<Follow>) -> bool {
        let mut any = false;
        while let Ok(given) = orders.try_recv() {
            any = true;
            let partition = i32::try_from(given.partition).unwrap_or(i32::MAX);
            let (place, order) = ((given.topic, partition), given.order);
            match given.from {
                Some(next) => {
                    let is_heard = false;
                    let new = Place {
                        order,
                        next,
                        is_heard,
                    };
                    self.places.insert(place, new)
                }
                None => self.places.remove(&place),
            };
        }
        any
    }

    /// Returns whether a partition has said nothing for too long.
    fn is_deaf(&self) -> bool {
        if self.assigned_at.elapsed() < DEAF {
            return false;
        }
        let mut silent: BTreeMap<i32, usize> = BTreeMap::new();
        for ((_, partition), _) in self.places.iter().filter(|(_, place)| !place.is_heard) {
            let count = silent.entry(*partition).or_default();
            *count = count.saturating_add(1);
        }
        let ends = |partition: &i32| self.ends.get(partition).copied().unwrap_or(0);
        silent
            .iter()
            .any(|(partition, count)| ends(partition) < *count)
    }

    fn replace_consumer(&mut self) {
        tracing::debug!("following Kafka's topics: nothing comes, so another consumer is tried");
        if let Ok(new) = self.config.create() {
            let old = std::mem::replace(&mut self.consumer, new);
            // It may take a while to end.
            drop(std::thread::spawn(move || drop(old)));
        }
    }

    fn assign(&mut self) -> Result<(), LogError> {
        self.assigned_at = Instant::now();
        self.ends.clear();
        for place in self.places.values_mut() {
            place.is_heard = false;
        }
        let mut places = TopicPartitionList::new();
        for ((topic, partition), place) in &self.places {
            let offset = Offset::Offset(i64::try_from(place.next).unwrap_or(i64::MAX));
            let added = places.add_partition_offset(topic, *partition, offset);
            added.map_err(failed)?;
        }
        self.consumer.assign(&places).map_err(failed)
    }

    /// Waits a moment for what comes. Returns `None` if nobody wants it any more.
    fn step(&mut self) -> Option<()> {
        match self.consumer.poll(LOOK) {
            Some(Ok(message)) => {
                let place = (message.topic().to_owned(), message.partition());
                let Some(place) = self.places.get_mut(&place) else {
                    return Some(());
                };
                let record = record(&message);
                place.next = record.stamp.offset.saturating_add(1);
                place.is_heard = true;
                let followed = Followed::Record(place.order, record);
                self.sender.blocking_send(followed).ok()
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let ends = self.ends.entry(partition).or_default();
                *ends = ends.saturating_add(1);
                self.tell_positions()
            }
            // librdkafka goes on by itself, with other brokers or the same ones.
            Some(Err(error)) => {
                tracing::debug!("following Kafka's topics: {error}");
                Some(())
            }
            None => Some(()),
        }
    }

    /// Tells of offsets that have no record, such as marks of transactions.
    fn tell_positions(&mut self) -> Option<()> {
        let Ok(positions) = self.consumer.position() else {
            return Some(());
        };
        for position in positions.elements() {
            let name = (position.topic().to_owned(), position.partition());
            let (Some(place), Offset::Offset(next)) =
                (self.places.get_mut(&name), position.offset())
            else {
                continue;
            };
            let next = u64::try_from(next).unwrap_or(0);
            if next > place.next {
                place.next = next;
                let order = place.order;
                self.sender
                    .blocking_send(Followed::Next { order, next })
                    .ok()?;
            }
        }
        Some(())
    }
}
