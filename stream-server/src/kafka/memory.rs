//! A log in memory, with the promises of a cluster and none of its failures: for tests.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::topic_log::{
    Done, Fetched, Follow, Followed, Following, Log, LogError, NewRecord, Produced, Record,
    TopicFacts, TopicPlan, Wanted,
};
use crate::partition_log::{Extent, Stamp};
use crate::time::{Clock, TimeMs};

/// How often what is followed is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Topics in memory.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    shared: Arc<Shared>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Shared {
    topics: Mutex<BTreeMap<String, Topic>>,
    made: AtomicU64,
    fault: Mutex<Option<Fault>>,
    appended: Notify,
}

#[derive(Debug)]
struct Topic {
    id: u64,
    partitions: Vec<Partition>,
}

/// What goes wrong with the next creation or deletion of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done, and nobody says so.
    DoneUnsaid,
    /// It isn't done, and nobody says so.
    UndoneUnsaid,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    oldest: u64,
    records: VecDeque<Record>,
}

impl Partition {
    fn next(&self) -> u64 {
        let count = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        self.oldest.saturating_add(count)
    }

    fn at(&self, offset: u64) -> Option<&Record> {
        let place = offset.checked_sub(self.oldest)?;
        self.records.get(usize::try_from(place).ok()?)
    }
}

impl MemoryLog {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::default(),
            clock: Clock::start(),
        }
    }

    fn with<T>(
        &self,
        topic: &str,
        work: impl FnOnce(&mut Vec<Partition>) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut topics = self.shared.topics();
        work(&mut topics.get_mut(topic).ok_or(LogError::NoTopic)?.partitions)
    }

    /// Has the next creation or deletion of a topic go wrong.
    pub(crate) fn fail_once(&self, fault: Fault) {
        *self.shared.fault() = Some(fault);
    }

    /// Returns whether there is a topic of this name.
    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.shared.topics().contains_key(topic)
    }

    /// Gives a topic another number of partitions.
    pub(crate) fn resize(&self, topic: &str, partitions: usize) {
        if let Some(topic) = self.shared.topics().get_mut(topic) {
            topic.partitions.resize(partitions, Partition::default());
        }
    }

    /// Does something with topics, unless it is to go wrong.
    fn change<T>(&self, work: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        let fault = self.shared.fault().take();
        let unsaid = LogError::Unavailable("no answer".to_owned());
        match fault {
            None => work(),
            Some(Fault::DoneUnsaid) => work().and(Err(unsaid)),
            Some(Fault::UndoneUnsaid) => Err(unsaid),
        }
    }

    fn append(&self, topic: &str, record: NewRecord) -> Result<Stamp, LogError> {
        let time = self.clock.steady();
        self.with(topic, |partitions| {
            let partition = find(partitions, record.partition)?;
            let offset = partition.next();
            let stamp = Stamp { offset, time };
            partition.records.push_back(Record {
                partition: record.partition,
                stamp,
                key: record.key,
                value: record.value,
            });
            Ok(stamp)
        })
    }
}

impl Shared {
    /// Returns what has come of what is followed: order and next offset, by topic and partition.
    fn news(&self, followed: &mut BTreeMap<(String, u32), (u64, u64)>) -> Vec<Followed> {
        let (mut topics, mut found) = (self.topics(), Vec::new());
        for ((topic, number), (order, next)) in followed {
            let partitions = topics.get_mut(topic);
            let partitions = partitions.map(|topic| topic.partitions.as_mut_slice());
            let Ok(partition) = find(partitions.unwrap_or_default(), *number) else {
                continue;
            };
            *next = (*next).max(partition.oldest);
            while let Some(record) = partition.at(*next) {
                found.push(Followed::Record(*order, record.clone()));
                *next = next.saturating_add(1);
            }
        }
        found
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(partitions: &mut [Partition], number: u32) -> Result<&mut Partition, LogError> {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    let missing = || LogError::Refused("there is no such partition".to_owned());
    partitions.get_mut(place).ok_or_else(missing)
}

impl Log for MemoryLog {
    fn produce<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> Produced<'a> {
        let append = |record| self.append(topic, record);
        let stamps = records.into_iter().map(append).collect();
        self.shared.appended.notify_waiters();
        Box::pin(ready(stamps))
    }

    fn fetch<'a>(
        &'a self,
        topic: &'a str,
        wanted: Vec<Wanted>,
        count_max: usize,
        bytes_max: usize,
    ) -> Done<'a, Fetched> {
        let read = self.with(topic, |partitions| {
            let (mut fetched, mut bytes) = (Fetched::default(), 0_usize);
            for range in wanted {
                let partition = find(partitions, range.partition)?;
                if range.from < partition.oldest || range.from > partition.next() {
                    return Err(LogError::OutOfRange);
                }
                for offset in range.from..range.until.min(partition.next()) {
                    let Some(record) = partition.at(offset) else {
                        break;
                    };
                    let key_bytes = record.key.as_ref().map_or(0, bytes::Bytes::len);
                    bytes = bytes
                        .saturating_add(key_bytes)
                        .saturating_add(record.value.len());
                    let is_full = fetched.records.len() >= count_max || bytes > bytes_max;
                    if is_full && !fetched.records.is_empty() {
                        return Ok(fetched);
                    }
                    fetched.records.push(record.clone());
                    let next = offset.saturating_add(1);
                    fetched.reached.insert(range.partition, next);
                }
            }
            Ok(fetched)
        });
        Box::pin(ready(read))
    }

    fn bounds<'a>(
        &'a self,
        topic: &'a str,
        asked: Range<u32>,
        _: Option<BTreeMap<u32, u64>>,
    ) -> Done<'a, BTreeMap<u32, Extent>> {
        let bounds = self.with(topic, |partitions| {
            let extent = |partition: &Partition| Extent {
                oldest: partition.oldest,
                next: partition.next(),
            };
            let extents = (0..).zip(partitions.iter().map(extent));
            Ok(extents
                .filter(|(number, _)| asked.contains(number))
                .collect())
        });
        Box::pin(ready(bounds))
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        asked: Range<u32>,
        time: TimeMs,
    ) -> Done<'a, BTreeMap<u32, u64>> {
        let found = self.with(topic, |partitions| {
            let mut found = BTreeMap::new();
            for partition in asked {
                let records = &find(partitions, partition)?.records;
                let first = records.iter().find(|record| record.stamp.time >= time);
                found.extend(first.map(|record| (partition, record.stamp.offset)));
            }
            Ok(found)
        });
        Box::pin(ready(found))
    }

    fn follow(&self) -> Result<Following, LogError> {
        let (orders, mut given) = mpsc::unbounded_channel::<Follow>();
        let (sender, receiver) = mpsc::channel(64);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let mut followed: BTreeMap<(String, u32), (u64, u64)> = BTreeMap::new();
            loop {
                for found in shared.news(&mut followed) {
                    if sender.send(found).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    () = shared.appended.notified() => {}
                    order = given.recv() => {
                        let Some(Follow { topic, partition, from, order }) = order else {
                            return;
                        };
                        match from {
                            Some(from) => followed.insert((topic, partition), (order, from)),
                            None => followed.remove(&(topic, partition)),
                        };
                    }
                    () = sender.closed() => return,
                    // What came between the look and the wait.
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        Ok((orders, receiver))
    }

    fn create_topic<'a>(&'a self, topic: &'a str, plan: TopicPlan) -> Done<'a, ()> {
        let created = self.change(|| {
            let mut topics = self.shared.topics();
            if topics.contains_key(topic) {
                return Err(LogError::Exists);
            }
            let count = usize::try_from(plan.partitions).unwrap_or(0);
            let id = self.shared.made.fetch_add(1, Ordering::Relaxed);
            let partitions = vec![Partition::default(); count];
            topics.insert(topic.to_owned(), Topic { id, partitions });
            Ok(())
        });
        Box::pin(ready(created))
    }

    fn delete_topic<'a>(&'a self, topic: &'a str) -> Done<'a, ()> {
        let deleted = self.change(|| {
            let deleted = self.shared.topics().remove(topic);
            deleted.map(drop).ok_or(LogError::NoTopic)
        });
        Box::pin(ready(deleted))
    }

    fn topic_ids<'a>(&'a self, topics: &'a [String]) -> Done<'a, BTreeMap<String, String>> {
        let known = self.shared.topics();
        let id = |topic: &String| Some((topic.clone(), known.get(topic)?.id.to_string()));
        let ids = topics.iter().filter_map(id).collect();
        Box::pin(ready(Ok(ids)))
    }

    fn delete_records<'a>(&'a self, topic: &'a str, partition: u32, before: u64) -> Done<'a, ()> {
        let deleted = self.with(topic, |partitions| {
            let partition = find(partitions, partition)?;
            if before > partition.next() {
                return Err(LogError::OutOfRange);
            }
            while partition.oldest < before && partition.records.pop_front().is_some() {
                partition.oldest = partition.oldest.saturating_add(1);
            }
            Ok(())
        });
        Box::pin(ready(deleted))
    }

    fn describe<'a>(&'a self, topic: &'a str) -> Done<'a, Option<TopicFacts>> {
        let topics = self.shared.topics();
        let facts = topics.get(topic).map(|topic| TopicFacts {
            replicas: 1,
            partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
            settings: BTreeMap::new(),
        });
        Box::pin(ready(Ok(facts)))
    }
}
