//! What the internal log contains, as JSON.
//!
//! ```json
//! {"v":1,"alive":{"front":"a-5f3a","url":"http://10.0.0.7:8081"}}
//! {"v":1,"epoch":6,"seq":0,"body":{"claim":{"front":"a-5f3a"}}}
//! {"v":1,"epoch":6,"seq":9,"body":{"change":{"commit":
//!     {"group":72057594037927941,"incarnation":0,"offsets":{"0":41}}}}}
//! ```
//! A reader never fails on a record that it doesn't understand: [`SlotRecord::read`] returns
//! `None`, and the fold counts it. Unknown fields are left alone.
//! `docs/adr/0035-claims-in-a-log.md` says what a new version of the format has to keep to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{FRONT_CHARS_MAX, RECORD_BYTES_MAX};

/// The version of the format.
pub const VERSION: u32 = 1;

/// One life of one front: the id is never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FrontId(pub String);

impl fmt::Display for FrontId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A record of the topic `members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberRecord {
    /// The front lives.
    Alive {
        /// Who.
        front: FrontId,
        /// Where other fronts reach it.
        url: String,
    },
    /// The front is about to end. It should get no slots.
    Leaving {
        /// Who.
        front: FrontId,
    },
}

/// A record of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRecord {
    /// The ownership that it belongs to. A claim has the one that it would begin.
    pub epoch: u64,
    /// Its number within the epoch, from 1; 0 for claims. Only numbers that rise are valid, so that
    /// a late copy changes nothing.
    pub seq: u64,
    /// What it says.
    pub body: SlotBody,
}

/// What a record of a slot says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SlotBody {
    /// The front wants to own the slot.
    Claim {
        /// Who.
        front: FrontId,
    },
    /// The owner still holds the slot.
    Renew,
    /// The owner gives the slot up, and serves nothing of it any more.
    Release,
    /// The owner changes the slot's state.
    Change(Change),
    /// A snapshot of the state before this record begins.
    SnapshotBegin {
        /// The owner.
        front: FrontId,
    },
    /// A part of the snapshot.
    SnapshotPart {
        /// The number (`seq`) of the snapshot's first record.
        of: u64,
        /// The number of the part, from 0.
        index: u64,
        /// A share of the state.
        part: Part,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// The number (`seq`) of the snapshot's first record.
        of: u64,
        /// How many parts it has.
        parts: u64,
    },
}

/// A change of a slot's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// A group is created, or used again if the stream has one of that name. Its key is made of the
    /// slot and the offset of this record.
    OpenGroup {
        /// The key of its stream.
        stream: u64,
        /// Its name.
        name: String,
        /// The first offset to read, for each partition of the stream.
        starts: BTreeMap<u32, u64>,
        /// The wall time in milliseconds.
        at_ms: u64,
    },
    /// Offsets are committed. Those before the committed position change nothing, and nor do
    /// commits of an earlier incarnation.
    Commit {
        /// The group's key.
        group: u64,
        /// The group's incarnation.
        incarnation: u64,
        /// The last offset to commit, by partition.
        offsets: BTreeMap<u32, u64>,
    },
    /// A group is moved to new start offsets, and gets its next incarnation.
    MoveGroup {
        /// The group's key.
        group: u64,
        /// The first offset to read, for each partition of the stream.
        starts: BTreeMap<u32, u64>,
    },
    /// These groups are in use.
    UseGroups {
        /// The groups' keys.
        groups: Vec<u64>,
        /// The wall time in milliseconds.
        at_ms: u64,
    },
    /// These groups are forgotten, except those that were used at or after a time.
    ForgetGroups {
        /// The groups' keys.
        groups: Vec<u64>,
        /// The wall time in milliseconds; `u64::MAX` forgets all of them.
        unused_since_ms: u64,
    },
    /// Slot 0: a stream is being created. Its key is the offset of this record.
    CreateStream(NewStream),
    /// Slot 0: the topic of a stream is there.
    ActivateStream {
        /// The stream's key.
        stream: u64,
        /// The topic's id, to notice when somebody deletes and creates it anew.
        topic_id: Option<String>,
    },
    /// Slot 0: a stream is being deleted. Its name stays taken until it is forgotten.
    DeleteStream {
        /// The stream's key.
        stream: u64,
    },
    /// Slot 0: the topic of a stream is gone, and so is the stream.
    ForgetStream {
        /// The stream's key.
        stream: u64,
    },
    /// Slot 0: a document is kept, instead of any earlier one of this kind and id.
    PutDocument(Document),
    /// Slot 0: a document is deleted, if it exists.
    DeleteDocument {
        /// The kind of thing.
        kind: String,
        /// The OCID of the thing.
        id: String,
    },
}

/// What a stream is created with. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewStream {
    /// The OCID that clients use, unique.
    pub id: String,
    /// The name, unique.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// The compartment that it was created in, if a client named one.
    pub compartment_id: Option<String>,
    /// The stream pool that it was created in, if a client named one.
    pub stream_pool_id: Option<String>,
    /// How long messages are kept, in hours.
    pub retention_hours: u32,
    /// When it was created: wall time in milliseconds.
    pub created_ms: u64,
}

/// Something that the control plane keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The kind of thing. Kind and id together are its name.
    pub kind: String,
    /// The OCID of the thing.
    pub id: String,
    /// Its content.
    pub json: String,
}

/// The kind of documents that belong to the stream with the same id, and are forgotten with it.
pub const DOCUMENT_OF_STREAM: &str = "stream";

/// How far a stream's creation or deletion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Its topic may or may not be there. Slot 0's owner creates it.
    Creating,
    /// Its topic is there.
    Active,
    /// Its topic may or may not be there. Slot 0's owner deletes it.
    Deleting,
}

/// A stream, as slot 0 keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamState {
    /// The offset of its creation in slot 0, never used twice.
    pub key: u64,
    /// What it was created with.
    pub stream: NewStream,
    /// How far its creation or deletion is.
    pub stage: Stage,
    /// The id of its topic.
    pub topic_id: Option<String>,
}

/// The position of a group in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Where the group started (its creation, or a move): the first offset to read.
    pub start: u64,
    /// The last offset that was committed since.
    pub committed: Option<u64>,
}

/// A group, as its slot keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// `slot << 56 | offset of its creation`, never used twice.
    pub key: u64,
    /// The key of its stream.
    pub stream: u64,
    /// Its name, unique within the stream.
    pub name: String,
    /// How often it was moved.
    pub incarnation: u64,
    /// One position for each partition of the stream.
    pub positions: BTreeMap<u32, Position>,
    /// The latest wall time in milliseconds at which it is known to have been used.
    pub used_ms: u64,
}

/// A share of a slot's state, in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupState>,
    /// Streams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamState>,
    /// Documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    record: T,
}

/// A slot's record with its version. `flatten` would read map keys as text only.
#[derive(Serialize, Deserialize)]
struct VersionedSlot<B> {
    v: u32,
    epoch: u64,
    seq: u64,
    body: B,
}

impl MemberRecord {
    /// Returns the record as bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let (v, record) = (VERSION, self);
        written(&Versioned { v, record })
    }

    /// Reads a record; `None` if it is somebody else's, of another version, or too long.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let Versioned { v, record } = parsed(bytes)?;
        let (Self::Alive { front, .. } | Self::Leaving { front }) = &record;
        let fits = |text: &str| text.chars().count() <= FRONT_CHARS_MAX;
        let is_good = match &record {
            Self::Alive { url, .. } => fits(url),
            Self::Leaving { .. } => true,
        };
        (v == VERSION && is_good && fits(&front.0)).then_some(record)
    }
}

impl SlotRecord {
    /// Returns the record as bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let (v, epoch, seq, body) = (VERSION, self.epoch, self.seq, &self.body);
        written(&VersionedSlot {
            v,
            epoch,
            seq,
            body,
        })
    }

    /// Reads a record; `None` if it is somebody else's, of another version, or too long.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let VersionedSlot {
            v,
            epoch,
            seq,
            body,
        } = parsed(bytes)?;
        (v == VERSION).then_some(Self { epoch, seq, body })
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    if bytes.len() > RECORD_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

fn written(record: &impl Serialize) -> Vec<u8> {
    // Text, numbers, and maps with whole numbers as keys can always be written.
    serde_json::to_vec(record).unwrap_or_default()
}
