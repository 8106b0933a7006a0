//! What offsets the partitions have. Whoever asks gets an answer that is younger than the question:
//! another front may have acknowledged messages, or a commit, the moment before. (A leader that has
//! just taken over tells no offset before it knows of everything that was acknowledged.)

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::topic_log::{Log, LogError};
use crate::partition_log::Extent;
use crate::storage::Stream;

/// The extents of all streams, by the streams' keys.
pub(super) struct Extents {
    log: Arc<dyn Log>,
    known: Mutex<HashMap<u64, Arc<Known>>>,
}

/// The latest answer. Held by the one that asks, so that those who wait meanwhile share the next
/// question: any number of clients that poll costs the brokers one question at a time.
type Known = tokio::sync::Mutex<Option<Told>>;

struct Told {
    asked_at: Instant,
    extents: BTreeMap<u32, Extent>,
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

    /// Returns the extents of a stream's partitions, as they are after this call.
    pub(super) async fn get(
        &self,
        stream: &Stream,
        topic: &str,
    ) -> Result<BTreeMap<u32, Extent>, LogError> {
        let wanted_at = Instant::now();
        let known = self.of(stream);
        let mut latest = known.lock().await;
        if let Some(told) = latest.as_ref().filter(|told| told.asked_at >= wanted_at) {
            return Ok(told.extents.clone());
        }
        let asked_at = Instant::now();
        let extents = self.log.bounds(topic, stream.partitions).await?;
        *latest = Some(Told {
            asked_at,
            extents: extents.clone(),
        });
        Ok(extents)
    }

    /// Returns of how many streams something is known.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.len()
    }

    /// Forgets what is known of streams that are gone.
    pub(super) fn forget(&self, is_gone: impl Fn(u64) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| !is_gone(*key));
    }
}
