//! Changes of the control plane: its documents, and the deletion of streams.

use rusqlite::{Connection, params};

use crate::storage::Document;

/// One change, in a transaction with others.
pub(super) enum Change {
    PutDocument(Document),
    DeleteDocument { kind: String, id: String },
    DeleteStream { key: u64, id: String },
}

impl Change {
    /// Applies the change. Returns the key of a stream that it deletes.
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

/// Creates the table of documents, which older stores don't have.
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

/// Deletes everything except the messages, which are deleted with their files of the log.
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
    db.execute("DELETE FROM partition WHERE stream_key = ?1", [key])?;
    db.execute("DELETE FROM stream WHERE key = ?1", [key])?;
    Ok(())
}
