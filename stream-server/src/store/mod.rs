//! The embedded, crash-safe store: a log of its own for messages, SQLite for all the rest.
//!
//! The log is a row of files, the segments, that are only appended to. One thread gathers what
//! waits into one commit and answers after its synchronisation, that is, after the disk has it;
//! while that one is syncing, the next gathers. Who writes alone does the same without that thread.
//! Another thread does the same for the database, in
//! transactions.
//! Readers never wait for either.
//!
//! | | |
//! |---|---|
//! | the form of commits (pure) | `frame` |
//! | where messages are (pure) | `index` |
//! | what a segment has, torn or damaged (pure) | `scan` |
//! | files | `segment`, `segments` |
//! | what the service asks for | `operations` |
//! | start | `open`, `recover`, `load` |
//! | writing messages | `append_queue`, `appender`, `active` |
//! | reading messages | `log_reader`, `read_buffers` |
//! | the database: writing, reading | `writer`, `apply`, `change`, `reader` |
//! | what leaves | `retention` |

mod active;
mod append_queue;
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
mod open_error;
mod operations;
mod queue;
mod read_buffers;
mod reader;
mod recover;
mod retention;
mod scan;
mod segment;
mod segments;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot};

use crate::limits::{READERS_COUNT, SEGMENT_BYTES};
use crate::metric::Metrics;
use crate::storage::{Answer, StorageError};
use active::ActiveFile;
use append_queue::Task;
use appender::Appender;
use change::Change;
use directory::Directory;
use frame::CommitBuffer;
use gathering::Gathering;
pub use open_error::OpenError;
use queue::Queue;
use reader::Readers;
use segment::Patience;
use segments::Segments;
use writer::{Reply, Write, Writer};

/// A [`Storage`](crate::storage::Storage) in one folder of one machine. Dropping it ends its
/// threads without waiting; [`Store::close`] waits.
pub struct Store {
    cursor_secret: [u8; 64],
    directory: Arc<Directory>,
    segments: Arc<Segments>,
    metrics: Arc<Metrics>,
    folder: PathBuf,
    readers: Readers,
    /// Reads that wait for the disk.
    log_reads: Arc<Semaphore>,
    appender: Arc<Mutex<Appender>>,
    /// Appends that have begun and not ended.
    writers: AtomicUsize,
    appends: Arc<Queue<Task>>,
    writes: Arc<Queue<Write>>,
    append_thread: Mutex<Option<JoinHandle<()>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Locked as long as the store is open, so that a second process is refused.
    lock: Mutex<Option<File>>,
}

/// How large the store may be.
#[derive(Clone, Copy, Debug)]
pub struct StoreBounds {
    /// The most bytes of all files of the log, and those of the database; no limit if `None`.
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
        let (writes, appends) = (Arc::new(Queue::new()), Arc::new(Queue::new()));
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
            database: Arc::clone(&writes),
            bytes_max: bounds.bytes_max,
            segment_bytes: bounds.segment_bytes,
            next_commit: log.next_commit,
            next_segment: log.next_segment,
            file: log.active.map(ActiveFile::new),
            buffer: CommitBuffer::default(),
            gathering: Gathering::default(),
            is_closed: false,
        };
        let appender = Arc::new(Mutex::new(appender));
        let writer = {
            let writes = Arc::clone(&writes);
            thread(folder, "store-writer", move || writer.run(&writes))?
        };
        let append_thread = {
            let (appender, appends) = (Arc::clone(&appender), Arc::clone(&appends));
            let work = move || append_queue::run(&appender, &appends);
            thread(folder, "store-appender", work)?
        };
        Ok(Self {
            cursor_secret: opened.cursor_secret,
            directory,
            segments,
            metrics,
            folder: folder.to_owned(),
            readers: Readers::new(opened.readers),
            log_reads: Arc::new(Semaphore::new(READERS_COUNT)),
            appender,
            writers: AtomicUsize::new(0),
            appends,
            writes,
            append_thread: Mutex::new(Some(append_thread)),
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(opened.lock)),
        })
    }

    /// Writes what waits, and ends. Later operations fail. It blocks until the disk has everything.
    pub fn close(&self) {
        // Before the writer: SQLite removes its log when the last connection closes, if that one
        // may write.
        self.readers.close();
        // The appender needs the writer until its end.
        self.appends.close();
        // Threads that panicked have nothing left to write.
        let _ = take(&self.append_thread).map(JoinHandle::join);
        self.writes.close();
        let _ = take(&self.writer).map(JoinHandle::join);
        drop(take(&self.lock));
    }

    fn change(&self, change: Change) -> Answer<'_, ()> {
        Box::pin(self.write(|answer| Write::Change { change, answer }))
    }

    /// Hands a write to the writer and waits for its answer.
    async fn write<T: Send>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, StorageError>>) -> Write,
    ) -> Result<T, StorageError> {
        ask(&self.writes, write).await
    }

    /// Hands something to the appender and waits for its answer.
    async fn append_task<T: Send>(
        &self,
        task: impl FnOnce(Reply<T>) -> Task,
    ) -> Result<T, StorageError> {
        ask(&self.appends, task).await
    }

    /// Reads from the log: at once if the data is in memory, else on a thread that may wait for the
    /// disk.
    async fn read_log<T: Send + 'static>(
        &self,
        read: impl Fn(&Segments, Patience) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let failed = |error: String| StorageError::Failed(error);
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
    queue: &Queue<Q>,
    work: impl FnOnce(Reply<T>) -> Q,
) -> Result<T, StorageError> {
    let closed = || StorageError::Failed("it is closed".to_owned());
    let (answer, answered) = oneshot::channel();
    queue.push(work(answer))?;
    answered.await.map_err(|_| closed())?
}

impl Drop for Store {
    fn drop(&mut self) {
        self.appends.close();
        // The appender needs the writer until its end, and closes that queue itself, unless it has
        // panicked before.
        if take(&self.append_thread).is_some_and(|thread| thread.is_finished()) {
            self.writes.close();
        }
    }
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
