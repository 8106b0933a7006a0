//! The embedded, crash-safe store: a log of its own for messages, SQLite for all the rest.
//!
//! The log is a row of files, the segments, that are only appended to. One thread gathers what
//! waits into one commit and answers after its synchronisation, that is, after the disk has it;
//! while that one is syncing, the next gathers. Another thread does the same for the database, in
//! transactions.
//! Readers never wait for either.
//!
//! | | |
//! |---|---|
//! | the form of commits (pure) | `frame` |
//! | where messages are (pure) | `index` |
//! | what a segment has, torn or damaged (pure) | `scan` |
//! | files | `segment`, `segments` |
//! | start | `open`, `recover`, `load` |
//! | messages: writing, reading | `appender`, `active`, `log_reader` |
//! | the database: writing, reading | `writer`, `apply`, `change`, `reader` |
//! | what leaves | `retention` |

mod active;
mod appender;
mod apply;
mod change;
mod directory;
mod frame;
mod gathering;
mod index;
mod load;
mod log_reader;
mod open;
mod reader;
mod recover;
mod retention;
mod scan;
mod segment;
mod segments;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::engine::{
    Answer, Document, Engine, EngineError, Message, NewMessage, ReadBounds, Stream,
};
use crate::group::{Commit, GroupRecord, ReadRange};
use crate::limits::{READERS_COUNT, SEGMENT_BYTES, WRITE_QUEUE_COUNT_MAX};
use crate::log::{Extent, Stamp};
use crate::metric::Metrics;
use crate::time::TimeMs;
use active::ActiveFile;
use appender::{Append, Appender, Task};
use change::Change;
use directory::Directory;
use frame::CommitBuffer;
pub use open::OpenError;
use reader::Readers;
use segment::Patience;
use segments::Segments;
use writer::{Reply, Write, Writer};

/// An [`Engine`] in one folder of one machine. Dropping it ends its threads without waiting;
/// [`Store::close`] waits.
pub struct Store {
    cursor_secret: [u8; 64],
    directory: Arc<Directory>,
    segments: Arc<Segments>,
    metrics: Arc<Metrics>,
    folder: PathBuf,
    readers: Readers,
    /// Reads that wait for the disk.
    log_reads: Arc<Semaphore>,
    appends: Mutex<Option<mpsc::Sender<Task>>>,
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    appender: Mutex<Option<JoinHandle<()>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the store is open: a second process is refused by it.
    lock: Mutex<Option<File>>,
}

/// How large the store may be.
#[derive(Clone, Copy, Debug)]
pub struct StoreBounds {
    /// Bytes of all files of the log, and those of the database; without bound where `None`.
    pub bytes_max: Option<u64>,
    /// Bytes of one file of the log, except that one commit always fits.
    pub segment_bytes: u64,
}

impl Default for StoreBounds {
    fn default() -> Self {
        Self {
            bytes_max: None,
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

impl Store {
    /// Opens the folder, and creates it if it doesn't exist.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the folder and what to do.
    pub fn open(folder: &Path, bounds: StoreBounds) -> Result<Self, OpenError> {
        let opened = open::open(folder, bounds.bytes_max)?;
        let directory = Arc::new(Directory::new(opened.streams));
        let (writes, written) = mpsc::channel(WRITE_QUEUE_COUNT_MAX);
        let (appends, appended) = mpsc::channel(WRITE_QUEUE_COUNT_MAX);
        let metrics = Metrics::new();
        let writer = Writer {
            db: opened.connection,
            directory: Arc::clone(&directory),
            metrics: Arc::clone(&metrics),
        };
        let log = opened.log;
        let segments = Arc::new(log.segments);
        let appender = Appender {
            segments: Arc::clone(&segments),
            directory: Arc::clone(&directory),
            metrics: Arc::clone(&metrics),
            database: writes.clone(),
            bytes_max: bounds.bytes_max,
            segment_bytes: bounds.segment_bytes,
            next_commit: log.next_commit,
            next_segment: log.next_segment,
            file: log.active.map(ActiveFile::new),
            buffer: CommitBuffer::default(),
        };
        let writer = thread(folder, "store-writer", move || writer.run(written))?;
        let appender = thread(folder, "store-appender", move || appender.run(appended))?;
        Ok(Self {
            cursor_secret: opened.cursor_secret,
            directory,
            segments,
            metrics,
            folder: folder.to_owned(),
            readers: Readers::new(opened.readers),
            log_reads: Arc::new(Semaphore::new(READERS_COUNT)),
            appends: Mutex::new(Some(appends)),
            writes: Mutex::new(Some(writes)),
            appender: Mutex::new(Some(appender)),
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(opened.lock)),
        })
    }

    /// What the store counts.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Bytes of the log, and of the database with its own log.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |f| f.len());
        let database = size("stream.db").saturating_add(size("stream.db-wal"));
        database.saturating_add(self.segments.bytes())
    }

    /// Writes what waits, and ends. Later operations fail. Blocks until the disk has everything.
    pub fn close(&self) {
        // Before the writer: SQLite removes its log when the last connection closes, if that one
        // may write.
        self.readers.close();
        // The appender needs the writer to its end.
        drop(take(&self.appends));
        // Threads that panicked have nothing left to write.
        let _ = take(&self.appender).map(JoinHandle::join);
        drop(take(&self.writes));
        let _ = take(&self.writer).map(JoinHandle::join);
        drop(take(&self.lock));
    }

    fn change(&self, change: Change) -> Answer<'_, ()> {
        Box::pin(self.write(|answer| Write::Change { change, answer }))
    }

    /// Hands a write to the writer and waits for its answer.
    async fn write<T: Send>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, EngineError>>) -> Write,
    ) -> Result<T, EngineError> {
        ask(&self.writes, write).await
    }

    /// Hands something to the appender and waits for its answer.
    async fn append_task<T: Send>(
        &self,
        task: impl FnOnce(Reply<T>) -> Task,
    ) -> Result<T, EngineError> {
        ask(&self.appends, task).await
    }

    /// Reads from the log: at once what is in memory, else on a thread that may wait for the disk.
    async fn read_log<T: Send + 'static>(
        &self,
        read: impl Fn(&Segments, Patience) -> io::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let failed = |error: String| EngineError::Failed(error);
        match read(&self.segments, Patience::None) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done.map_err(|error| failed(error.to_string())),
        }
        let permit = Arc::clone(&self.log_reads).acquire_owned().await;
        let permit = permit.map_err(|error| failed(error.to_string()))?;
        let segments = Arc::clone(&self.segments);
        let work = move || {
            // Moved here, because the read runs on when the caller goes away.
            let _permit = permit;
            read(&segments, Patience::Full)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| failed(error.to_string()))?;
        done.map_err(|error| failed(error.to_string()))
    }
}

/// Hands something to a thread and waits for its answer.
async fn ask<Q: Send, T: Send>(
    queue: &Mutex<Option<mpsc::Sender<Q>>>,
    work: impl FnOnce(Reply<T>) -> Q,
) -> Result<T, EngineError> {
    let closed = || EngineError::Failed("it is closed".to_owned());
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let queue = queue.ok_or_else(closed)?;
    let (answer, answered) = oneshot::channel();
    queue.send(work(answer)).await.map_err(|_| closed())?;
    drop(queue);
    answered.await.map_err(|_| closed())?
}

fn take<T>(held: &Mutex<Option<T>>) -> Option<T> {
    held.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn thread(
    folder: &Path,
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(work);
    started.map_err(|error| OpenError::system(folder, "start a thread", &error))
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
        let deletion = Change::DeleteStream {
            key: stream.key,
            id: stream.id.clone(),
        };
        Box::pin(async move {
            self.change(deletion).await?;
            // Its room on the disk. Where that fails, the next round of retention tries again.
            let _ = self.free_space().await;
            Ok(())
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
        let append = move |answer| {
            Task::Append(Append {
                stream_key,
                now,
                messages,
                answer,
            })
        };
        Box::pin(self.append_task(append))
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
            let Some(partition) = self.directory.partition((stream.key, partition)) else {
                return Ok(None);
            };
            self.read_log(move |log, patience| {
                log_reader::offset_at(log, &partition, time, patience)
            })
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
            let with_partition = |range: &ReadRange| {
                let partition = self.directory.partition((stream.key, range.partition))?;
                (range.from < partition.extent().next).then_some((partition, *range))
            };
            let ranges: Vec<_> = ranges.iter().filter_map(with_partition).collect();
            if ranges.is_empty() {
                return Ok(Vec::new());
            }
            let read =
                move |log: &Segments, patience| log_reader::read(log, &ranges, bounds, patience);
            let messages = self.read_log(read).await?;
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
