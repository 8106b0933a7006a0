//! The store as the storage of the service. Each operation goes to the thread that writes, or to
//! the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::append_queue::{Task, Waiting, Writing};
use super::appender::Append;
use super::change::{self, Change};
use super::segments::Segments;
use super::writer::Write;
use super::{Store, log_reader, reader};
use crate::backend::Backend;
use crate::group::{Commit, GroupRecord, ReadRange};
use crate::metric::Metrics;
use crate::partition_log::{Extent, Stamp};
use crate::storage::{
    Answer, Document, Found, NewMessage, ReadBounds, Storage, StorageError, Stream,
};
use crate::time::TimeMs;

impl Backend for Store {
    fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |f| f.len());
        let database = size("stream.db").saturating_add(size("stream.db-wal"));
        database.saturating_add(self.segments.bytes())
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(Self::probe(self))
    }

    fn close(self: Arc<Self>) -> Answer<'static, ()> {
        Box::pin(async move {
            let closing = tokio::task::spawn_blocking(move || Self::close(&self));
            closing
                .await
                .map_err(|error| StorageError::Failed(error.to_string()))
        })
    }
}

impl Storage for Store {
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
            // This frees its room on the disk. If it fails, the next round of retention tries
            // again.
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
    ) -> Answer<'a, Vec<Result<Stamp, StorageError>>> {
        let append = Append {
            stream_key: stream.key,
            now,
            messages,
        };
        Box::pin(async move {
            let _writing = Writing::start(&self.writers);
            let stamps = match self.append_alone(append).await {
                Ok(stamps) => stamps,
                Err(append) => {
                    let task = |reply| Task::Append(append, Waiting::here(reply));
                    self.append_task(task).await
                }
            };
            Ok(stamps?.into_iter().map(Ok).collect())
        })
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
    ) -> Answer<'a, Found> {
        Box::pin(async move {
            let with_partition = |range: &ReadRange| {
                let partition = self.directory.partition((stream.key, range.partition))?;
                (range.from < partition.extent().next).then_some((partition, *range))
            };
            let ranges: Vec<_> = ranges.iter().filter_map(with_partition).collect();
            if ranges.is_empty() {
                return Ok(Found::default());
            }
            let read =
                move |log: &Segments, patience| log_reader::read(log, &ranges, bounds, patience);
            let messages = self.read_log(read).await?;
            let bytes: usize = messages.iter().map(|message| message.value.len()).sum();
            let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.metrics.read.inc_by(whole(messages.len()));
            self.metrics.read_bytes.inc_by(whole(bytes));
            Ok(messages.into())
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
