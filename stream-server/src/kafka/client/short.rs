//! Partitions that lack replicas, or a leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::MetadataPartition as Partition;

use super::PATIENCE;
use super::told::Asking;
use super::topics::{self, Admin};
use crate::kafka::topic_log::{LogError, NewRecord};

/// How long it is believed that partitions lack replicas, before it is looked at again.
const LIFE: Duration = Duration::from_millis(500);

pub(super) const SHORT: &str = "the partition has fewer replicas in sync than it must have";

/// What is known of topics with partitions that lack replicas.
pub(super) struct Short {
    asking: Arc<Asking>,
    admin: Arc<Admin>,
    min_in_sync: u16,
    known: Mutex<BTreeMap<String, Seen>>,
    /// Held by the one that looks, so that those who wait share it.
    looked: tokio::sync::Mutex<Looked>,
}

/// When it was looked last.
#[derive(Default)]
struct Looked {
    at: BTreeMap<String, Instant>,
    /// When it was seen last that no broker answers, for whatever topic.
    unanswered_at: Option<Instant>,
}

/// What is known of the partitions of a topic.
type Partitions = Vec<Replicas>;

/// How many replicas a partition has in sync; `None` without a leader.
struct Replicas {
    partition: u32,
    in_sync: Option<usize>,
}

struct Seen {
    at: Instant,
    partitions: BTreeSet<u32>,
}

impl Short {
    pub(super) fn new(asking: Arc<Asking>, admin: Arc<Admin>, min_in_sync: u16) -> Self {
        Self {
            asking,
            admin,
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
        let is_shared = |at: &Instant| *at >= wanted_at;
        if looked.at.get(topic).is_some_and(is_shared)
            || looked.unanswered_at.as_ref().is_some_and(is_shared)
        {
            return;
        }
        let (partitions, own) = tokio::join!(self.partitions(topic), self.own_least(topic));
        let now = Instant::now();
        looked.at.retain(|_, at| now.duration_since(*at) < PATIENCE);
        looked.at.insert(topic.to_owned(), now);
        let Some(partitions) = partitions else {
            looked.unanswered_at = Some(now);
            return;
        };
        let least = usize::from(self.min_in_sync).max(own.unwrap_or(0));
        self.note(topic, short_of(&partitions, least));
    }

    /// Returns what a broker says of the topic's partitions; `None` if nobody answers.
    async fn partitions(&self, topic: &str) -> Option<Partitions> {
        let (asking, name) = (Arc::clone(&self.asking), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = asking.fetch_metadata(Some(&name), PATIENCE).ok()?;
            let partitions = metadata.topics().first()?.partitions().iter();
            let replicas = |one: &Partition| {
                let in_sync = (one.leader() >= 0).then(|| one.isr().len());
                let partition = u32::try_from(one.id()).ok()?;
                Some(Replicas { partition, in_sync })
            };
            Some(partitions.filter_map(replicas).collect::<Partitions>())
        });
        asked.await.ok()?
    }

    /// Returns the topic's own `min.insync.replicas`, which may be more than is demanded here.
    async fn own_least(&self, topic: &str) -> Option<usize> {
        let asked = topics::settings(&self.admin, topic);
        let settings = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
        settings.get("min.insync.replicas")?.parse().ok()
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

/// Returns the partitions that take nothing: those that have fewer replicas in sync than this, and
/// those without a leader, however many were in sync with it.
fn short_of(partitions: &[Replicas], least: usize) -> BTreeSet<u32> {
    let is_short = |one: &&Replicas| one.in_sync.is_none_or(|in_sync| in_sync < least);
    let short = partitions.iter().filter(is_short);
    short.map(|one| one.partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_without_a_leader_or_enough_replicas_are_short() {
        let found = [Some(3), Some(2), Some(1), None];
        let partitions = (0..).zip(found);
        let replicas = |(partition, in_sync)| Replicas { partition, in_sync };
        let partitions: Partitions = partitions.map(replicas).collect();
        assert_eq!(short_of(&partitions, 2), BTreeSet::from([2, 3]));
        assert_eq!(short_of(&partitions, 3), BTreeSet::from([1, 2, 3]));
    }
}
