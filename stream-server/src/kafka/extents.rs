//! What offsets the partitions have. Whoever asks gets an answer that is younger than the question:
//! another front may have acknowledged messages, or a commit, the moment before. (A leader that has
//! just taken over tells no offset before it knows of everything that was acknowledged.)
//!
//! Who only looks whether there is something to read gets a former answer at once, while the next
//! question is under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::topic_log::{Log, LogError};
use crate::partition_log::Extent;
use crate::storage::Stream;

/// What isn't asked for that long is forgotten: its stream may be gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How old an answer may be for somebody who only looks whether there is something to read.
const LATELY: Duration = Duration::from_secs(2);
/// How old it is when it is asked anew for them.
const OLD: Duration = Duration::from_millis(50);
/// How long the oldest offsets aren't asked for again. They change only by the stream's retention,
/// or by whoever deletes records with Kafka's tools.
const OLDEST_LIFE: Duration = Duration::from_secs(2);

/// The offsets of a stream's partitions.
type Offsets = BTreeMap<u32, Extent>;

/// The extents of all streams, by the streams' keys.
pub(super) struct Extents {
    log: Arc<dyn Log>,
    known: Mutex<HashMap<u64, Arc<Known>>>,
}

/// What is known of one stream.
#[derive(Default)]
struct Known {
    /// The latest answer. Held by the one that asks, so that those who wait meanwhile share the
    /// next question: any number of clients that poll costs the brokers one question at a time.
    latest: tokio::sync::Mutex<Option<Told>>,
    /// The latest good answer, and when it was asked for.
    good: Mutex<Option<(Instant, Offsets)>>,
    /// When all oldest offsets were asked for, and what they were.
    oldest: Mutex<Option<(Instant, BTreeMap<u32, u64>)>>,
}

/// What has to be as new as the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The oldest and the next offsets.
    Both,
    /// The next offsets; the oldest ones may be two seconds old.
    Next,
}

struct Told {
    asked_at: Instant,
    told_at: Instant,
    /// Whether the oldest offsets were asked for too.
    is_whole: bool,
    extents: Result<Offsets, LogError>,
}

impl Told {
    /// Returns what this says to somebody who has begun to wait at that time. A failure is shared
    /// by all who have waited for its end: each of them would wait as long for the next one.
    fn answer(&self, wanted_at: Instant, which: Which) -> Option<Result<Offsets, LogError>> {
        let since = match self.extents {
            Ok(_) => self.asked_at,
            Err(_) => self.told_at,
        };
        let is_enough = self.is_whole || which == Which::Next;
        (since >= wanted_at && is_enough).then(|| self.extents.clone())
    }
}

impl Known {
    async fn ask(
        &self,
        log: &dyn Log,
        topic: &str,
        (partitions, which): (u32, Which),
    ) -> Result<Offsets, LogError> {
        let wanted_at = Instant::now();
        let mut latest = self.latest.lock().await;
        let told = latest.as_ref();
        if let Some(answer) = told.and_then(|told| told.answer(wanted_at, which)) {
            return answer;
        }
        let asked_at = Instant::now();
        let oldest = held(&self.oldest).clone();
        let oldest = oldest.filter(|(at, _)| which == Which::Next && at.elapsed() < OLDEST_LIFE);
        let oldest = oldest.map(|(_, oldest)| oldest);
        let is_whole = oldest.is_none();
        let extents = log.bounds(topic, 0..partitions, oldest).await;
        *latest = Some(Told {
            asked_at,
            told_at: Instant::now(),
            is_whole,
            extents: extents.clone(),
        });
        if let Ok(extents) = &extents {
            if is_whole {
                let oldest = extents.iter().map(|(number, one)| (*number, one.oldest));
                *held(&self.oldest) = Some((asked_at, oldest.collect()));
            }
            *held(&self.good) = Some((asked_at, extents.clone()));
        }
        extents
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
        let mut known = held(&self.known);
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
        which: Which,
    ) -> Result<Offsets, LogError> {
        let known = self.of(stream);
        known
            .ask(&*self.log, topic, (stream.partitions, which))
            .await
    }

    /// Has everything asked anew of a stream: an oldest offset turned out to be wrong.
    pub(super) fn doubt(&self, stream: &Stream) {
        let known = self.of(stream);
        *held(&known.oldest) = None;
        *held(&known.good) = None;
    }

    /// Returns a former answer, if there is one that isn't too old.
    pub(super) fn lately(&self, stream: &Stream) -> Option<Offsets> {
        let good = held(&self.of(stream).good).clone();
        let (_, extents) = good.filter(|(at, _)| at.elapsed() < LATELY)?;
        Some(extents)
    }

    /// Has the next answer asked for if the latest one isn't new, without waiting for it. Whoever
    /// has read by a former answer calls this, so that the next read sees what others publish.
    pub(super) fn renew(&self, stream: &Stream, topic: &str) {
        let known = self.of(stream);
        let is_new = held(&known.good)
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() < OLD);
        // Whoever holds it asks already.
        if is_new || known.latest.try_lock().is_err() {
            return;
        }
        let (log, topic) = (Arc::clone(&self.log), topic.to_owned());
        let partitions = stream.partitions;
        tokio::spawn(async move {
            // Whoever needs the answer asks again if this fails.
            let _ = known.ask(&*log, &topic, (partitions, Which::Next)).await;
        });
    }

    /// Returns of how many streams something is known.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        held(&self.known).len()
    }

    /// Forgets what is known of streams that are gone.
    pub(super) fn forget(&self, is_gone: impl Fn(u64) -> bool) {
        held(&self.known).retain(|key, _| !is_gone(*key));
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether somebody asks for it, or has done so lately.
fn is_wanted(known: &Arc<Known>) -> bool {
    if Arc::strong_count(known) > 1 {
        return true;
    }
    let latest = known.latest.try_lock();
    latest.is_ok_and(|told| {
        let told = told.as_ref();
        told.is_some_and(|told| told.told_at.elapsed() < FORGOTTEN_AFTER)
    })
}
