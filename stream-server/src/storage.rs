//! The narrow interface between the protocol and the store.
//!
//! A [`Storage`] keeps streams, their partitioned logs, and the committed positions of groups, and
//! nothing else. It doesn't know HTTP, cursors, or the members of a group. [`crate::store`]
//! implements it; a cluster's log or a simulation's memory can replace that.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::{Commit, GroupRecord, ReadRange};
use crate::partition_log::{Extent, Stamp, partition_of_random};
use crate::time::TimeMs;

/// The result of an operation of the storage, as a future.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// A stream, as it was created. Name and partitions never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The storage's own key, never used twice.
    pub key: u64,
    /// The OCID that clients use.
    pub id: String,
    /// The name, unique within the server.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// The compartment it was created in, if a client named one.
    pub compartment_id: Option<String>,
    /// The stream pool it was created in, if a client named one.
    pub stream_pool_id: Option<String>,
    /// How long messages are kept, 24..=168 hours.
    pub retention_hours: u32,
    /// When it was created.
    pub created: TimeMs,
}

/// Something that the control plane keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The kind of thing. Kind and id together are its name.
    pub kind: String,
    /// The OCID of the thing.
    pub id: String,
    /// Its content.
    pub json: String,
}

impl Document {
    /// The kind of documents that belong to the stream with the same id, and are deleted with it.
    pub const STREAM: &str = "stream";
}

/// A message to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The partition that it belongs to.
    pub partition: u32,
    /// Its key, 0..=256 bytes.
    pub key: Option<Bytes>,
    /// Its value, 1..=1048576 bytes.
    pub value: Bytes,
}

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its partition.
    pub partition: u32,
    /// Its offset and time.
    pub stamp: Stamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Bytes,
}

/// What a read has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The messages, in the order of the ranges.
    pub messages: Vec<Message>,
    /// The offsets to go on with where they come after the last message of a partition: there is
    /// no message in between. By partition.
    pub reached: BTreeMap<u32, u64>,
}

impl From<Vec<Message>> for Found {
    fn from(messages: Vec<Message>) -> Self {
        Self {
            messages,
            reached: BTreeMap::new(),
        }
    }
}

impl Found {
    /// Returns the offset to go on with in each partition that the read has come further in.
    #[must_use]
    pub fn next(&self) -> BTreeMap<u32, u64> {
        let mut next = self.reached.clone();
        for message in &self.messages {
            let after = message.stamp.offset.saturating_add(1);
            let known = next.entry(message.partition).or_default();
            *known = after.max(*known);
        }
        next
    }
}

/// Bounds of one read.
#[derive(Clone, Copy, Debug)]
pub struct ReadBounds {
    /// At most so many messages.
    pub count_max: usize,
    /// At most so many bytes of keys and values, except that one message always fits.
    pub bytes_max: usize,
}

/// What has become of a group, behind the back of whoever remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupNews {
    /// It is the same.
    None,
    /// It was moved: this is the group now.
    Moved(Box<GroupRecord>),
    /// It was forgotten.
    Gone,
}

/// Why an operation of the storage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// There is a stream of that name or id; nothing was created.
    #[error("a stream of that name exists already")]
    StreamExists,
    /// The group was moved or forgotten meanwhile; nothing was committed.
    #[error("the group was moved meanwhile")]
    GroupMoved,
    /// The limit of streams, partitions or groups is reached.
    #[error("{0}")]
    TooMany(String),
    /// It can't be done now, and was not done. It may succeed a little later.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed or is closed. The operation may or may not have happened.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Streams, logs and committed positions. Every write is durable when its answer comes.
pub trait Storage: Send + Sync {
    /// Returns the secret that cursors are authenticated with; the same after a restart.
    fn cursor_secret(&self) -> [u8; 64];

    /// Returns what every cursor of a group carries, if it is the same after each start; `None` if
    /// groups have no cursors from before a start.
    fn boot_id(&self) -> Option<u64> {
        None
    }

    /// Returns the time that cursors expire by. Several servers that take each other's cursors have
    /// to agree on it.
    fn cursor_time(&self, now: TimeMs) -> TimeMs {
        now
    }

    /// Returns for how many milliseconds a cursor is taken after it has expired: by so much the
    /// clocks of several servers may differ.
    fn cursor_grace_ms(&self) -> u64 {
        0
    }

    /// Returns all streams, by key.
    fn streams(&self) -> Answer<'_, Vec<Arc<Stream>>>;

    /// Returns the stream of an OCID.
    fn stream<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Arc<Stream>>>;

    /// Returns all documents of the control plane.
    fn documents(&self) -> Answer<'_, Vec<Document>>;

    /// Keeps a document, instead of any earlier one of this kind and id.
    fn put_document(&self, document: Document) -> Answer<'_, ()>;

    /// Deletes a document, if it exists.
    fn delete_document<'a>(&'a self, kind: &'a str, id: &'a str) -> Answer<'a, ()>;

    /// Deletes a stream with its messages, its groups and its document. Later reads find nothing,
    /// and later appends fail.
    fn delete_stream<'a>(&'a self, stream: &'a Stream) -> Answer<'a, ()>;

    /// Creates a stream. The storage chooses its key.
    fn create_stream(&self, stream: Stream) -> Answer<'_, Arc<Stream>>;

    /// Appends messages, and gives each its offset and time, or why it has none, in the same order.
    /// The embedded store appends all or none. An error of one message says that it may or may not
    /// have been stored, unless it is [`StorageError::Unavailable`].
    fn append<'a>(
        &'a self,
        stream: &'a Stream,
        now: TimeMs,
        messages: Vec<NewMessage>,
    ) -> Answer<'a, Vec<Result<Stamp, StorageError>>>;

    /// Returns the partition of a message without a key, from 64 random bits.
    fn partition_of_random(&self, random: u64, partitions: u32) -> u32 {
        partition_of_random(random, partitions)
    }

    /// Returns the offsets of each partition. They are never ahead of what can be read. A partition
    /// that can't be asked now may be left out.
    fn extents<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>>;

    /// Returns the offsets for somebody who reads on from an offset. Messages may be gone that are
    /// still told of: then [`Storage::read`] fails, and the next answer is right.
    fn extents_to_read<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>> {
        self.extents(stream)
    }

    /// Returns what is known of the offsets of partitions without asking for them: there may be
    /// newer messages, and older ones may be gone. `None` if this takes no less time than
    /// [`Storage::extents`].
    fn extents_lately(&self, _stream: &Stream) -> Option<BTreeMap<u32, Extent>> {
        None
    }

    /// Returns the first offset whose message has at least this time; `None` if there is none yet.
    fn offset_at<'a>(
        &'a self,
        stream: &'a Stream,
        partition: u32,
        time: TimeMs,
    ) -> Answer<'a, Option<u64>>;

    /// Returns the same of all partitions that have such a message.
    fn offsets_at<'a>(
        &'a self,
        stream: &'a Stream,
        time: TimeMs,
    ) -> Answer<'a, BTreeMap<u32, u64>> {
        Box::pin(async move {
            let mut offsets = BTreeMap::new();
            for partition in 0..stream.partitions {
                let found = self.offset_at(stream, partition, time).await?;
                offsets.extend(found.map(|offset| (partition, offset)));
            }
            Ok(offsets)
        })
    }

    /// Reads the ranges one after the other, each in order of offsets, until the bounds are
    /// reached.
    fn read<'a>(
        &'a self,
        stream: &'a Stream,
        ranges: &'a [ReadRange],
        bounds: ReadBounds,
    ) -> Answer<'a, Found>;

    /// Returns all groups of all streams.
    fn groups(&self) -> Answer<'_, Vec<GroupRecord>>;

    /// Returns the group of that name, created at these start offsets if it doesn't exist.
    fn open_group<'a>(
        &'a self,
        stream: &'a Stream,
        name: &'a str,
        starts: BTreeMap<u32, u64>,
    ) -> Answer<'a, GroupRecord>;

    /// Returns what has become of a group that the service remembers with this incarnation. Only
    /// a storage that may do later what it couldn't confirm has news here.
    fn news_of(&self, _group_key: u64, _incarnation: u64) -> GroupNews {
        GroupNews::None
    }

    /// Commits offsets. Offsets before the committed position, and commits of an earlier
    /// incarnation of the group, change nothing.
    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, ()>;

    /// Moves a group to new start offsets (UpdateGroup) and gives it its next incarnation.
    fn move_group(&self, group_key: u64, starts: BTreeMap<u32, u64>) -> Answer<'_, GroupRecord>;
}
