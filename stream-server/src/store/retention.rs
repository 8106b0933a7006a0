//! Retention: messages leave when they are old enough, groups when nobody has used them as long.
//!
//! Deletion goes through the writer's queue like everything else, in small pieces: what is
//! published meanwhile waits for one piece at most. The space is used again for new messages; the
//! file does not shrink.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::Store;
use super::directory::LogFile;
use super::reader::offset_at;
use super::writer::{Write, Writer};
use crate::engine::{EngineError, Stream};
use crate::limits::{TRIM_BYTES_MAX, TRIM_COUNT_MAX};
use crate::time::TimeMs;

impl Store {
    /// Deletes the messages of one stream that are older than `before`. Their offsets are never
    /// given again.
    ///
    /// # Errors
    /// [`EngineError::Failed`]; what is deleted by then stays deleted.
    pub async fn trim(&self, stream: &Stream, before: TimeMs) -> Result<(), EngineError> {
        for partition in 0..stream.partitions {
            let Some(log) = self.directory.log(stream.key, partition) else {
                return Ok(());
            };
            loop {
                let of = Arc::clone(&log);
                let expired = move |db: &Connection| expired(db, &of, before);
                let Some(below) = self.readers.run(expired).await? else {
                    break;
                };
                let stream_key = stream.key;
                self.write(|answer| Write::Trim {
                    stream_key,
                    partition,
                    below,
                    answer,
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Notes which groups are in use now, and gives those of the stream that nobody has used since
    /// `before`.
    ///
    /// # Errors
    /// [`EngineError::Failed`].
    pub async fn unused_groups(
        &self,
        stream: &Stream,
        used: Vec<u64>,
        now: TimeMs,
        before: TimeMs,
    ) -> Result<Vec<u64>, EngineError> {
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

    /// Writes something, to see whether that can be done.
    ///
    /// # Errors
    /// [`EngineError::Failed`].
    pub async fn probe(&self) -> Result<(), EngineError> {
        self.write(|answer| Write::Probe { answer }).await
    }

    /// Deletes groups, except those that were opened again meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Failed`]; then none is deleted.
    pub async fn delete_groups(&self, keys: Vec<u64>) -> Result<(), EngineError> {
        self.write(|answer| Write::DeleteGroups { keys, answer })
            .await
    }
}

/// The offset below which the next piece of messages is to be deleted, if there is one.
fn expired(db: &Connection, log: &LogFile, before: TimeMs) -> rusqlite::Result<Option<u64>> {
    let extent = log.extent();
    let end = offset_at(db, log, before)?.unwrap_or(extent.next);
    let mut sizes = db.prepare_cached(&log.size_sql)?;
    let mut rows = sizes.query(params![extent.oldest, end, TRIM_COUNT_MAX])?;
    let (mut below, mut bytes) = (None, 0_u64);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get(1)?);
        if below.is_some() && bytes > TRIM_BYTES_MAX {
            break;
        }
        below = Some(row.get::<_, u64>(0)?.saturating_add(1));
    }
    Ok(below)
}

impl Writer {
    /// Deletes the messages of a partition below an offset.
    pub(super) fn trim(
        &mut self,
        stream_key: u64,
        partition: u32,
        below: u64,
    ) -> rusqlite::Result<()> {
        let place = (stream_key, partition);
        let file = self.directory.log(stream_key, partition);
        let (Some(file), Some(log)) = (file, self.logs.get_mut(&place)) else {
            return Ok(());
        };
        let below = below.min(log.extent.next);
        let removed = self.db.prepare_cached(&file.trim_sql)?.execute([below])?;
        self.metrics
            .removed
            .inc_by(u64::try_from(removed).unwrap_or(0));
        log.extent.oldest = log.extent.oldest.max(below);
        // An empty table tells neither the next offset nor the newest time: this row does.
        self.db
            .prepare_cached(
                "UPDATE partition SET oldest = max(oldest, ?3), \
                 last_time_ms = max(last_time_ms, ?4) WHERE stream_key = ?1 AND number = ?2",
            )?
            .execute(params![stream_key, partition, below, log.last_time.0])?;
        if !self.touched.contains(&place) {
            self.touched.push(place);
        }
        Ok(())
    }
}

/// Notes that these groups are in use now; those of which nothing is known count as used now, too.
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

/// Forgets how long a group was unused: somebody opens it.
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
