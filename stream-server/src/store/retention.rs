//! Retention: messages are removed when they are old enough, groups when nobody has used them for
//! as long.
//!
//! Readers don't see removed messages any more. The disk has room again when all messages of a file
//! of the log are removed.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::Store;
use super::append_queue::Task;
use super::frame::Place;
use super::writer::{Write, Writer};
use crate::storage::{Storage as _, StorageError, Stream};
use crate::time::TimeMs;

impl Store {
    /// Deletes the messages of one stream that are older than `before`. Their offsets are never
    /// used again.
    ///
    /// # Errors
    /// [`StorageError::Failed`]. What was deleted before stays deleted.
    pub async fn trim(&self, stream: &Stream, before: TimeMs) -> Result<(), StorageError> {
        for number in 0..stream.partitions {
            let place = (stream.key, number);
            let Some(partition) = self.directory.partition(place) else {
                return Ok(());
            };
            let extent = partition.extent();
            let kept = self.offset_at(stream, number, before).await?;
            let below = kept.unwrap_or(extent.next);
            if below > extent.oldest {
                let trim = |answer| Write::Trim {
                    place,
                    below,
                    answer,
                };
                self.write(trim).await?;
            }
        }
        Ok(())
    }

    /// Deletes the files of the log without any kept message.
    ///
    /// # Errors
    /// [`StorageError::Failed`]. What was deleted before stays deleted.
    pub async fn free_space(&self) -> Result<(), StorageError> {
        self.append_task(|answer| Task::SealIfDead { answer })
            .await?;
        let numbers = self.segments.dead(&self.directory);
        if numbers.is_empty() {
            return Ok(());
        }
        let dead = numbers.clone();
        // The database forgets them first, because a missing file would count as damage.
        self.write(|answer| Write::DropSegments { numbers, answer })
            .await?;
        for partition in self.directory.partitions() {
            dead.iter().for_each(|number| partition.forget(*number));
        }
        let segments = Arc::clone(&self.segments);
        let delete = move || segments.delete(&dead);
        let deleted = tokio::task::spawn_blocking(delete).await;
        let failed = |error: String| StorageError::Failed(error);
        let deleted = deleted.map_err(|error| failed(error.to_string()))?;
        deleted.map_err(|error| failed(format!("cannot delete a file of the log: {error}")))
    }

    /// Notes which groups are in use now, and returns those of the stream that nobody has used
    /// since `before`.
    ///
    /// # Errors
    /// [`StorageError::Failed`].
    pub async fn unused_groups(
        &self,
        stream: &Stream,
        used: Vec<u64>,
        now: TimeMs,
        before: TimeMs,
    ) -> Result<Vec<u64>, StorageError> {
        self.write(|answer| Write::NoteUse { used, now, answer })
            .await?;
        let stream_key = stream.key;
        let unused = move |db: &Connection| {
            let mut select = db.prepare_cached(
                "SELECT key FROM consumer_group JOIN group_use ON group_key = key \
                 WHERE stream_key = ?1 AND used_ms < ?2",
            )?;
            let keys = select.query_map(params![stream_key, before.0], |row| row.get(0))?;
            keys.collect()
        };
        self.readers.run(unused).await
    }

    /// Writes something to the log and the database, to see whether that can be done.
    ///
    /// # Errors
    /// [`StorageError::Failed`].
    pub async fn probe(&self) -> Result<(), StorageError> {
        self.append_task(|answer| Task::Probe { answer }).await?;
        self.write(|answer| Write::Probe { answer }).await
    }

    /// Deletes groups, except those that were opened again meanwhile.
    ///
    /// # Errors
    /// [`StorageError::Failed`]; then none is deleted.
    pub async fn delete_groups(&self, keys: Vec<u64>) -> Result<(), StorageError> {
        self.write(|answer| Write::DeleteGroups { keys, answer })
            .await
    }
}

impl Writer {
    /// Notes that a partition has no messages below an offset any more. A log without messages
    /// tells neither the next offset nor the newest time, but this row does.
    pub(super) fn trim(&self, place: Place, below: u64) -> rusqlite::Result<()> {
        let (stream_key, number) = place;
        let partition = self.directory.partition(place);
        let last_time = partition.map_or(0, |partition| partition.log().last_time.0);
        let update = "UPDATE partition SET oldest = max(oldest, ?3), \
                      last_time_ms = max(last_time_ms, ?4) WHERE stream_key = ?1 AND number = ?2";
        self.db
            .prepare_cached(update)?
            .execute(params![stream_key, number, below, last_time])
            .map(drop)
    }
}

/// Notes that these groups are in use now. Groups of which nothing is known count as used now, too.
pub(super) fn note_use(db: &Connection, used: &[u64], now: TimeMs) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO group_use (group_key, used_ms) SELECT key, ?1 FROM consumer_group",
    )?
    .execute([now.0])?;
    let mut update =
        db.prepare_cached("UPDATE group_use SET used_ms = max(used_ms, ?2) WHERE group_key = ?1")?;
    for key in used {
        update.execute(params![key, now.0])?;
    }
    Ok(())
}

/// Forgets how long a group was unused, because somebody opens it.
pub(super) fn note_opening(db: &Connection, key: u64) -> rusqlite::Result<()> {
    let forget = "DELETE FROM group_use WHERE group_key = ?1";
    db.prepare_cached(forget)?.execute([key]).map(|_| ())
}

/// Deletes groups whose use is known, that is, which were not opened since.
pub(super) fn delete_groups(db: &Connection, keys: &[u64]) -> rusqlite::Result<()> {
    for key in keys {
        let known = db
            .prepare_cached("DELETE FROM group_use WHERE group_key = ?1")?
            .execute([key])?;
        if known > 0 {
            db.prepare_cached("DELETE FROM group_position WHERE group_key = ?1")?
                .execute([key])?;
            db.prepare_cached("DELETE FROM consumer_group WHERE key = ?1")?
                .execute([key])?;
        }
    }
    Ok(())
}
