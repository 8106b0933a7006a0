//! Loads streams from the database and the log, and notes the start there.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::directory::LoadedStream;
use super::frame::Place;
use super::index::PartitionIndex;
use super::open_error::OpenError;
use super::recover::{LogRecord, Recovered};
use super::segment::log_folder;
use crate::partition_log::{Extent, PartitionLog};
use crate::storage::Stream;
use crate::time::TimeMs;

/// Returns what the database knows of the log.
pub(super) fn log_record(db: &Connection) -> rusqlite::Result<LogRecord> {
    let mut numbers = db.prepare("SELECT number FROM segment")?;
    let numbers = numbers.query_map([], |row| row.get(0))?;
    let stopped_at = db.query_row(
        "SELECT s.value, e.value FROM setting s, setting e \
         WHERE s.name = 'stopped_in' AND e.name = 'stopped_at'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    );
    Ok(LogRecord {
        segments: numbers.collect::<rusqlite::Result<_>>()?,
        stopped_at: stopped_at.optional()?,
    })
}

/// Notes new segments, and that the server runs. A stream that is created from now on never gets
/// the key of one that has messages in the log. That may happen because the database may be from an
/// older backup.
pub(super) fn note_log(db: &Connection, log: &Recovered) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    for number in &log.unknown {
        db.execute("INSERT INTO segment (number) VALUES (?1)", [number])?;
    }
    db.execute(
        "DELETE FROM setting WHERE name IN ('stopped_in', 'stopped_at')",
        [],
    )?;
    if let Some(((largest, _), _)) = log.partitions.last_key_value() {
        let update = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'stream'";
        if db.execute(update, [largest])? == 0 {
            let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES ('stream', ?1)";
            db.execute(insert, [largest])?;
        }
    }
    db.execute_batch("COMMIT")
}

/// Returns all streams, with their parts of the log.
pub(super) fn load_streams(
    db: &Connection,
    log: &mut Recovered,
) -> rusqlite::Result<Vec<LoadedStream>> {
    let mut statement = db.prepare(
        "SELECT key, id, name, partitions, compartment_id, stream_pool_id, retention_hours, \
         created_ms FROM stream ORDER BY key",
    )?;
    let streams = statement.query_map([], |row| {
        Ok(Stream {
            key: row.get(0)?,
            id: row.get(1)?,
            name: row.get(2)?,
            partitions: row.get(3)?,
            compartment_id: row.get(4)?,
            stream_pool_id: row.get(5)?,
            retention_hours: row.get(6)?,
            created: TimeMs(row.get(7)?),
        })
    })?;
    let mut loaded = Vec::new();
    for stream in streams {
        let stream = stream?;
        let partitions = load_partitions(db, stream.key, log)?;
        loaded.push(LoadedStream { stream, partitions });
    }
    Ok(loaded)
}

fn load_partitions(
    db: &Connection,
    stream_key: u64,
    log: &mut Recovered,
) -> rusqlite::Result<Vec<(PartitionLog, PartitionIndex)>> {
    let mut statement = db.prepare(
        "SELECT number, oldest, last_time_ms FROM partition WHERE stream_key = ?1 ORDER BY number",
    )?;
    let partitions = statement.query_map([stream_key], |row| {
        let (number, oldest, trimmed_time) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let place: Place = (stream_key, number);
        let index = log.partitions.get_mut(&place).map(std::mem::take);
        let index = index.unwrap_or_default();
        let newest = index.spans().last();
        let next = newest.map_or(oldest, |newest| newest.next_offset.max(oldest));
        let last_time = newest.map_or(trimmed_time, |newest| newest.last_time.0.max(trimmed_time));
        let log = PartitionLog {
            extent: Extent { oldest, next },
            last_time: TimeMs(last_time),
        };
        Ok((log, index))
    })?;
    partitions.collect()
}

/// Checks that no message is missing that retention has not removed.
pub(super) fn check_whole(folder: &Path, streams: &[LoadedStream]) -> Result<(), OpenError> {
    for LoadedStream { stream, partitions } in streams {
        for (number, (log, index)) in partitions.iter().enumerate() {
            let mut next = log.extent.oldest;
            for span in index
                .spans()
                .filter(|span| span.next_offset > log.extent.oldest)
            {
                if span.first_offset > next {
                    let name = &stream.name;
                    let problem = format!(
                        "the messages from {next} to {} of partition {number} of the stream {name} \
                         are missing",
                        span.first_offset.saturating_sub(1)
                    );
                    return Err(OpenError::log(folder, &log_folder(folder), problem));
                }
                next = span.next_offset;
            }
        }
    }
    Ok(())
}
