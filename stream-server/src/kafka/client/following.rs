//! Following partitions as they grow.

use std::collections::BTreeMap;
use std::time::Duration;

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

/// A partition that is followed.
struct Place {
    order: u64,
    next: u64,
}

struct Follower {
    consumer: BaseConsumer,
    places: BTreeMap<(String, i32), Place>,
    sender: mpsc::Sender<Followed>,
}

/// Starts a thread that follows; see [`crate::kafka::topic_log::Log::follow`].
pub(super) fn follow(config: &ClientConfig) -> Result<Following, LogError> {
    let (orders, given) = mpsc::unbounded_channel();
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let mut follower = Follower {
        consumer: config.create().map_err(failed)?,
        places: BTreeMap::new(),
        sender,
    };
    let thread = std::thread::Builder::new().name("kafka-follower".to_owned());
    let started = thread.spawn(move || follower.run(given));
    started.map_err(|error| LogError::Refused(error.to_string()))?;
    Ok((orders, receiver))
}

impl Follower {
    fn run(&mut self, mut orders: mpsc::UnboundedReceiver<Follow>) {
        while !self.sender.is_closed() {
            if self.obey(&mut orders) {
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
                Some(next) => self.places.insert(place, Place { order, next }),
                None => self.places.remove(&place),
            };
        }
        any
    }

    fn assign(&self) -> Result<(), LogError> {
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
                let followed = Followed::Record(place.order, record);
                self.sender.blocking_send(followed).ok()
            }
            Some(Err(KafkaError::PartitionEOF(_))) => self.tell_positions(),
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
