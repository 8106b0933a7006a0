//! What each write does inside a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::directory::{LoadedStream, table_name};
use super::reader::group;
use super::retention::{delete_groups, note_opening, note_use};
use super::writer::{Reply, Write, Writer};
use crate::engine::{EngineError, NewMessage, Stream};
use crate::group::{Commit, GroupRecord};
use crate::limits::{GROUPS_PER_STREAM_MAX, PARTITIONS_MAX, STREAMS_MAX};
use crate::log::{PartitionLog, Stamp};
use crate::time::TimeMs;

/// A write that was applied; its answer waits for the COMMIT.
pub(super) enum Done {
    Append(Reply<Vec<Stamp>>, Result<Vec<Stamp>, EngineError>),
    Commit(Reply<()>),
    Change(Reply<()>, Option<u64>),
    CreateStream(Reply<Arc<Stream>>, Result<LoadedStream, EngineError>),
    Group(Reply<GroupRecord>, Result<GroupRecord, EngineError>),
}

impl Done {
    /// Answers, now that the transaction is durable.
    pub(super) fn answer(self, writer: &mut Writer) {
        match self {
            Self::Append(answer, stamps) => {
                let count = stamps.as_ref().map_or(0, Vec::len);
                writer
                    .metrics
                    .stored
                    .inc_by(u64::try_from(count).unwrap_or(0));
                drop(answer.send(stamps));
            }
            Self::Commit(answer) => drop(answer.send(Ok(()))),
            Self::Change(answer, deleted_stream) => {
                if let Some(key) = deleted_stream {
                    writer.forget_stream(key);
                }
                drop(answer.send(Ok(())));
            }
            Self::CreateStream(answer, created) => {
                let added = created.map(|loaded| {
                    for (number, (_, log)) in (0_u32..).zip(&loaded.partitions) {
                        writer.logs.insert((loaded.stream.key, number), *log);
                    }
                    writer.directory.add(loaded)
                });
                drop(answer.send(added));
            }
            Self::Group(answer, record) => drop(answer.send(record)),
        }
    }

    pub(super) fn fail(self, error: EngineError) {
        match self {
            Self::Append(answer, _) => drop(answer.send(Err(error))),
            Self::Commit(answer) | Self::Change(answer, _) => drop(answer.send(Err(error))),
            Self::CreateStream(answer, _) => drop(answer.send(Err(error))),
            Self::Group(answer, _) => drop(answer.send(Err(error))),
        }
    }
}

impl Writer {
    /// Applies one write. Answers it at once if that fails: then its transaction fails too.
    pub(super) fn apply(&mut self, write: Write) -> rusqlite::Result<Done> {
        match write {
            Write::Append {
                stream_key,
                now,
                messages,
                answer,
            } => {
                let stamps = self.append(stream_key, now, &messages);
                Self::keep(stamps, answer, Done::Append)
            }
            Write::Commit { commit, answer } => {
                let stored = store_commit(&self.db, &commit);
                Self::keep(stored, answer, |answer, ()| Done::Commit(answer))
            }
            Write::Change { change, answer } => {
                let applied = change.apply(&self.db);
                Self::keep(applied, answer, Done::Change)
            }
            Write::CreateStream { stream, answer } => {
                let created = create_stream(&self.db, &stream);
                Self::keep(created, answer, Done::CreateStream)
            }
            Write::OpenGroup {
                stream_key,
                name,
                starts,
                answer,
            } => {
                let record = open_group(&self.db, stream_key, &name, &starts);
                Self::keep(record, answer, Done::Group)
            }
            Write::Trim {
                stream_key,
                partition,
                below,
                answer,
            } => {
                let trimmed = self.trim(stream_key, partition, below);
                Self::keep(trimmed, answer, |answer, ()| Done::Commit(answer))
            }
            Write::NoteUse { used, now, answer } => {
                let noted = note_use(&self.db, &used, now);
                Self::keep(noted, answer, |answer, ()| Done::Commit(answer))
            }
            Write::Probe { answer } => {
                let written = probe(&self.db);
                Self::keep(written, answer, |answer, ()| Done::Commit(answer))
            }
            Write::DeleteGroups { keys, answer } => {
                let deleted = delete_groups(&self.db, &keys);
                Self::keep(deleted, answer, |answer, ()| Done::Commit(answer))
            }
            Write::MoveGroup {
                group_key,
                starts,
                answer,
            } => {
                let record = move_group(&self.db, group_key, &starts);
                Self::keep(record.map(Ok), answer, Done::Group)
            }
        }
    }

    /// Keeps an answer until the COMMIT, or gives it now if there will be none.
    fn keep<T, A>(
        applied: rusqlite::Result<T>,
        answer: Reply<A>,
        done: impl FnOnce(Reply<A>, T) -> Done,
    ) -> rusqlite::Result<Done> {
        match applied {
            Ok(value) => Ok(done(answer, value)),
            Err(error) => {
                drop(answer.send(Err(EngineError::Failed(error.to_string()))));
                Err(error)
            }
        }
    }

    /// Forgets a stream whose deletion is durable, and begins to remove its messages.
    fn forget_stream(&mut self, key: u64) {
        self.directory.remove(key);
        self.logs.retain(|(stream, _), _| *stream != key);
        self.purging = true;
    }

    fn append(
        &mut self,
        stream_key: u64,
        now: TimeMs,
        messages: &[NewMessage],
    ) -> rusqlite::Result<Result<Vec<Stamp>, EngineError>> {
        let mut stamps = Vec::with_capacity(messages.len());
        // One statement serves as long as messages go to the same partition.
        let mut open: Option<(u32, CachedStatement<'_>)> = None;
        for message in messages {
            let place = (stream_key, message.partition);
            let Some(log) = self.logs.get_mut(&place) else {
                return Ok(Err(no_such_partition()));
            };
            let insert = match &mut open {
                Some((partition, insert)) if *partition == message.partition => insert,
                other => {
                    let Some(file) = self.directory.log(stream_key, message.partition) else {
                        return Ok(Err(no_such_partition()));
                    };
                    let insert = self.db.prepare_cached(&file.insert_sql)?;
                    &mut other.insert((message.partition, insert)).1
                }
            };
            let stamp = log.append(now);
            self.appended_bytes = self.appended_bytes.saturating_add(message.value.len());
            let (key, value) = (&message.key, &message.value);
            insert.execute(params![stamp.offset, stamp.time.0, key, value])?;
            if !self.touched.contains(&place) {
                self.touched.push(place);
            }
            stamps.push(stamp);
        }
        Ok(Ok(stamps))
    }
}

fn no_such_partition() -> EngineError {
    EngineError::Failed("there is no such partition".to_owned())
}

/// Writes a page for sure: the value changes each time.
fn probe(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO setting (name, value) VALUES ('probe', randomblob(8))",
    )?
    .execute([])
    .map(|_| ())
}

fn store_commit(db: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE group_position SET committed = max(coalesce(committed, -1), ?4) \
         WHERE group_key = ?1 AND partition = ?2 AND incarnation = ?3",
    )?;
    for (partition, offset) in &commit.committed {
        update.execute(params![
            commit.group_key,
            partition,
            commit.incarnation,
            offset
        ])?;
    }
    Ok(())
}

fn create_stream(
    db: &Connection,
    stream: &Stream,
) -> rusqlite::Result<Result<LoadedStream, EngineError>> {
    let count = |table: &str| {
        let count = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        });
        count.map(|count: u64| usize::try_from(count).unwrap_or(usize::MAX))
    };
    let twin = "SELECT 1 FROM stream WHERE name = ?1 OR id = ?2";
    if db
        .query_row(twin, [&stream.name, &stream.id], |_| Ok(()))
        .optional()?
        .is_some()
    {
        return Ok(Err(EngineError::StreamExists));
    }
    let partitions = usize::try_from(stream.partitions).unwrap_or(usize::MAX);
    if count("stream")? >= STREAMS_MAX
        || count("partition")?.saturating_add(partitions) > PARTITIONS_MAX
    {
        return Ok(Err(EngineError::TooMany(format!(
            "this server takes {STREAMS_MAX} streams with {PARTITIONS_MAX} partitions in all"
        ))));
    }
    db.execute(
        "INSERT INTO stream (id, name, partitions, compartment_id, stream_pool_id, \
         retention_hours, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            stream.id,
            stream.name,
            stream.partitions,
            stream.compartment_id,
            stream.stream_pool_id,
            stream.retention_hours,
            stream.created.0,
        ],
    )?;
    let key = db.last_insert_rowid();
    let mut partitions = Vec::new();
    for number in 0..stream.partitions {
        let insert = "INSERT INTO partition (stream_key, number) VALUES (?1, ?2)";
        db.prepare_cached(insert)?.execute(params![key, number])?;
        let table_key = db.last_insert_rowid();
        db.execute_batch(&format!(
            "CREATE TABLE {} (\"offset\" INTEGER PRIMARY KEY, time INTEGER NOT NULL, key BLOB, \
             value BLOB NOT NULL)",
            table_name(table_key)
        ))?;
        partitions.push((table_key, PartitionLog::default()));
    }
    let stream = Stream {
        key: u64::try_from(key).unwrap_or(0),
        ..stream.clone()
    };
    Ok(Ok(LoadedStream { stream, partitions }))
}

fn open_group(
    db: &Connection,
    stream_key: u64,
    name: &str,
    starts: &BTreeMap<u32, u64>,
) -> rusqlite::Result<Result<GroupRecord, EngineError>> {
    let find = "SELECT key FROM consumer_group WHERE stream_key = ?1 AND name = ?2";
    let found = db
        .query_row(find, params![stream_key, name], |row| row.get(0))
        .optional()?;
    if let Some(key) = found {
        note_opening(db, key)?;
        return group(db, key).map(Ok);
    }
    let stream = "SELECT 1 FROM stream WHERE key = ?1";
    if db
        .query_row(stream, [stream_key], |_| Ok(()))
        .optional()?
        .is_none()
    {
        let gone = "the stream was deleted meanwhile".to_owned();
        return Ok(Err(EngineError::Failed(gone)));
    }
    let count = "SELECT count(*) FROM consumer_group WHERE stream_key = ?1";
    let count: u64 = db.query_row(count, [stream_key], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= GROUPS_PER_STREAM_MAX {
        return Ok(Err(EngineError::TooMany(format!(
            "a stream has at most {GROUPS_PER_STREAM_MAX} groups"
        ))));
    }
    let insert = "INSERT INTO consumer_group (stream_key, name, incarnation) VALUES (?1, ?2, 0)";
    db.execute(insert, params![stream_key, name])?;
    let key = u64::try_from(db.last_insert_rowid()).unwrap_or(0);
    set_starts(db, key, starts)?;
    group(db, key).map(Ok)
}

fn move_group(
    db: &Connection,
    group_key: u64,
    starts: &BTreeMap<u32, u64>,
) -> rusqlite::Result<GroupRecord> {
    let bump = "UPDATE consumer_group SET incarnation = incarnation + 1 WHERE key = ?1";
    db.execute(bump, [group_key])?;
    set_starts(db, group_key, starts)?;
    group(db, group_key)
}

fn set_starts(
    db: &Connection,
    group_key: u64,
    starts: &BTreeMap<u32, u64>,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO group_position (group_key, partition, incarnation, start) \
         SELECT key, ?2, incarnation, ?3 FROM consumer_group WHERE key = ?1",
    )?;
    for (partition, start) in starts {
        insert.execute(params![group_key, partition, start])?;
    }
    Ok(())
}
