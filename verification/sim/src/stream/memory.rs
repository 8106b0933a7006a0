//! A store in memory for the stream server's operations. It also remembers what was appended and
//! committed, for the invariants.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stream_server::group::{Commit, CommittedPosition, GroupRecord, ReadRange};
use stream_server::partition_log::{Extent, PartitionLog, Stamp};
use stream_server::storage::{
    Answer, Document, Found, Message, NewMessage, ReadBounds, Storage, StorageError, Stream,
};
use stream_server::time::TimeMs;

/// A message that was appended.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The OCID of its stream.
    pub stream: String,
    /// The message.
    pub message: Message,
}

/// A commit that took effect: what came next before, and what comes next now.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The OCID of its stream.
    pub stream: String,
    /// The partition.
    pub partition: u32,
    /// The first offset that was committed.
    pub from: u64,
    /// The first offset that is not committed.
    pub until: u64,
}

#[derive(Default)]
struct State {
    streams: Vec<Arc<Stream>>,
    logs: BTreeMap<(u64, u32), (PartitionLog, Vec<Message>)>,
    groups: BTreeMap<u64, GroupRecord>,
    appended: Vec<Appended>,
    committed: Vec<Committed>,
}

/// The store. It outlives every restart of the simulated server.
#[derive(Default)]
pub struct Memory(Mutex<State>);

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what has happened since the last time.
    pub fn news(&self) -> (Vec<Appended>, Vec<Committed>) {
        let mut state = self.state();
        (
            std::mem::take(&mut state.appended),
            std::mem::take(&mut state.committed),
        )
    }

    /// Returns for each partition of a stream the next offset to be written, and the next to be
    /// committed by its only group. Without a group nothing is committed.
    pub fn backlog(&self, stream: &str) -> BTreeMap<u32, (u64, u64)> {
        let state = self.state();
        let Some(stream) = state.streams.iter().find(|known| known.id == stream) else {
            return BTreeMap::new();
        };
        let group = state.groups.values().find(|g| g.stream_key == stream.key);
        let position = |partition: u32| {
            let written = state.logs.get(&(stream.key, partition));
            let written = written.map_or(0, |(log, _)| log.extent.next);
            let committed = group.and_then(|group| group.positions.get(&partition));
            (
                partition,
                (written, committed.map_or(0, CommittedPosition::next)),
            )
        };
        (0..stream.partitions).map(position).collect()
    }
}

fn give<'a, T: Send + 'a>(value: Result<T, StorageError>) -> Answer<'a, T> {
    Box::pin(ready(value))
}

impl Storage for Memory {
    fn cursor_secret(&self) -> [u8; 64] {
        [7; 64]
    }

    fn streams(&self) -> Answer<'_, Vec<Arc<Stream>>> {
        give(Ok(self.state().streams.clone()))
    }

    fn stream<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Arc<Stream>>> {
        let state = self.state();
        give(Ok(state.streams.iter().find(|s| s.id == id).cloned()))
    }

    fn documents(&self) -> Answer<'_, Vec<Document>> {
        // Nobody uses the control plane here.
        give(Ok(Vec::new()))
    }

    fn put_document(&self, _: Document) -> Answer<'_, ()> {
        give(Ok(()))
    }

    fn delete_document<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, ()> {
        give(Ok(()))
    }

    fn delete_stream<'a>(&'a self, _: &'a Stream) -> Answer<'a, ()> {
        give(Err(StorageError::Failed("no stream ends here".to_owned())))
    }

    fn create_stream(&self, mut stream: Stream) -> Answer<'_, Arc<Stream>> {
        let mut state = self.state();
        stream.key = u64::try_from(state.streams.len()).unwrap_or_default() + 1;
        for partition in 0..stream.partitions {
            state
                .logs
                .insert((stream.key, partition), Default::default());
        }
        let stream = Arc::new(stream);
        state.streams.push(Arc::clone(&stream));
        give(Ok(stream))
    }

    fn append<'a>(
        &'a self,
        stream: &'a Stream,
        now: TimeMs,
        messages: Vec<NewMessage>,
    ) -> Answer<'a, Vec<Result<Stamp, StorageError>>> {
        let mut state = self.state();
        let mut stamps = Vec::new();
        for new in messages {
            let Some((log, kept)) = state.logs.get_mut(&(stream.key, new.partition)) else {
                return give(Err(StorageError::Failed("no such partition".to_owned())));
            };
            let message = Message {
                partition: new.partition,
                stamp: log.append(now),
                key: new.key,
                value: new.value,
            };
            kept.push(message.clone());
            stamps.push(Ok(message.stamp));
            state.appended.push(Appended {
                stream: stream.id.clone(),
                message,
            });
        }
        give(Ok(stamps))
    }

    fn extents<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>> {
        let state = self.state();
        let logs = state.logs.range((stream.key, 0)..=(stream.key, u32::MAX));
        give(Ok(logs
            .map(|((_, partition), (log, _))| (*partition, log.extent))
            .collect()))
    }

    fn offset_at<'a>(
        &'a self,
        stream: &'a Stream,
        partition: u32,
        time: TimeMs,
    ) -> Answer<'a, Option<u64>> {
        let state = self.state();
        let kept = state
            .logs
            .get(&(stream.key, partition))
            .map(|(_, kept)| kept);
        let found = kept.and_then(|kept| kept.iter().find(|m| m.stamp.time >= time));
        give(Ok(found.map(|message| message.stamp.offset)))
    }

    fn read<'a>(
        &'a self,
        stream: &'a Stream,
        ranges: &'a [ReadRange],
        bounds: ReadBounds,
    ) -> Answer<'a, Found> {
        let state = self.state();
        let mut found: Vec<Message> = Vec::new();
        let mut bytes = 0_usize;
        for range in ranges {
            let Some((_, kept)) = state.logs.get(&(stream.key, range.partition)) else {
                continue;
            };
            let from = usize::try_from(range.from).unwrap_or(usize::MAX);
            for message in kept.iter().skip(from) {
                bytes = bytes.saturating_add(message.value.len());
                let is_full = found.len() >= bounds.count_max || bytes > bounds.bytes_max;
                if message.stamp.offset >= range.until || (is_full && !found.is_empty()) {
                    break;
                }
                found.push(message.clone());
            }
        }
        give(Ok(found.into()))
    }

    fn groups(&self) -> Answer<'_, Vec<GroupRecord>> {
        give(Ok(self.state().groups.values().cloned().collect()))
    }

    fn open_group<'a>(
        &'a self,
        stream: &'a Stream,
        name: &'a str,
        starts: BTreeMap<u32, u64>,
    ) -> Answer<'a, GroupRecord> {
        let mut state = self.state();
        let known = state
            .groups
            .values()
            .find(|g| g.stream_key == stream.key && g.name == name);
        if let Some(known) = known {
            return give(Ok(known.clone()));
        }
        let at = |start| CommittedPosition {
            start,
            committed: None,
        };
        let record = GroupRecord {
            key: u64::try_from(state.groups.len()).unwrap_or_default() + 1,
            stream_key: stream.key,
            name: name.to_owned(),
            incarnation: 0,
            positions: starts
                .into_iter()
                .map(|(p, start)| (p, at(start)))
                .collect(),
        };
        state.groups.insert(record.key, record.clone());
        give(Ok(record))
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, ()> {
        let mut state = self.state();
        let State {
            streams,
            groups,
            committed,
            ..
        } = &mut *state;
        if let Some(group) = groups.get_mut(&commit.group_key) {
            let stream = streams.iter().find(|stream| stream.key == group.stream_key);
            for (partition, offset) in &commit.committed {
                let Some(position) = group.positions.get_mut(partition) else {
                    continue;
                };
                let from = position.next();
                position.committed = position.committed.max(Some(*offset));
                committed.push(Committed {
                    stream: stream.map(|stream| stream.id.clone()).unwrap_or_default(),
                    partition: *partition,
                    from,
                    until: position.next(),
                });
            }
        }
        give(Ok(()))
    }

    fn move_group(&self, _: u64, _: BTreeMap<u32, u64>) -> Answer<'_, GroupRecord> {
        give(Err(StorageError::Failed(
            "no simulation moves groups".to_owned(),
        )))
    }
}
