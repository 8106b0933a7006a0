//! What offsets the partitions have. Whoever asks gets an answer that is younger than the question:
//! another front may have acknowledged messages, or a commit, the moment before. (A leader that has
//! just taken over tells no offset before it knows of everything that was acknowledged.)

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::topic_log::{Log, LogError};
use crate::partition_log::Extent;
use crate::storage::Stream;

/// What isn't asked for that long is forgotten: its stream may be gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

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
    told_at: Instant,
    extents: Result<BTreeMap<u32, Extent>, LogError>,
}

impl Told {
    /// Returns what this says to somebody who has begun to wait at that time. A failure is shared
    /// by all who have waited for its end: each of them would wait as long for the next one.
    fn answer(&self, wanted_at: Instant) -> Option<Result<BTreeMap<u32, Extent>, LogError>> {
        let since = match self.extents {
            Ok(_) => self.asked_at,
            Err(_) => self.told_at,
        };
        (since >= wanted_at).then(|| self.extents.clone())
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
        if !known.contains_key(&stream.key) {
            known.retain(|_, one| is_wanted(one));
        }
        Arc::clone(known.entry(stream.key).or_default())
    }

    /// Returns the extents of a stream's partitions, as they are after this call. A partition whose
    /// brokers don't answer is left out, unless all are.
    pub(super) async fn get(
        &self,
        stream: &Stream,
        topic: &str,
    ) -> Result<BTreeMap<u32, Extent>, LogError> {
        let wanted_at = Instant::now();
        let known = self.of(stream);
        let mut latest = known.lock().await;
        if let Some(answer) = latest.as_ref().and_then(|told| told.answer(wanted_at)) {
            return answer;
        }
        let asked_at = Instant::now();
        let extents = self.log.bounds(topic, 0..stream.partitions).await;
        *latest = Some(Told {
            asked_at,
            told_at: Instant::now(),
            extents: extents.clone(),
        });
        extents
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

/// Returns whether somebody asks for it, or has done so lately.
fn is_wanted(known: &Arc<Known>) -> bool {
    if Arc::strong_count(known) > 1 {
        return true;
    }
    let latest = known.try_lock();
    latest.is_ok_and(|told| {
        let told = told.as_ref();
        told.is_some_and(|told| told.told_at.elapsed() < FORGOTTEN_AFTER)
    })
}
