//! Partitions that lack replicas, or a leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::MetadataPartition as Partition;

use super::PATIENCE;
use super::told::Asking;
use crate::kafka::topic_log::{LogError, NewRecord};

/// How long it is believed that partitions lack replicas, before it is looked at again.
const LIFE: Duration = Duration::from_millis(500);

pub(super) const SHORT: &str = "the partition has fewer replicas in sync than it must have";

/// What is known of topics with partitions that lack replicas.
pub(super) struct Short {
    asking: Arc<Asking>,
    min_in_sync: u16,
    known: Mutex<BTreeMap<String, Seen>>,
    /// When it was looked last. Held by the one that looks, so that those who wait share it.
    looked: tokio::sync::Mutex<BTreeMap<String, Instant>>,
}

struct Seen {
    at: Instant,
    partitions: BTreeSet<u32>,
}

impl Short {
    pub(super) fn new(asking: Arc<Asking>, min_in_sync: u16) -> Self {
        Self {
            asking,
            min_in_sync,
            known: Mutex::default(),
            looked: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the partition is known to lack replicas.
    pub(super) fn is(&self, topic: &str, partition: u32) -> bool {
        let known = self.known();
        let seen = known.get(topic);
        seen.is_some_and(|seen| seen.partitions.contains(&partition))
    }

    /// Returns the partitions of these records that lack replicas, with the error.
    pub(super) async fn among(
        &self,
        topic: &str,
        records: &[NewRecord],
    ) -> BTreeMap<u32, LogError> {
        let seen_at = self.known().get(topic).map(|seen| seen.at);
        match seen_at {
            None => return BTreeMap::new(),
            Some(at) if at.elapsed() < LIFE => {}
            Some(_) => self.look(topic).await,
        }
        let short = || LogError::Unavailable(SHORT.to_owned());
        let partitions = records.iter().map(|record| record.partition);
        let among = partitions.filter(|partition| self.is(topic, *partition));
        among.map(|partition| (partition, short())).collect()
    }

    /// Finds out which partitions of the topic lack replicas. Those who ask at the same time share
    /// one question.
    pub(super) async fn look(&self, topic: &str) {
        let wanted_at = Instant::now();
        let mut looked = self.looked.lock().await;
        if looked.get(topic).is_some_and(|at| *at >= wanted_at) {
            return;
        }
        let (asking, name) = (Arc::clone(&self.asking), topic.to_owned());
        let least = usize::from(self.min_in_sync);
        let found = tokio::task::spawn_blocking(move || {
            let metadata = asking.fetch_metadata(Some(&name), PATIENCE).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            // Without a leader nobody takes anything, however many were in sync with it.
            let is_short = |one: &&Partition| one.leader() < 0 || one.isr().len() < least;
            let short = partitions.iter().filter(is_short);
            let number = |one: &Partition| u32::try_from(one.id()).ok();
            Some(short.filter_map(number).collect::<BTreeSet<u32>>())
        });
        let found = found.await;
        let now = Instant::now();
        looked.retain(|_, at| now.duration_since(*at) < PATIENCE);
        looked.insert(topic.to_owned(), now);
        // Nobody answers, so nothing is known.
        if let Ok(Some(partitions)) = found {
            self.note(topic, partitions);
        }
    }

    fn note(&self, topic: &str, partitions: BTreeSet<u32>) {
        let mut known = self.known();
        if partitions.is_empty() {
            if known.remove(topic).is_some() {
                tracing::info!(topic, "the topic has enough replicas again");
            }
            return;
        }
        let is_new = known.get(topic).map(|seen| &seen.partitions) != Some(&partitions);
        if is_new {
            tracing::warn!(topic, ?partitions, "{SHORT}");
        }
        let at = Instant::now();
        known.insert(topic.to_owned(), Seen { at, partitions });
    }
}
