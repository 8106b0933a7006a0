//! What the control plane changes: its documents, and the deletion of streams.

use rusqlite::{Connection, OptionalExtension, params};

use super::directory::table_name;
use crate::engine::Document;
use crate::limits::{PURGE_BYTES, PURGE_COUNT};

/// One change, in a transaction with others.
pub(super) enum Change {
    PutDocument(Document),
    DeleteDocument { kind: String, id: String },
    DeleteStream { key: u64, id: String },
}

impl Change {
    /// Applies it; gives the key of the stream that it deletes.
    pub(super) fn apply(&self, db: &Connection) -> rusqlite::Result<Option<u64>> {
        match self {
            Self::PutDocument(document) => {
                let put = "INSERT OR REPLACE INTO document (kind, id, json) VALUES (?1, ?2, ?3)";
                db.prepare_cached(put)?.execute(params![
                    document.kind,
                    document.id,
                    document.json
                ])?;
                Ok(None)
            }
            Self::DeleteDocument { kind, id } => {
                delete_document(db, kind, id)?;
                Ok(None)
            }
            Self::DeleteStream { key, id } => {
                delete_stream(db, *key)?;
                delete_document(db, Document::STREAM, id)?;
                Ok(Some(*key))
            }
        }
    }
}

/// The table of documents, also in a store that is older than it.
pub(super) fn create_table(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS document (
             kind TEXT NOT NULL,
             id TEXT NOT NULL,
             json TEXT NOT NULL,
             PRIMARY KEY (kind, id)
         ) WITHOUT ROWID",
    )
}

pub(super) fn documents(db: &Connection) -> rusqlite::Result<Vec<Document>> {
    let mut statement = db.prepare("SELECT kind, id, json FROM document ORDER BY kind, id")?;
    let document = |row: &rusqlite::Row<'_>| {
        Ok(Document {
            kind: row.get(0)?,
            id: row.get(1)?,
            json: row.get(2)?,
        })
    };
    statement.query_map([], document)?.collect()
}

fn delete_document(db: &Connection, kind: &str, id: &str) -> rusqlite::Result<()> {
    let delete = "DELETE FROM document WHERE kind = ?1 AND id = ?2";
    db.prepare_cached(delete)?.execute([kind, id]).map(|_| ())
}

/// Deletes all but the messages, which may be many. Their partitions have no stream any more; that
/// is how [`purge`] finds them.
fn delete_stream(db: &Connection, key: u64) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM group_position \
         WHERE group_key IN (SELECT key FROM consumer_group WHERE stream_key = ?1)",
        [key],
    )?;
    db.execute(
        "DELETE FROM group_use \
         WHERE group_key IN (SELECT key FROM consumer_group WHERE stream_key = ?1)",
        [key],
    )?;
    db.execute("DELETE FROM consumer_group WHERE stream_key = ?1", [key])?;
    db.execute("DELETE FROM stream WHERE key = ?1", [key])?;
    Ok(())
}

/// Removes some messages of a deleted stream, in a transaction of its own. Whether there may be
/// more.
pub(super) fn purge(db: &Connection) -> rusqlite::Result<bool> {
    let find = "SELECT key FROM partition WHERE stream_key NOT IN (SELECT key FROM stream) LIMIT 1";
    let found: Option<i64> = db
        .prepare_cached(find)?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(key) = found else {
        return Ok(false);
    };
    let table = table_name(key);
    let Some(last) = last_to_purge(db, &table)? else {
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; DROP TABLE {table}; DELETE FROM partition WHERE key = {key}; COMMIT;"
        ))
        .inspect_err(|_| drop(db.execute_batch("ROLLBACK")))?;
        return Ok(true);
    };
    db.execute(
        &format!("DELETE FROM {table} WHERE \"offset\" <= ?1"),
        [last],
    )?;
    Ok(true)
}

/// The last offset of what one transaction may remove; none where nothing is left.
fn last_to_purge(db: &Connection, table: &str) -> rusqlite::Result<Option<u64>> {
    let mut statement = db.prepare(&format!(
        "SELECT \"offset\", length(value) FROM {table} ORDER BY \"offset\" LIMIT {PURGE_COUNT}"
    ))?;
    let mut rows = statement.query([])?;
    let (mut last, mut bytes) = (None, 0_u64);
    while let Some(row) = rows.next()? {
        last = Some(row.get(0)?);
        bytes = bytes.saturating_add(row.get(1)?);
        if bytes >= PURGE_BYTES {
            break;
        }
    }
    Ok(last)
}
