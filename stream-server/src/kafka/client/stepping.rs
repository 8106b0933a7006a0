//! Steps over batches that librdkafka can't unpack: those that unpack to more than it may take,
//! or that somebody has packed in another way than it knows. Otherwise one of them would end its
//! partition for ever.
//!
//! Nothing tells where such a batch ends. Whoever reads from within it gets the whole batch, and
//! the same error. So each offset is tried, one after the other: a guess could jump over messages
//! between two such batches. Whatever was reached is kept if the time ends first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::errors::{failed, is_unreadable};
use super::reading::{Reading, assign};
use crate::kafka::topic_log::LogError;

/// Longest time that one read spends on this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time that one offset may take to show what it is.
const EACH: Duration = Duration::from_millis(500);
/// How often a batch is read before it is believed that it can't be.
const TRIES: u32 = 3;

/// What an offset turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Readable,
    Unreadable,
    Unknown,
}

impl Reading {
    /// Steps over what can't be read in the partitions that are open, as far as the time allows.
    pub(super) fn step_over(
        &mut self,
        consumer: &BaseConsumer,
        topic: &str,
    ) -> Result<(), LogError> {
        let begun = Instant::now();
        for partition in self.open.keys().copied().collect::<Vec<_>>() {
            let Some(first) = self.open.get(&partition).copied() else {
                continue;
            };
            let (mut tries, mut stepped) = (TRIES, None);
            while let Some(next) = self.open.get(&partition).copied()
                && begun.elapsed() < PATIENCE
                && self.look_at(consumer, topic, (partition, next), tries)? == Found::Unreadable
            {
                let after = next.saturating_add(1);
                self.reach(partition, after);
                (tries, stepped) = (1, Some(after));
            }
            if let Some(end) = stepped {
                tracing::warn!(
                    topic,
                    partition,
                    "the records at the offsets {first} to {} can't be unpacked: they are left out",
                    end.saturating_sub(1)
                );
            }
        }
        Ok(())
    }

    /// Finds out what is at an offset, and takes it.
    fn look_at(
        &mut self,
        consumer: &BaseConsumer,
        topic: &str,
        (partition, offset): (u32, u64),
        tries: u32,
    ) -> Result<Found, LogError> {
        // What is still told of the offset before must not be taken for news of this one.
        consumer.unassign().map_err(failed)?;
        while consumer.poll(Duration::ZERO).is_some() {}
        assign(consumer, topic, &BTreeMap::from([(partition, offset)]))?;
        let begun = Instant::now();
        let mut failures = 0_u32;
        while begun.elapsed() < EACH {
            match consumer.poll(EACH.saturating_sub(begun.elapsed())) {
                Some(Ok(message)) => {
                    self.take(topic, &message);
                    return Ok(Found::Readable);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Found::Readable),
                Some(Err(error)) if is_unreadable(&error) => {
                    failures = failures.saturating_add(1);
                    if failures >= tries {
                        return Ok(Found::Unreadable);
                    }
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        Ok(Found::Unknown)
    }
}
