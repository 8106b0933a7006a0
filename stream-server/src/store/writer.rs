//! The writer: gathers writes into transactions, and answers them once they are durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::change::{Change, purge};
use super::directory::Directory;
use super::gathering::Gathering;
use super::open::load_streams;
use crate::engine::{EngineError, NewMessage, Stream};
use crate::group::{Commit, GroupRecord};
use crate::limits::{TRANSACTION_BYTES_MAX, WRITE_QUEUE_COUNT_MAX};
use crate::log::{PartitionLog, Stamp};
use crate::metric::Metrics;
use crate::time::TimeMs;

/// Where a write's result goes. Who no longer waits loses nothing but the answer.
pub(super) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// One write that waits for a transaction. See [`crate::engine::Engine`] for what each means.
pub(super) enum Write {
    /// Messages for one stream.
    Append {
        stream_key: u64,
        now: TimeMs,
        messages: Vec<NewMessage>,
        answer: Reply<Vec<Stamp>>,
    },
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
    /// Messages that are too old.
    Trim {
        stream_key: u64,
        partition: u32,
        below: u64,
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
    fn bytes(&self) -> usize {
        match self {
            Self::Append { messages, .. } => messages.iter().map(|m| m.value.len()).sum(),
            Self::Commit { .. }
            | Self::Change { .. }
            | Self::CreateStream { .. }
            | Self::OpenGroup { .. }
            | Self::Trim { .. }
            | Self::NoteUse { .. }
            | Self::Probe { .. }
            | Self::DeleteGroups { .. }
            | Self::MoveGroup { .. } => 0,
        }
    }

    pub(super) fn fail(self, error: EngineError) {
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(error))),
            Self::Commit { answer, .. }
            | Self::Change { answer, .. }
            | Self::Trim { answer, .. }
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
    /// The ends of all logs, including what the present transaction appends.
    pub(super) logs: BTreeMap<(u64, u32), PartitionLog>,
    /// Partitions that the present transaction appends to.
    pub(super) touched: Vec<(u64, u32)>,
    /// Whether messages of deleted streams may be left.
    pub(super) purging: bool,
    /// Bytes of values that the present transaction appends.
    pub(super) appended_bytes: usize,
}

impl Writer {
    pub(super) fn new(db: Connection, directory: Arc<Directory>, metrics: Arc<Metrics>) -> Self {
        let logs = directory.logs_at_start();
        Self {
            db,
            directory,
            metrics,
            logs,
            touched: Vec::new(),
            purging: true,
            appended_bytes: 0,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        let mut gathering = Gathering::default();
        while let Some(first) = self.next(&mut queue) {
            gathering.wait(&queue);
            let mut bytes = first.bytes();
            let mut batch = vec![first];
            while bytes < TRANSACTION_BYTES_MAX && batch.len() < WRITE_QUEUE_COUNT_MAX {
                let Ok(write) = queue.try_recv() else { break };
                bytes = bytes.saturating_add(write.bytes());
                batch.push(write);
            }
            let (count, started) = (batch.len(), Instant::now());
            self.transact(batch);
            gathering.note(count, queue.len(), started.elapsed());
        }
        // The next start finds one file and no log to replay. It would do without.
        let _ = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// The next write. While there is none, messages of deleted streams are removed.
    fn next(&mut self, queue: &mut mpsc::Receiver<Write>) -> Option<Write> {
        while self.purging {
            match queue.try_recv() {
                Ok(write) => return Some(write),
                Err(TryRecvError::Disconnected) => return None,
                // Where that fails (a full disk), the next deletion or start tries again.
                Err(TryRecvError::Empty) => self.purging = purge(&self.db).unwrap_or(false),
            }
        }
        queue.blocking_recv()
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
                self.publish();
                done.into_iter().for_each(|done| done.answer(self));
            }
            Err(error) => {
                self.metrics.failed.inc();
                self.recover();
                let error = EngineError::Failed(error.to_string());
                done.into_iter().for_each(|done| done.fail(error.clone()));
                waiting.for_each(|write| write.fail(error.clone()));
            }
        }
    }

    /// Shows readers what the transaction has appended.
    fn publish(&mut self) {
        let bytes = u64::try_from(std::mem::take(&mut self.appended_bytes)).unwrap_or(0);
        self.metrics.stored_bytes.inc_by(bytes);
        for (stream_key, partition) in std::mem::take(&mut self.touched) {
            let log = self.logs.get(&(stream_key, partition));
            let file = self.directory.log(stream_key, partition);
            if let (Some(log), Some(file)) = (log, file) {
                file.publish(log.extent);
            }
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Forgets what a failed transaction did, so that the next one starts from what is stored.
    fn recover(&mut self) {
        self.touched.clear();
        self.appended_bytes = 0;
        if !self.db.is_autocommit() {
            // SQLite has rolled back by itself where this fails.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        if let Ok(streams) = load_streams(&self.db) {
            for loaded in streams {
                for (number, (_, log)) in (0_u32..).zip(&loaded.partitions) {
                    self.logs.insert((loaded.stream.key, number), *log);
                }
            }
        }
    }
}
