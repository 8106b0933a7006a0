//! Reading the database: a few connections that see what is durable, each used by one reader at a
//! time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::group::{CommittedPosition, GroupRecord};
use crate::storage::StorageError;

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
    ) -> Result<T, StorageError> {
        let failed = |text: String| StorageError::Failed(text);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| failed(error.to_string()))?;
        let free = Arc::clone(&self.free);
        let work = move || {
            // Moved here, because the query runs on when the caller goes away.
            let _permit = permit;
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db =
                taken.ok_or_else(|| StorageError::Failed("all readers are busy".to_owned()))?;
            let result = query(&db);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            result.map_err(|error| StorageError::Failed(error.to_string()))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| failed(error.to_string()))?
    }
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
