//! Writes messages. One commit is one write and one synchronisation. `append_queue` decides when
//! there is one, and of what.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::active::ActiveFile;
use super::directory::{Directory, Partition};
use super::frame::{CommitBuffer, Framed, Place, frame_bytes_max};
use super::gathering::Gathering;
use super::index::{Contents, Entry};
use super::queue::Queue;
use super::recover::Active;
use super::segment::{HEAD_BYTES, Segment};
use super::segments::Segments;
use super::writer::{Reply, Write};
use crate::limits::COMMIT_BUFFER_BYTES;
use crate::metric::Metrics;
use crate::partition_log::{PartitionLog, Stamp};
use crate::storage::{NewMessage, StorageError};
use crate::time::TimeMs;

/// See [`crate::storage::Storage::append`].
pub(super) struct Append {
    pub(super) stream_key: u64,
    pub(super) now: TimeMs,
    pub(super) messages: Vec<NewMessage>,
}

/// The stamps of each append; `None` if a partition doesn't exist.
pub(super) type AllStamps = Vec<Option<Vec<Stamp>>>;

impl Append {
    pub(super) fn bytes(&self) -> usize {
        self.messages.iter().map(|m| m.value.len()).sum()
    }
}

/// A partition to which a commit appends.
struct Target<'a> {
    partition: Arc<Partition>,
    /// The end of the partition, with the messages of the commit.
    log: PartitionLog,
    messages: Vec<(Stamp, &'a NewMessage)>,
}

pub(super) struct Appender {
    pub(super) segments: Arc<Segments>,
    pub(super) directory: Arc<Directory>,
    pub(super) metrics: Arc<Metrics>,
    /// The writer of the database, which knows all segments.
    pub(super) database: Arc<Queue<Write>>,
    pub(super) bytes_max: Option<u64>,
    pub(super) segment_bytes: u64,
    pub(super) next_commit: u64,
    pub(super) next_segment: u64,
    pub(super) file: Option<ActiveFile>,
    pub(super) buffer: CommitBuffer,
    pub(super) gathering: Gathering,
    /// Whether [`Appender::close`] has been called.
    pub(super) is_closed: bool,
}

impl Appender {
    /// Stores all appends in one commit. If it fails, all of them fail. `waiting` returns how many
    /// tasks wait for the next commit.
    pub(super) fn commit(
        &mut self,
        appends: &[Append],
        waiting: impl FnOnce() -> usize,
    ) -> Result<AllStamps, StorageError> {
        let started = Instant::now();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let (targets, stamps) = self.collect(appends, &mut buffer);
        let ends: Vec<(Arc<Partition>, PartitionLog)> = targets
            .into_iter()
            .map(|target| (target.partition, target.log))
            .collect();
        let written = match buffer.bytes().is_empty() {
            true => Ok(()),
            false => self.write(&mut buffer).map(|position| {
                self.publish(position, buffer.frames(), &ends);
            }),
        };
        buffer.shrink_to(COMMIT_BUFFER_BYTES);
        self.buffer = buffer;
        let took = started.elapsed();
        self.gathering.note(appends.len(), waiting(), took);
        match &written {
            Ok(()) => {
                self.metrics.count_transaction(appends.len(), took);
                let stored = appends.iter().zip(&stamps);
                let stored = stored.filter(|(_, stamps)| stamps.is_some());
                stored.for_each(|(append, _)| self.count(append));
            }
            Err(_) => {
                self.metrics.failed.inc();
            }
        }
        written.map(|()| stamps)
    }

    fn count(&self, append: &Append) {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.metrics.stored.inc_by(whole(append.messages.len()));
        self.metrics.stored_bytes.inc_by(whole(append.bytes()));
    }

    /// Ends everything: nothing more is written, not even by the database's writer.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        if let Some(file) = &mut self.file {
            // It tells the next start what has to be there, but the start can do without it.
            let _ = file.cut();
            let (number, end) = (file.segment.number, file.end);
            let _ = self.ask(|answer| Write::NoteStop {
                number,
                end,
                answer,
            });
        }
        self.database.close();
    }

    /// Stamps all messages and puts them into the buffer, partition by partition.
    fn collect<'a>(
        &self,
        appends: &'a [Append],
        buffer: &mut CommitBuffer,
    ) -> (Vec<Target<'a>>, AllStamps) {
        let mut targets: Vec<Target<'a>> = Vec::new();
        let mut places: BTreeMap<Place, usize> = BTreeMap::new();
        let mut all_stamps = Vec::with_capacity(appends.len());
        for append in appends {
            // A stream exists with all of its partitions or not at all, so the first one tells.
            let mut stamps = Some(Vec::with_capacity(append.messages.len()));
            for message in &append.messages {
                let place = (append.stream_key, message.partition);
                let index = places.get(&place).copied().or_else(|| {
                    let partition = self.directory.partition(place)?;
                    let (log, messages) = (partition.log(), Vec::new());
                    targets.push(Target {
                        partition,
                        log,
                        messages,
                    });
                    places.insert(place, targets.len().saturating_sub(1));
                    places.get(&place).copied()
                });
                let target = index.and_then(|index| targets.get_mut(index));
                let (Some(target), Some(given)) = (target, stamps.as_mut()) else {
                    stamps = None;
                    break;
                };
                let stamp = target.log.append(append.now);
                target.messages.push((stamp, message));
                given.push(stamp);
            }
            all_stamps.push(stamps);
        }
        for target in &targets {
            for (stamp, message) in &target.messages {
                let place = target.partition.place;
                buffer.push(place, *stamp, message.key.as_deref(), &message.value);
            }
        }
        (targets, all_stamps)
    }

    /// Makes the buffer durable. Returns its position.
    fn write(&mut self, buffer: &mut CommitBuffer) -> Result<u64, StorageError> {
        buffer.finish(self.next_commit);
        let length = u64::try_from(buffer.bytes().len()).unwrap_or(u64::MAX);
        self.make_room(length)?;
        let file = self.file.as_mut().ok_or_else(no_file)?;
        let position = file.append(buffer.bytes()).map_err(failed)?;
        self.next_commit = self.next_commit.saturating_add(1);
        self.segments.note_active_bytes(file.end);
        Ok(position)
    }

    /// Returns whether these messages fit into the active segment; another one needs the database's
    /// writer.
    pub(super) fn has_room(&self, append: &Append) -> bool {
        let bytes = |message: &NewMessage| {
            let key_bytes = message.key.as_ref().map_or(0, Bytes::len);
            let most = frame_bytes_max(key_bytes, message.value.len());
            u64::try_from(most).unwrap_or(u64::MAX)
        };
        let length = append
            .messages
            .iter()
            .map(bytes)
            .fold(0, u64::saturating_add);
        let file = self.file.as_ref();
        file.is_some_and(|file| !self.is_full(file, length))
    }

    fn is_full(&self, file: &ActiveFile, length: u64) -> bool {
        file.end > u64::try_from(HEAD_BYTES).unwrap_or(0)
            && file.end.saturating_add(length) > self.segment_bytes
    }

    /// Begins another segment if there is none, or if the present one is full.
    fn make_room(&mut self, length: u64) -> Result<(), StorageError> {
        let total = self.segments.bytes();
        if let Some(max) = self
            .bytes_max
            .filter(|max| total.saturating_add(length) > *max)
        {
            let problem = format!("the log is full, it has {total} bytes and may have {max}");
            return Err(StorageError::Failed(problem));
        }
        let file = self.file.as_ref();
        if file.is_some_and(|file| !self.is_full(file, length)) {
            return Ok(());
        }
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Result<(), StorageError> {
        let (number, commit) = (self.next_segment, self.next_commit);
        if let Some(file) = &mut self.file {
            file.cut().map_err(failed)?;
        }
        let segment = Segment::create(self.segments.folder(), number, commit).map_err(failed)?;
        self.ask(|answer| Write::AddSegment { number, answer })?;
        self.seal();
        self.next_segment = number.saturating_add(1);
        let segment = Arc::new(segment);
        self.segments.activate(Some(Arc::clone(&segment)));
        let end = u64::try_from(HEAD_BYTES).unwrap_or(0);
        self.segments.note_active_bytes(end);
        self.file = Some(ActiveFile::new(Active {
            segment,
            end,
            first_commit: commit,
        }));
        Ok(())
    }

    /// Seals the active segment: nothing more is written to it.
    fn seal(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        let partitions = self.directory.partitions();
        let active = partitions
            .iter()
            .map(|partition| (partition.place, partition.active()));
        let contents = Contents {
            first_commit: file.first_commit,
            next_commit: self.next_commit,
            end: u32::try_from(file.end).unwrap_or(u32::MAX),
            places: active.filter(|(_, entries)| !entries.is_empty()).collect(),
        };
        let number = file.segment.number;
        self.segments.add_sealed(number, &contents);
        for partition in partitions {
            partition.seal(number);
        }
    }

    /// Begins another segment if nothing in the active one can be read any more, so that it can be
    /// deleted.
    pub(super) fn seal_if_dead(&mut self) -> Result<(), StorageError> {
        let begin = u64::try_from(HEAD_BYTES).unwrap_or(0);
        let has_messages = self.file.as_ref().is_some_and(|file| file.end > begin);
        let partitions = self.directory.partitions();
        let is_read = |partition: &Arc<Partition>| {
            let next = partition.active().last().map(Entry::next_offset);
            next.is_some_and(|next| next > partition.extent().oldest)
        };
        match has_messages && !partitions.iter().any(is_read) {
            true => self.begin_segment(),
            false => Ok(()),
        }
    }

    /// Writes something small, to see whether the disk takes it.
    pub(super) fn probe(&mut self) -> Result<(), StorageError> {
        let probed = self.file.as_mut().map_or(Ok(()), ActiveFile::probe);
        probed.map_err(failed)
    }

    /// Shows readers what is durable now.
    fn publish(&self, position: u64, frames: &[Framed], ends: &[(Arc<Partition>, PartitionLog)]) {
        let segment = self.file.as_ref().map_or(0, |file| file.segment.number);
        let mut frames = frames.iter().peekable();
        for (partition, log) in ends {
            let mut entries = Vec::new();
            while let Some(frame) = frames.next_if(|frame| frame.header.place == partition.place) {
                let start = position.saturating_add(u64::try_from(frame.start).unwrap_or(0));
                let bytes = frame.end.saturating_sub(frame.start);
                let start = u32::try_from(start).unwrap_or(u32::MAX);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                entries.push(Entry::new(&frame.header, start, bytes));
            }
            partition.publish(segment, entries, *log);
        }
    }

    /// Has the database's writer do something, and waits for it.
    fn ask<T: Send>(&self, write: impl FnOnce(Reply<T>) -> Write) -> Result<T, StorageError> {
        let closed = || StorageError::Failed("it is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.database.push(write(answer))?;
        answered.blocking_recv().map_err(|_| closed())?
    }
}

fn no_file() -> StorageError {
    StorageError::Failed("the log has no file".to_owned())
}

fn failed(error: io::Error) -> StorageError {
    StorageError::Failed(format!("the disk does not take messages: {error}"))
}
