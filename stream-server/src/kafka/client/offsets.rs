//! Questions about offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::PATIENCE;
use super::errors::{failed, of_code};
use super::told::{Asking, problems};
use crate::kafka::topic_log::LogError;
use crate::partition_log::Extent;
use crate::time::TimeMs;

/// How long brokers may take to tell the offsets of all partitions, before each broker is asked
/// for its own alone.
const TOGETHER: Duration = Duration::from_secs(2);
/// How long a topic's brokers are asked one by one, after they failed together.
const APART_LIFE: Duration = Duration::from_secs(10);
/// How long one broker may take.
const ALONE: Duration = Duration::from_secs(5);
/// How long the others are waited for, once one has told what it knows.
const OTHERS: Duration = Duration::from_millis(500);
/// How long a broker that told nothing isn't asked again, while others do.
const SILENT_LIFE: Duration = Duration::from_secs(2);

/// Questions by time that are asked at once.
const BY_TIME_MAX: usize = 8;

/// The oldest and the next offset of partitions.
type Extents = BTreeMap<u32, Extent>;

/// Asks for the offsets of partitions, so that a broker that doesn't answer hides only its own.
pub(super) struct Offsets {
    asking: Arc<Asking>,
    /// Topics whose brokers are asked one by one, and when they failed together.
    apart: Mutex<BTreeMap<String, Instant>>,
    /// Brokers that told nothing, and when they were asked.
    silent: Mutex<BTreeMap<i32, Instant>>,
    /// Room for questions by time, which clients ask as often as they like: each holds a thread.
    by_time: Semaphore,
}

impl Offsets {
    pub(super) fn new(asking: Arc<Asking>) -> Self {
        Self {
            asking,
            apart: Mutex::default(),
            silent: Mutex::default(),
            by_time: Semaphore::new(BY_TIME_MAX),
        }
    }

    /// Returns offsets by time; see [`crate::kafka::topic_log::Log::offsets_at`].
    pub(super) async fn at(
        &self,
        topic: &str,
        partitions: Range<u32>,
        time: TimeMs,
    ) -> Result<BTreeMap<u32, u64>, LogError> {
        let place = tokio::time::timeout(PATIENCE, self.by_time.acquire()).await;
        let busy = || LogError::Unavailable("too many questions by time are asked".to_owned());
        let _place = place.ok().and_then(Result::ok).ok_or_else(busy)?;
        let (asking, topic) = (Arc::clone(&self.asking), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let told = offsets_at(&asking, &topic, partitions, time);
            problems(&asking);
            told
        });
        let asked = asked.await;
        asked.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
    }

    /// Returns the offsets of partitions; see [`crate::kafka::topic_log::Log::bounds`].
    pub(super) async fn bounds(
        &self,
        topic: &str,
        partitions: Range<u32>,
        oldest: Option<BTreeMap<u32, u64>>,
    ) -> Result<Extents, LogError> {
        let all: BTreeSet<u32> = partitions.collect();
        if !self.is_apart(topic) {
            let is_whole = |oldest: &BTreeMap<u32, u64>| oldest.keys().eq(all.iter());
            let asked = Asked {
                partitions: all.clone(),
                oldest: oldest.filter(is_whole),
                patience: TOGETHER,
            };
            match ask(Arc::clone(&self.asking), topic.to_owned(), asked).await {
                Ok(told) if told.len() == all.len() => return Ok(told),
                // librdkafka believes for minutes that a partition has no leader. Looking for
                // the leaders mends that.
                Ok(_) | Err(LogError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let told = self.one_by_one(topic, &all).await?;
        let mut apart = held(&self.apart);
        apart.retain(|_, since| since.elapsed() < APART_LIFE);
        // It is well again as soon as it is whole.
        if told.len() < all.len() {
            apart.entry(topic.to_owned()).or_insert_with(Instant::now);
        } else {
            apart.remove(topic);
        }
        Ok(told)
    }

    fn is_apart(&self, topic: &str) -> bool {
        let since = held(&self.apart).get(topic).copied();
        since.is_some_and(|since| since.elapsed() < APART_LIFE)
    }

    /// Asks each leader for its own partitions.
    async fn one_by_one(&self, topic: &str, wanted: &BTreeSet<u32>) -> Result<Extents, LogError> {
        let leaders = self.leaders(topic, wanted).await?;
        let mut pending: BTreeSet<i32> = leaders.keys().copied().collect();
        let mut asked = JoinSet::new();
        for (leader, partitions) in leaders {
            let (asking, topic) = (Arc::clone(&self.asking), topic.to_owned());
            let wanted = Asked {
                partitions,
                oldest: None,
                patience: ALONE,
            };
            asked.spawn(async move { (leader, ask(asking, topic, wanted).await) });
        }
        let nobody = || LogError::Unavailable("no broker has told the offsets".to_owned());
        let (mut told, mut failure) = (Extents::new(), None);
        let mut deadline = Instant::now() + ALONE;
        loop {
            let next = tokio::time::timeout_at(deadline.into(), asked.join_next()).await;
            match next {
                Ok(Some(Ok((leader, Ok(extents))))) => {
                    pending.remove(&leader);
                    told.extend(extents);
                    deadline = deadline.min(Instant::now() + OTHERS);
                }
                Ok(Some(Ok((_, Err(error))))) => failure = Some(error),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let silent = pending.into_iter().map(|leader| (leader, Instant::now()));
        held(&self.silent).extend(silent);
        match told.is_empty() {
            true => Err(failure.unwrap_or_else(nobody)),
            false => Ok(told),
        }
    }

    /// Returns the leaders that may answer, and what each leads of these partitions.
    async fn leaders(
        &self,
        topic: &str,
        wanted: &BTreeSet<u32>,
    ) -> Result<BTreeMap<i32, BTreeSet<u32>>, LogError> {
        let (asking, name) = (Arc::clone(&self.asking), topic.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let metadata = asking.fetch_metadata(Some(&name), PATIENCE);
            let metadata = metadata.map_err(failed)?;
            let found = metadata.topics().first().ok_or(LogError::NoTopic)?;
            if let Some(error) = found.error() {
                return Err(of_code(error.into()));
            }
            let led = found.partitions().iter();
            let led = led.map(|one| (one.id(), one.leader()));
            Ok(led.collect::<Vec<(i32, i32)>>())
        });
        let looked = looked.await;
        let looked =
            looked.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))?;
        let mut leaders: BTreeMap<i32, BTreeSet<u32>> = BTreeMap::new();
        for (partition, leader) in looked {
            let partition = u32::try_from(partition).unwrap_or(u32::MAX);
            // Without a leader nobody answers.
            if leader >= 0 && wanted.contains(&partition) {
                leaders.entry(leader).or_default().insert(partition);
            }
        }
        let mut silent = held(&self.silent);
        silent.retain(|_, since| since.elapsed() < SILENT_LIFE);
        if leaders.keys().any(|leader| !silent.contains_key(leader)) {
            leaders.retain(|leader, _| !silent.contains_key(leader));
        }
        Ok(leaders)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is asked at a time.
struct Asked {
    partitions: BTreeSet<u32>,
    /// What needn't be asked.
    oldest: Option<BTreeMap<u32, u64>>,
    patience: Duration,
}

/// Asks for both ends of partitions.
async fn ask(asking: Arc<Asking>, topic: String, asked: Asked) -> Result<Extents, LogError> {
    let patience = asked.patience;
    let partitions = Arc::new(asked.partitions);
    let one_end = |which: Offset| {
        let (asking, topic) = (Arc::clone(&asking), topic.clone());
        let partitions = Arc::clone(&partitions);
        let asked = tokio::task::spawn_blocking(move || {
            let told = offsets(&asking, &topic, &partitions, (which, patience));
            problems(&asking);
            told
        });
        async {
            let asked = asked.await;
            asked.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
        }
    };
    // Kafka takes these two in the place of a time.
    if let Some(oldest) = asked.oldest {
        return Ok(extents(&oldest, one_end(Offset::End).await?));
    }
    let (oldest, next) = tokio::join!(one_end(Offset::Beginning), one_end(Offset::End));
    Ok(extents(&oldest?, next?))
}

/// Returns the partitions from their oldest and next offsets.
fn extents(oldest: &BTreeMap<u32, u64>, next: BTreeMap<u32, u64>) -> Extents {
    let extent = |(partition, next): (u32, u64)| {
        let oldest = (*oldest.get(&partition)?).min(next);
        Some((partition, Extent { oldest, next }))
    };
    next.into_iter().filter_map(extent).collect()
}

/// Returns an offset of each partition; without those whose leader has told none, unless that are
/// all.
fn offsets(
    asking: &Asking,
    topic: &str,
    partitions: &BTreeSet<u32>,
    (which, patience): (Offset, Duration),
) -> Result<BTreeMap<u32, u64>, LogError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        let added = asked.add_partition_offset(topic, number(*partition), which);
        added.map_err(failed)?;
    }
    let told = asking.offsets_for_times(asked, patience).map_err(failed)?;
    let (mut offsets, mut failure) = (BTreeMap::new(), None);
    for told in told.elements() {
        let partition = u32::try_from(told.partition()).unwrap_or(u32::MAX);
        match (told.error(), number_of(told.offset())) {
            (Ok(()), Some(offset)) => {
                offsets.insert(partition, offset);
            }
            (Ok(()), None) => {}
            (Err(error), _) => failure = Some(failed(error)),
        }
    }
    // That a topic is gone, or isn't for this user, holds for all of it.
    let lasts = |failure: &LogError| !matches!(failure, LogError::Unavailable(_));
    let nothing = || LogError::Unavailable("a broker told no offset".to_owned());
    match failure {
        Some(failure) if offsets.is_empty() || lasts(&failure) => Err(failure),
        None if offsets.is_empty() => Err(nothing()),
        Some(_) | None => Ok(offsets),
    }
}

/// Returns the first offset with at least this time, of the partitions that have one.
fn offsets_at(
    asking: &Asking,
    topic: &str,
    partitions: Range<u32>,
    time: TimeMs,
) -> Result<BTreeMap<u32, u64>, LogError> {
    let mut asked = TopicPartitionList::new();
    let time = Offset::Offset(i64::try_from(time.0).unwrap_or(i64::MAX));
    for partition in partitions {
        let added = asked.add_partition_offset(topic, number(partition), time);
        added.map_err(failed)?;
    }
    let told = asking.offsets_for_times(asked, PATIENCE).map_err(failed)?;
    let mut offsets = BTreeMap::new();
    for told in told.elements() {
        told.error().map_err(failed)?;
        let partition = u32::try_from(told.partition()).unwrap_or(u32::MAX);
        offsets.extend(number_of(told.offset()).map(|offset| (partition, offset)));
    }
    Ok(offsets)
}

/// Returns the offset as a number, if it is one.
pub(super) fn number_of(offset: Offset) -> Option<u64> {
    let Offset::Offset(offset) = offset else {
        return None;
    };
    u64::try_from(offset).ok()
}

pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
