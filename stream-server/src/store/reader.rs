//! Reading: a few connections that see what is durable, each used by one reader at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::Semaphore;

use super::directory::LogFile;
use crate::engine::{EngineError, Message, ReadBounds};
use crate::group::{CommittedPosition, GroupRecord, ReadRange};
use crate::log::Stamp;
use crate::time::TimeMs;

/// The connections that are free.
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Self {
            free: Arc::new(Mutex::new(connections)),
            permits,
        }
    }

    /// Closes the connections that are free. Later queries fail.
    pub(super) fn close(&self) {
        self.permits.close();
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Runs a query on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let failed = |text: String| EngineError::Failed(text);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| failed(error.to_string()))?;
        let free = Arc::clone(&self.free);
        let work = move || {
            // Moved here, because the query runs on when the caller goes away.
            let _permit = permit;
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db = taken.ok_or_else(|| EngineError::Failed("all readers are busy".to_owned()))?;
            let result = query(&db);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            result.map_err(|error| EngineError::Failed(error.to_string()))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| failed(error.to_string()))?
    }
}

pub(super) fn read(
    db: &Connection,
    ranges: &[(Arc<LogFile>, ReadRange)],
    bounds: ReadBounds,
) -> rusqlite::Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut bytes_left = bounds.bytes_max;
    for (log, range) in ranges {
        let count_left = bounds.count_max.saturating_sub(messages.len());
        if count_left == 0 {
            break;
        }
        // SQLite's integers are signed.
        let until = range.until.min(i64::MAX.unsigned_abs());
        let mut statement = db.prepare_cached(&log.read_sql)?;
        let count = i64::try_from(count_left).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![range.from, until, count])?;
        while let Some(row) = rows.next()? {
            let message = message(row, range.partition)?;
            let bytes = message.value.len() + message.key.as_ref().map_or(0, Vec::len);
            match bytes_left.checked_sub(bytes) {
                Some(left) => bytes_left = left,
                None if messages.is_empty() => bytes_left = 0,
                None => return Ok(messages),
            }
            messages.push(message);
        }
    }
    Ok(messages)
}

fn message(row: &Row<'_>, partition: u32) -> rusqlite::Result<Message> {
    let stamp = Stamp {
        offset: row.get(0)?,
        time: TimeMs(row.get(1)?),
    };
    Ok(Message {
        partition,
        stamp,
        key: row.get(2)?,
        value: row.get(3)?,
    })
}

/// The first offset with at least this time, by bisection: times never fall within a partition.
pub(super) fn offset_at(
    db: &Connection,
    log: &LogFile,
    time: TimeMs,
) -> rusqlite::Result<Option<u64>> {
    let extent = log.extent();
    let mut statement = db.prepare_cached(&log.time_sql)?;
    // All messages before `low` are earlier; the one at `high` is not, or is not there yet.
    let (mut low, mut high) = (extent.oldest, extent.next);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(u64, u64)> = statement
            .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((offset, ms)) if TimeMs(ms) < time => low = offset.saturating_add(1),
            Some(_) | None => high = middle,
        }
    }
    Ok((low < extent.next).then_some(low))
}

pub(super) fn groups(db: &Connection) -> rusqlite::Result<Vec<GroupRecord>> {
    let mut statement = db.prepare_cached("SELECT key FROM consumer_group ORDER BY key")?;
    let keys = statement.query_map([], |row| row.get(0))?;
    keys.map(|key| group(db, key?)).collect()
}

pub(super) fn group(db: &Connection, key: u64) -> rusqlite::Result<GroupRecord> {
    let mut positions = db.prepare_cached(
        "SELECT partition, start, committed FROM group_position WHERE group_key = ?1",
    )?;
    let positions = positions.query_map([key], |row| {
        let (start, committed) = (row.get(1)?, row.get(2)?);
        Ok((row.get(0)?, CommittedPosition { start, committed }))
    })?;
    let positions = positions.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let select = "SELECT stream_key, name, incarnation FROM consumer_group WHERE key = ?1";
    db.prepare_cached(select)?.query_row([key], |row| {
        let (stream_key, name, incarnation) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(GroupRecord {
            key,
            stream_key,
            name,
            incarnation,
            positions,
        })
    })
}
