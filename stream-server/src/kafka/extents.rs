//! What offsets the partitions have, remembered for a moment: idle clients ask all the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::topic_log::{Log, LogError};
use crate::partition_log::Extent;
use crate::storage::Stream;

/// How long an answer is believed. A client sees messages of other fronts later by as much.
const LIFE: Duration = Duration::from_millis(100);

/// The extents of all streams, by the streams' keys.
pub(super) struct Extents {
    log: Arc<dyn Log>,
    known: Mutex<HashMap<u64, Arc<Known>>>,
}

#[derive(Default)]
struct Known {
    /// Held by the one that asks.
    asking: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    extents: BTreeMap<u32, Extent>,
    /// The offsets after what this front has stored since the question was sent, by partition.
    stored: BTreeMap<u32, u64>,
}

impl Seen {
    fn fresh(&self) -> Option<BTreeMap<u32, Extent>> {
        let is_fresh = self.at.is_some_and(|at| at.elapsed() < LIFE);
        is_fresh.then(|| self.extents.clone())
    }

    fn raise(&mut self) {
        for (partition, next) in &self.stored {
            if let Some(extent) = self.extents.get_mut(partition) {
                extent.next = extent.next.max(*next);
            }
        }
    }
}

impl Known {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extents {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            known: Mutex::default(),
        }
    }

    fn of(&self, stream: &Stream) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(stream.key).or_default())
    }

    /// Returns the extents of a stream's partitions. One question at a time is on its way.
    pub(super) async fn get(
        &self,
        stream: &Stream,
        topic: &str,
    ) -> Result<BTreeMap<u32, Extent>, LogError> {
        let known = self.of(stream);
        if let Some(extents) = known.seen().fresh() {
            return Ok(extents);
        }
        let _asking = known.asking.lock().await;
        if let Some(extents) = known.seen().fresh() {
            return Ok(extents);
        }
        known.seen().stored.clear();
        let asked_at = Instant::now();
        let extents = self.log.bounds(topic, stream.partitions).await?;
        let mut seen = known.seen();
        seen.extents = extents;
        seen.at = Some(asked_at);
        seen.raise();
        Ok(seen.extents.clone())
    }

    /// Notes what was stored, so that whoever has published it also finds it.
    pub(super) fn note_stored(&self, stream: &Stream, stored: impl Iterator<Item = (u32, u64)>) {
        let known = self.of(stream);
        let mut seen = known.seen();
        for (partition, offset) in stored {
            let next = seen.stored.entry(partition).or_default();
            *next = (*next).max(offset.saturating_add(1));
        }
        seen.raise();
    }

    /// Forgets what is known of a stream: it turned out to be wrong, or the stream is gone.
    pub(super) fn forget(&self, stream_key: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&stream_key);
    }
}
