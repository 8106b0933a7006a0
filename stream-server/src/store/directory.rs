//! What is known of streams without reading the disk: their settings, and where their messages are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::frame::Place;
use super::index::{Entry, Found, FoundTime, PartitionIndex};
use crate::partition_log::{Extent, PartitionLog};
use crate::storage::Stream;
use crate::time::TimeMs;

/// One partition, as far as it is durable.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) place: Place,
    oldest: AtomicU64,
    next: AtomicU64,
    last_time: AtomicU64,
    index: RwLock<PartitionIndex>,
}

impl Partition {
    fn new(place: Place, log: PartitionLog, index: PartitionIndex) -> Self {
        Self {
            place,
            oldest: AtomicU64::new(log.extent.oldest),
            next: AtomicU64::new(log.extent.next),
            last_time: AtomicU64::new(log.last_time.0),
            index: RwLock::new(index),
        }
    }

    /// Returns the offsets that readers can see.
    pub(super) fn extent(&self) -> Extent {
        let oldest = self.oldest.load(Ordering::Acquire);
        Extent {
            oldest,
            next: self.next.load(Ordering::Acquire),
        }
    }

    /// Returns the end, for appending.
    pub(super) fn log(&self) -> PartitionLog {
        PartitionLog {
            extent: self.extent(),
            last_time: TimeMs(self.last_time.load(Ordering::Acquire)),
        }
    }

    /// Shows readers what is durable now in the active segment, which has this number.
    pub(super) fn publish(&self, segment: u64, entries: Vec<Entry>, log: PartitionLog) {
        self.write().push(segment, entries);
        self.last_time.store(log.last_time.0, Ordering::Release);
        self.next.store(log.extent.next, Ordering::Release);
    }

    /// Hides older messages.
    pub(super) fn trim(&self, oldest: u64) {
        self.oldest.fetch_max(oldest, Ordering::AcqRel);
    }

    pub(super) fn find(&self, offset: u64, frames_max: usize) -> Found {
        self.read().find(offset, frames_max)
    }

    pub(super) fn find_time(&self, time: TimeMs) -> Option<FoundTime> {
        self.read().find_time(time)
    }

    /// Returns the frames in the active segment.
    pub(super) fn active(&self) -> Vec<Entry> {
        self.read().active().to_vec()
    }

    /// Notes that the active segment is sealed.
    pub(super) fn seal(&self, segment: u64) {
        self.write().seal(segment);
    }

    /// Notes that a segment is deleted.
    pub(super) fn forget(&self, segment: u64) {
        self.write().forget(segment);
    }

    fn read(&self) -> RwLockReadGuard<'_, PartitionIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, PartitionIndex> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream with its partitions, in order.
#[derive(Clone, Debug)]
struct StreamPartitions {
    stream: Arc<Stream>,
    partitions: Vec<Arc<Partition>>,
}

/// A stream as it was read from the store, or just created in it.
#[derive(Debug)]
pub(super) struct LoadedStream {
    pub(super) stream: Stream,
    /// Where each partition ends, and where its messages are, in order.
    pub(super) partitions: Vec<(PartitionLog, PartitionIndex)>,
}

/// All streams. The writer changes it after a COMMIT; everyone else reads.
#[derive(Debug, Default)]
pub(super) struct Directory {
    by_key: RwLock<BTreeMap<u64, StreamPartitions>>,
    key_by_id: RwLock<BTreeMap<String, u64>>,
}

impl Directory {
    pub(super) fn new(streams: Vec<LoadedStream>) -> Self {
        let directory = Self::default();
        for loaded in streams {
            directory.add(loaded);
        }
        directory
    }

    pub(super) fn add(&self, loaded: LoadedStream) -> Arc<Stream> {
        let key = loaded.stream.key;
        let partition = |(number, (log, index)): (u32, (PartitionLog, PartitionIndex))| {
            Arc::new(Partition::new((key, number), log, index))
        };
        let partitions = (0_u32..).zip(loaded.partitions).map(partition).collect();
        let stream = Arc::new(loaded.stream);
        let added = StreamPartitions {
            stream: Arc::clone(&stream),
            partitions,
        };
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let mut key_by_id = self
            .key_by_id
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        by_key.insert(stream.key, added);
        key_by_id.insert(stream.id.clone(), stream.key);
        stream
    }

    pub(super) fn remove(&self, key: u64) {
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let mut key_by_id = self
            .key_by_id
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        by_key.remove(&key);
        key_by_id.retain(|_, known| *known != key);
    }

    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        let by_key = self.read();
        by_key
            .values()
            .map(|known| Arc::clone(&known.stream))
            .collect()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Stream>> {
        let key = *self
            .key_by_id
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)?;
        self.read().get(&key).map(|known| Arc::clone(&known.stream))
    }

    pub(super) fn partition(&self, (stream_key, number): Place) -> Option<Arc<Partition>> {
        let by_key = self.read();
        let partitions = &by_key.get(&stream_key)?.partitions;
        partitions.get(usize::try_from(number).ok()?).cloned()
    }

    /// Returns the partitions of all streams.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        let by_key = self.read();
        let all = by_key.values().flat_map(|known| &known.partitions);
        all.cloned().collect()
    }

    /// Returns whether all messages below an offset are gone, by retention or with their stream.
    pub(super) fn is_gone(&self, place: Place, below: u64) -> bool {
        let partition = self.partition(place);
        partition.is_none_or(|partition| partition.extent().oldest >= below)
    }

    pub(super) fn extents(&self, stream_key: u64) -> BTreeMap<u32, Extent> {
        let by_key = self.read();
        let known = by_key.get(&stream_key);
        let partitions = known
            .map(|known| known.partitions.as_slice())
            .unwrap_or_default();
        partitions
            .iter()
            .map(|partition| (partition.place.1, partition.extent()))
            .collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, StreamPartitions>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner)
    }
}
