//! Applies each write inside a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::directory::LoadedStream;
use super::frame::Place;
use super::reader::group;
use super::retention::{delete_groups, note_opening, note_use};
use super::writer::{Reply, Write, Writer};
use crate::group::{Commit, GroupRecord};
use crate::limits::{GROUPS_PER_STREAM_MAX, PARTITIONS_MAX, STREAMS_MAX};
use crate::storage::{StorageError, Stream};

/// A write that was applied; its answer waits for the COMMIT.
pub(super) enum Done {
    Commit(Reply<()>),
    Change(Reply<()>, Option<u64>),
    Trim(Reply<()>, Place, u64),
    CreateStream(Reply<Arc<Stream>>, Result<LoadedStream, StorageError>),
    Group(Reply<GroupRecord>, Result<GroupRecord, StorageError>),
}

impl Done {
    /// Sends the answer, now that the transaction is durable.
    pub(super) fn answer(self, writer: &mut Writer) {
        match self {
            Self::Commit(answer) => drop(answer.send(Ok(()))),
            Self::Change(answer, deleted_stream) => {
                if let Some(key) = deleted_stream {
                    writer.directory.remove(key);
                }
                drop(answer.send(Ok(())));
            }
            Self::CreateStream(answer, created) => {
                let added = created.map(|loaded| writer.directory.add(loaded));
                drop(answer.send(added));
            }
            Self::Group(answer, record) => drop(answer.send(record)),
            Self::Trim(answer, place, below) => {
                if let Some(partition) = writer.directory.partition(place) {
                    let before = partition.extent().oldest;
                    partition.trim(below);
                    writer.metrics.removed.inc_by(below.saturating_sub(before));
                }
                drop(answer.send(Ok(())));
            }
        }
    }

    pub(super) fn fail(self, error: StorageError) {
        match self {
            Self::Commit(answer) | Self::Change(answer, _) | Self::Trim(answer, ..) => {
                drop(answer.send(Err(error)));
            }
            Self::CreateStream(answer, _) => drop(answer.send(Err(error))),
            Self::Group(answer, _) => drop(answer.send(Err(error))),
        }
    }
}

impl Writer {
    /// Applies one write. If that fails, it is answered at once, and its transaction fails too.
    pub(super) fn apply(&mut self, write: Write) -> rusqlite::Result<Done> {
        match write {
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
                place,
                below,
                answer,
            } => {
                let trimmed = self.trim(place, below);
                Self::keep(trimmed, answer, |answer, ()| {
                    Done::Trim(answer, place, below)
                })
            }
            Write::AddSegment { number, answer } => {
                let added = add_segment(&self.db, number);
                Self::keep(added, answer, |answer, ()| Done::Commit(answer))
            }
            Write::DropSegments { numbers, answer } => {
                let dropped = drop_segments(&self.db, &numbers);
                Self::keep(dropped, answer, |answer, ()| Done::Commit(answer))
            }
            Write::NoteStop {
                number,
                end,
                answer,
            } => {
                let noted = note_stop(&self.db, number, end);
                Self::keep(noted, answer, |answer, ()| Done::Commit(answer))
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

    /// Keeps an answer until the COMMIT, or sends it now if there will be none.
    fn keep<T, A>(
        applied: rusqlite::Result<T>,
        answer: Reply<A>,
        done: impl FnOnce(Reply<A>, T) -> Done,
    ) -> rusqlite::Result<Done> {
        match applied {
            Ok(value) => Ok(done(answer, value)),
            Err(error) => {
                drop(answer.send(Err(StorageError::Failed(error.to_string()))));
                Err(error)
            }
        }
    }
}

fn add_segment(db: &Connection, number: u64) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO segment (number) VALUES (?1)";
    db.execute(insert, [number]).map(drop)
}

fn drop_segments(db: &Connection, numbers: &[u64]) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM segment WHERE number = ?1")?;
    let mut numbers = numbers.iter();
    numbers.try_for_each(|number| delete.execute([number]).map(drop))
}

fn note_stop(db: &Connection, number: u64, end: u64) -> rusqlite::Result<()> {
    let note = "INSERT OR REPLACE INTO setting (name, value) \
                VALUES ('stopped_in', ?1), ('stopped_at', ?2)";
    db.execute(note, [number, end]).map(drop)
}

/// Really writes a page: the value changes each time.
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
) -> rusqlite::Result<Result<LoadedStream, StorageError>> {
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
        return Ok(Err(StorageError::StreamExists));
    }
    let partitions = usize::try_from(stream.partitions).unwrap_or(usize::MAX);
    if count("stream")? >= STREAMS_MAX
        || count("partition")?.saturating_add(partitions) > PARTITIONS_MAX
    {
        return Ok(Err(StorageError::TooMany(format!(
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
    for number in 0..stream.partitions {
        let insert = "INSERT INTO partition (stream_key, number) VALUES (?1, ?2)";
        db.prepare_cached(insert)?.execute(params![key, number])?;
    }
    let partitions = (0..stream.partitions).map(|_| Default::default());
    let partitions = partitions.collect();
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
) -> rusqlite::Result<Result<GroupRecord, StorageError>> {
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
        return Ok(Err(StorageError::Failed(gone)));
    }
    let count = "SELECT count(*) FROM consumer_group WHERE stream_key = ?1";
    let count: u64 = db.query_row(count, [stream_key], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= GROUPS_PER_STREAM_MAX {
        return Ok(Err(StorageError::TooMany(format!(
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
