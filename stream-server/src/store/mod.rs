//! The embedded, crash-safe store: SQLite with a write-ahead log and full synchronisation.
//!
//! One writer thread gathers what waits into one transaction and answers after its COMMIT, that is,
//! after the disk has it; while that one is syncing, the next gathers. Readers have connections of
//! their own and never wait for the writer.

mod apply;
mod change;
mod directory;
mod gathering;
mod open;
mod reader;
mod retention;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::engine::{
    Answer, Document, Engine, EngineError, Message, NewMessage, ReadBounds, Stream,
};
use crate::group::{Commit, GroupRecord, ReadRange};
use crate::limits::WRITE_QUEUE_COUNT_MAX;
use crate::log::{Extent, Stamp};
use crate::metric::Metrics;
use crate::time::TimeMs;
use change::Change;
use directory::Directory;
pub use open::OpenError;
use reader::Readers;
use writer::{Write, Writer};

/// An [`Engine`] in one folder of one machine. Dropping it ends the writer without waiting;
/// [`Store::close`] waits.
pub struct Store {
    cursor_secret: [u8; 64],
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    folder: PathBuf,
    readers: Readers,
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the store is open: a second process is refused by it.
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens the folder, and creates it if it doesn't exist. `bytes_max` bounds the database file.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the folder and what to do.
    pub fn open(folder: &Path, bytes_max: Option<u64>) -> Result<Self, OpenError> {
        let opened = open::open(folder, bytes_max)?;
        let directory = Arc::new(Directory::new(opened.streams));
        let (sender, receiver) = mpsc::channel(WRITE_QUEUE_COUNT_MAX);
        let metrics = Metrics::new();
        let writer = Writer::new(
            opened.connection,
            Arc::clone(&directory),
            Arc::clone(&metrics),
        );
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|error| OpenError::system(folder, "start the writer thread", &error))?;
        Ok(Self {
            cursor_secret: opened.cursor_secret,
            directory,
            metrics,
            folder: folder.to_owned(),
            readers: Readers::new(opened.readers),
            writes: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(opened.lock)),
        })
    }

    /// What the store counts.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Bytes of the database and its log.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |f| f.len());
        size("stream.db").saturating_add(size("stream.db-wal"))
    }

    /// Writes what waits, and ends. Later operations fail. Blocks until the disk has everything.
    pub fn close(&self) {
        // Before the writer: SQLite removes its log when the last connection closes, if that one
        // may write.
        self.readers.close();
        drop(
            self.writes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = writer {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    fn change(&self, change: Change) -> Answer<'_, ()> {
        Box::pin(self.write(|answer| Write::Change { change, answer }))
    }

    /// Hands a write to the writer and waits for its answer.
    async fn write<T: Send>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, EngineError>>) -> Write,
    ) -> Result<T, EngineError> {
        let closed = || EngineError::Failed("it is closed".to_owned());
        let queue = self
            .writes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let queue = queue.ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(write(answer)).await.map_err(|_| closed())?;
        drop(queue);
        answered.await.map_err(|_| closed())?
    }
}

impl Engine for Store {
    fn cursor_secret(&self) -> [u8; 64] {
        self.cursor_secret
    }

    fn streams(&self) -> Answer<'_, Vec<Arc<Stream>>> {
        Box::pin(async { Ok(self.directory.streams()) })
    }

    fn stream<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Arc<Stream>>> {
        Box::pin(async move { Ok(self.directory.by_id(id)) })
    }

    fn documents(&self) -> Answer<'_, Vec<Document>> {
        Box::pin(self.readers.run(change::documents))
    }

    fn put_document(&self, document: Document) -> Answer<'_, ()> {
        self.change(Change::PutDocument(document))
    }

    fn delete_document<'a>(&'a self, kind: &'a str, id: &'a str) -> Answer<'a, ()> {
        self.change(Change::DeleteDocument {
            kind: kind.to_owned(),
            id: id.to_owned(),
        })
    }

    fn delete_stream<'a>(&'a self, stream: &'a Stream) -> Answer<'a, ()> {
        self.change(Change::DeleteStream {
            key: stream.key,
            id: stream.id.clone(),
        })
    }

    fn create_stream(&self, stream: Stream) -> Answer<'_, Arc<Stream>> {
        Box::pin(self.write(|answer| Write::CreateStream { stream, answer }))
    }

    fn append<'a>(
        &'a self,
        stream: &'a Stream,
        now: TimeMs,
        messages: Vec<NewMessage>,
    ) -> Answer<'a, Vec<Stamp>> {
        let stream_key = stream.key;
        Box::pin(self.write(move |answer| Write::Append {
            stream_key,
            now,
            messages,
            answer,
        }))
    }

    fn extents<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>> {
        Box::pin(async move { Ok(self.directory.extents(stream.key)) })
    }

    fn offset_at<'a>(
        &'a self,
        stream: &'a Stream,
        partition: u32,
        time: TimeMs,
    ) -> Answer<'a, Option<u64>> {
        Box::pin(async move {
            let Some(log) = self.directory.log(stream.key, partition) else {
                return Ok(None);
            };
            self.readers
                .run(move |db| reader::offset_at(db, &log, time))
                .await
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a Stream,
        ranges: &'a [ReadRange],
        bounds: ReadBounds,
    ) -> Answer<'a, Vec<Message>> {
        Box::pin(async move {
            let with_log = |range: &ReadRange| {
                let log = self.directory.log(stream.key, range.partition)?;
                (range.from < log.extent().next).then_some((log, *range))
            };
            let ranges: Vec<_> = ranges.iter().filter_map(with_log).collect();
            if ranges.is_empty() {
                return Ok(Vec::new());
            }
            let read = move |db: &Connection| reader::read(db, &ranges, bounds);
            let messages = self.readers.run(read).await?;
            let bytes: usize = messages.iter().map(|message| message.value.len()).sum();
            let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.metrics.read.inc_by(whole(messages.len()));
            self.metrics.read_bytes.inc_by(whole(bytes));
            Ok(messages)
        })
    }

    fn groups(&self) -> Answer<'_, Vec<GroupRecord>> {
        Box::pin(self.readers.run(reader::groups))
    }

    fn open_group<'a>(
        &'a self,
        stream: &'a Stream,
        name: &'a str,
        starts: BTreeMap<u32, u64>,
    ) -> Answer<'a, GroupRecord> {
        let (stream_key, name) = (stream.key, name.to_owned());
        let write = move |answer| Write::OpenGroup {
            stream_key,
            name,
            starts,
            answer,
        };
        Box::pin(self.write(write))
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, ()> {
        let commit = commit.clone();
        Box::pin(self.write(move |answer| Write::Commit { commit, answer }))
    }

    fn move_group(&self, group_key: u64, starts: BTreeMap<u32, u64>) -> Answer<'_, GroupRecord> {
        Box::pin(self.write(move |answer| Write::MoveGroup {
            group_key,
            starts,
            answer,
        }))
    }
}
