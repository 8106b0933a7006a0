//! The writer of the database: gathers writes into transactions, and answers them once they are
//! durable. The appender writes messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::change::Change;
use super::directory::Directory;
use super::frame::Place;
use super::gathering::Gathering;
use super::queue::Queue;
use crate::group::{Commit, GroupRecord};
use crate::limits::WRITE_QUEUE_COUNT_MAX;
use crate::metric::Metrics;
use crate::storage::{StorageError, Stream};
use crate::time::TimeMs;

/// Where a write's result goes. If nobody waits any more, only the answer is lost.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StorageError>>;

/// A write that waits for a transaction. See [`crate::storage::Storage`] for their meanings.
pub(super) enum Write {
    /// Offsets of one group.
    Commit { commit: Commit, answer: Reply<()> },
    /// A new stream.
    CreateStream {
        stream: Stream,
        answer: Reply<Arc<Stream>>,
    },
    /// Something of the control plane.
    Change { change: Change, answer: Reply<()> },
    /// A group, new or not.
    OpenGroup {
        stream_key: u64,
        name: String,
        starts: BTreeMap<u32, u64>,
        answer: Reply<GroupRecord>,
    },
    /// Messages below an offset are too old.
    Trim {
        place: Place,
        below: u64,
        answer: Reply<()>,
    },
    /// A new file of the log.
    AddSegment { number: u64, answer: Reply<()> },
    /// Files of the log that have to be deleted.
    DropSegments {
        numbers: Vec<u64>,
        answer: Reply<()>,
    },
    /// Where the log ends, now that nothing is appended any more.
    NoteStop {
        number: u64,
        end: u64,
        answer: Reply<()>,
    },
    /// Which groups are in use now.
    NoteUse {
        used: Vec<u64>,
        now: TimeMs,
        answer: Reply<()>,
    },
    /// Something small, to see whether the disk takes it.
    Probe { answer: Reply<()> },
    /// Groups that nobody uses.
    DeleteGroups { keys: Vec<u64>, answer: Reply<()> },
    /// New start positions of a group.
    MoveGroup {
        group_key: u64,
        starts: BTreeMap<u32, u64>,
        answer: Reply<GroupRecord>,
    },
}

impl Write {
    pub(super) fn fail(self, error: StorageError) {
        match self {
            Self::Commit { answer, .. }
            | Self::Change { answer, .. }
            | Self::Trim { answer, .. }
            | Self::AddSegment { answer, .. }
            | Self::DropSegments { answer, .. }
            | Self::NoteStop { answer, .. }
            | Self::NoteUse { answer, .. }
            | Self::Probe { answer }
            | Self::DeleteGroups { answer, .. } => drop(answer.send(Err(error))),
            Self::CreateStream { answer, .. } => drop(answer.send(Err(error))),
            Self::OpenGroup { answer, .. } | Self::MoveGroup { answer, .. } => {
                drop(answer.send(Err(error)));
            }
        }
    }
}

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) directory: Arc<Directory>,
    pub(super) metrics: Arc<Metrics>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue<Write>) {
        let mut gathering = Gathering::default();
        while let Some(first) = queue.wait() {
            gathering.wait(queue);
            let mut batch = vec![first];
            while batch.len() < WRITE_QUEUE_COUNT_MAX {
                let Some(write) = queue.pop() else { break };
                batch.push(write);
            }
            let (count, started) = (batch.len(), Instant::now());
            self.transact(batch);
            gathering.note(count, queue.len(), started.elapsed());
        }
        // The next start finds one file and no log to replay. It would do without.
        let _ = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// All writes of the batch in one transaction; if one fails, all do.
    fn transact(&mut self, batch: Vec<Write>) {
        let (count, started) = (batch.len(), Instant::now());
        let mut waiting = batch.into_iter();
        let mut done = Vec::with_capacity(waiting.len());
        let outcome = self.execute("BEGIN IMMEDIATE").and_then(|()| {
            for write in waiting.by_ref() {
                done.push(self.apply(write)?);
            }
            self.execute("COMMIT")
        });
        match outcome {
            Ok(()) => {
                self.metrics.count_transaction(count, started.elapsed());
                done.into_iter().for_each(|done| done.answer(self));
            }
            Err(error) => {
                self.metrics.failed.inc();
                if !self.db.is_autocommit() {
                    // SQLite has rolled back by itself where this fails.
                    let _ = self.db.execute_batch("ROLLBACK");
                }
                let error = StorageError::Failed(error.to_string());
                done.into_iter().for_each(|done| done.fail(error.clone()));
                waiting.for_each(|write| write.fail(error.clone()));
            }
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}
