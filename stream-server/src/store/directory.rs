//! What is known of streams without asking the disk: their settings, and the offsets they have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::Stream;
use crate::log::{Extent, PartitionLog};

/// One partition's table, and the offsets in it that are durable.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The partition's number within its stream.
    pub(super) partition: u32,
    /// `INSERT` for one message: offset, time, key, value.
    pub(super) insert_sql: String,
    /// `SELECT` of offset, time, key, value from an offset on, before an offset, so many.
    pub(super) read_sql: String,
    /// `SELECT` of the time of the first message from an offset on.
    pub(super) time_sql: String,
    /// `SELECT` of offset and size of value from an offset on, before an offset, so many.
    pub(super) size_sql: String,
    /// `DELETE` of what is before an offset.
    pub(super) trim_sql: String,
    oldest: AtomicU64,
    next: AtomicU64,
}

impl LogFile {
    pub(super) fn new(table_key: i64, partition: u32, extent: Extent) -> Self {
        let table = table_name(table_key);
        Self {
            partition,
            insert_sql: format!(
                "INSERT INTO {table} (\"offset\", time, key, value) VALUES (?1, ?2, ?3, ?4)"
            ),
            read_sql: format!(
                "SELECT \"offset\", time, key, value FROM {table} \
                 WHERE \"offset\" >= ?1 AND \"offset\" < ?2 ORDER BY \"offset\" LIMIT ?3"
            ),
            time_sql: format!(
                "SELECT \"offset\", time FROM {table} \
                 WHERE \"offset\" >= ?1 ORDER BY \"offset\" LIMIT 1"
            ),
            size_sql: format!(
                "SELECT \"offset\", length(value) FROM {table} \
                 WHERE \"offset\" >= ?1 AND \"offset\" < ?2 ORDER BY \"offset\" LIMIT ?3"
            ),
            trim_sql: format!("DELETE FROM {table} WHERE \"offset\" < ?1"),
            oldest: AtomicU64::new(extent.oldest),
            next: AtomicU64::new(extent.next),
        }
    }

    /// The offsets that readers can see.
    pub(super) fn extent(&self) -> Extent {
        let oldest = self.oldest.load(Ordering::Acquire);
        Extent {
            oldest,
            next: self.next.load(Ordering::Acquire),
        }
    }

    /// Shows readers what has become durable.
    pub(super) fn publish(&self, extent: Extent) {
        self.oldest.store(extent.oldest, Ordering::Release);
        self.next.store(extent.next, Ordering::Release);
    }
}

/// The table that holds one partition's messages. Each has its own: appending to the end of a table
/// fills its pages to the brim, while many partitions in one table would split them in the middle.
pub(super) fn table_name(table_key: i64) -> String {
    format!("message_{table_key}")
}

/// A stream with its partitions' tables, in order.
#[derive(Clone, Debug)]
pub(super) struct StreamFiles {
    pub(super) stream: Arc<Stream>,
    pub(super) logs: Vec<Arc<LogFile>>,
}

/// A stream as it was read from the store, or just created in it.
pub(super) struct LoadedStream {
    pub(super) stream: Stream,
    /// Table key and end of log of each partition, in order.
    pub(super) partitions: Vec<(i64, PartitionLog)>,
}

/// All streams. The writer changes it after a COMMIT; everyone else reads.
#[derive(Debug)]
pub(super) struct Directory {
    by_key: RwLock<BTreeMap<u64, StreamFiles>>,
    key_by_id: RwLock<BTreeMap<String, u64>>,
    /// Times of the newest messages at the start, for the writer.
    logs_at_start: BTreeMap<(u64, u32), PartitionLog>,
}

impl Directory {
    pub(super) fn new(streams: Vec<LoadedStream>) -> Self {
        let mut logs_at_start = BTreeMap::new();
        for loaded in &streams {
            for (number, (_, log)) in (0_u32..).zip(&loaded.partitions) {
                logs_at_start.insert((loaded.stream.key, number), *log);
            }
        }
        let (by_key, key_by_id) = (RwLock::default(), RwLock::default());
        let directory = Self {
            by_key,
            key_by_id,
            logs_at_start,
        };
        for loaded in streams {
            directory.add(loaded);
        }
        directory
    }

    pub(super) fn add(&self, loaded: LoadedStream) -> Arc<Stream> {
        let file = |(number, (table_key, log)): (u32, (i64, PartitionLog))| {
            Arc::new(LogFile::new(table_key, number, log.extent))
        };
        let logs = (0_u32..).zip(loaded.partitions).map(file).collect();
        let stream = Arc::new(loaded.stream);
        let files = StreamFiles {
            stream: Arc::clone(&stream),
            logs,
        };
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let mut key_by_id = self
            .key_by_id
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        by_key.insert(stream.key, files);
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

    pub(super) fn logs_at_start(&self) -> BTreeMap<(u64, u32), PartitionLog> {
        self.logs_at_start.clone()
    }

    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        by_key
            .values()
            .map(|files| Arc::clone(&files.stream))
            .collect()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Stream>> {
        let key = *self
            .key_by_id
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)?;
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        by_key.get(&key).map(|files| Arc::clone(&files.stream))
    }

    pub(super) fn log(&self, stream_key: u64, partition: u32) -> Option<Arc<LogFile>> {
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        let logs = &by_key.get(&stream_key)?.logs;
        logs.get(usize::try_from(partition).ok()?).cloned()
    }

    pub(super) fn extents(&self, stream_key: u64) -> BTreeMap<u32, Extent> {
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        let logs = by_key
            .get(&stream_key)
            .map(|files| files.logs.as_slice())
            .unwrap_or_default();
        logs.iter()
            .map(|log| (log.partition, log.extent()))
            .collect()
    }
}
