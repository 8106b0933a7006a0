//! What the valid records of a slot add up to.

use std::collections::BTreeMap;

use crate::placement::group_key;
use crate::record::{
    Change, DOCUMENT_OF_STREAM, Document, GroupState, NewStream, Part, Position, Stage, StreamState,
};

/// The state of a slot: its groups, and for slot 0 the streams and documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotState {
    groups: BTreeMap<u64, GroupState>,
    group_keys: BTreeMap<(u64, String), u64>,
    streams: BTreeMap<u64, StreamState>,
    documents: BTreeMap<(String, String), Document>,
}

/// What a change has done. It is the same wherever the log is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is done, or was done before.
    Done,
    /// The group with this key is there.
    Group(u64),
    /// The stream with this key is there.
    Stream(u64),
    /// It changes nothing, for this reason.
    Refused(WhyRefused),
}

/// Why a change changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyRefused {
    /// There is no such group. It has expired, or its stream is deleted.
    NoGroup,
    /// The group was moved since. What the group is now is in the state.
    GroupMoved,
    /// There is no such stream, or not in a stage that allows this.
    NoStream,
    /// A stream has this name or id.
    StreamExists,
    /// A limit is reached; says which.
    TooMany(String),
    /// A name is empty or longer than [`crate::limits::NAME_BYTES_MAX`], a document longer than
    /// [`crate::limits::DOCUMENT_BYTES_MAX`], or there are more than
    /// [`crate::limits::CHANGE_ITEMS_MAX`] groups or partitions.
    BadSize,
    /// Only slot 0 keeps this.
    WrongSlot,
}

impl SlotState {
    /// Returns the groups, by key.
    pub fn groups(&self) -> impl Iterator<Item = &GroupState> {
        self.groups.values()
    }

    /// Returns the group with this key.
    #[must_use]
    pub fn group(&self, key: u64) -> Option<&GroupState> {
        self.groups.get(&key)
    }

    /// Returns a stream's group of this name.
    #[must_use]
    pub fn group_named(&self, stream: u64, name: &str) -> Option<&GroupState> {
        let key = self.group_keys.get(&(stream, name.to_owned()))?;
        self.groups.get(key)
    }

    /// Returns the streams in every stage, by key. Clients see those that are
    /// [`Stage::Active`].
    pub fn streams(&self) -> impl Iterator<Item = &StreamState> {
        self.streams.values()
    }

    /// Returns the stream with this key.
    #[must_use]
    pub fn stream(&self, key: u64) -> Option<&StreamState> {
        self.streams.get(&key)
    }

    /// Returns the documents, by kind and id.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values()
    }

    /// Applies a change that stands at this offset of this slot.
    pub(crate) fn apply(&mut self, slot: u32, offset: u64, change: &Change) -> Effect {
        match change {
            Change::OpenGroup {
                stream,
                name,
                starts,
                at_ms,
            } => self.open_group(group_key(slot, offset), (*stream, name), starts, *at_ms),
            Change::Commit {
                group,
                incarnation,
                offsets,
            } => self.commit(*group, *incarnation, offsets),
            Change::MoveGroup { group, starts } => self.move_group(*group, starts),
            Change::UseGroups { groups, at_ms } => {
                for key in groups {
                    if let Some(group) = self.groups.get_mut(key) {
                        group.used_ms = group.used_ms.max(*at_ms);
                    }
                }
                Effect::Done
            }
            Change::ForgetGroups {
                groups,
                unused_since_ms,
            } => {
                let is_unused = |group: &GroupState| group.used_ms < *unused_since_ms;
                for key in groups {
                    if self.groups.get(key).is_some_and(is_unused) {
                        self.forget_group(*key);
                    }
                }
                Effect::Done
            }
            Change::CreateStream(stream) => self.create_stream(offset, stream),
            Change::ActivateStream { stream, topic_id } => {
                self.set_stage(*stream, Stage::Creating, Stage::Active, topic_id.as_ref())
            }
            Change::DeleteStream { stream } => match self.streams.get_mut(stream) {
                Some(found) => {
                    found.stage = Stage::Deleting;
                    Effect::Stream(*stream)
                }
                None => Effect::Refused(WhyRefused::NoStream),
            },
            Change::ForgetStream { stream } => self.forget_stream(*stream),
            Change::PutDocument(document) => {
                let name = (document.kind.clone(), document.id.clone());
                self.documents.insert(name, document.clone());
                Effect::Done
            }
            Change::DeleteDocument { kind, id } => {
                self.documents.remove(&(kind.clone(), id.clone()));
                Effect::Done
            }
        }
    }

    fn open_group(
        &mut self,
        key: u64,
        (stream, name): (u64, &str),
        starts: &BTreeMap<u32, u64>,
        at_ms: u64,
    ) -> Effect {
        let known = self.group_keys.get(&(stream, name.to_owned())).copied();
        if let Some(group) = known.and_then(|known| self.groups.get_mut(&known)) {
            group.used_ms = group.used_ms.max(at_ms);
            return Effect::Group(group.key);
        }
        self.add_group(GroupState {
            key,
            stream,
            name: name.to_owned(),
            incarnation: 0,
            positions: positions(starts),
            used_ms: at_ms,
        });
        Effect::Group(key)
    }

    fn add_group(&mut self, group: GroupState) {
        let name = (group.stream, group.name.clone());
        self.group_keys.insert(name, group.key);
        self.groups.insert(group.key, group);
    }

    fn forget_group(&mut self, key: u64) {
        if let Some(group) = self.groups.remove(&key) {
            self.group_keys.remove(&(group.stream, group.name));
        }
    }

    fn commit(&mut self, key: u64, incarnation: u64, offsets: &BTreeMap<u32, u64>) -> Effect {
        let Some(group) = self.groups.get_mut(&key) else {
            return Effect::Refused(WhyRefused::NoGroup);
        };
        if group.incarnation != incarnation {
            return Effect::Refused(WhyRefused::GroupMoved);
        }
        for (partition, offset) in offsets {
            if let Some(position) = group.positions.get_mut(partition) {
                position.committed = position.committed.max(Some(*offset));
            }
        }
        Effect::Done
    }

    fn move_group(&mut self, key: u64, starts: &BTreeMap<u32, u64>) -> Effect {
        let Some(group) = self.groups.get_mut(&key) else {
            return Effect::Refused(WhyRefused::NoGroup);
        };
        group.incarnation = group.incarnation.saturating_add(1);
        group.positions = positions(starts);
        Effect::Group(key)
    }

    fn create_stream(&mut self, key: u64, stream: &NewStream) -> Effect {
        let is_twin =
            |known: &StreamState| known.stream.name == stream.name || known.stream.id == stream.id;
        if self.streams.values().any(is_twin) {
            return Effect::Refused(WhyRefused::StreamExists);
        }
        let created = StreamState {
            key,
            stream: stream.clone(),
            stage: Stage::Creating,
            topic_id: None,
        };
        self.streams.insert(key, created);
        Effect::Stream(key)
    }

    fn set_stage(&mut self, key: u64, from: Stage, to: Stage, topic_id: Option<&String>) -> Effect {
        match self.streams.get_mut(&key) {
            Some(stream) if stream.stage == from => {
                stream.stage = to;
                stream.topic_id = topic_id.cloned();
                Effect::Stream(key)
            }
            Some(stream) if stream.stage == to => Effect::Stream(key),
            Some(_) | None => Effect::Refused(WhyRefused::NoStream),
        }
    }

    fn forget_stream(&mut self, key: u64) -> Effect {
        if let Some(stream) = self.streams.remove(&key) {
            let document = (DOCUMENT_OF_STREAM.to_owned(), stream.stream.id);
            self.documents.remove(&document);
        }
        Effect::Done
    }

    /// Adds a part of a snapshot.
    pub(crate) fn restore(&mut self, part: Part) {
        for group in part.groups {
            self.add_group(group);
        }
        let streams = part.streams.into_iter();
        self.streams
            .extend(streams.map(|stream| (stream.key, stream)));
        let name = |document: &Document| (document.kind.clone(), document.id.clone());
        let documents = part.documents.into_iter();
        self.documents
            .extend(documents.map(|document| (name(&document), document)));
    }
}

fn positions(starts: &BTreeMap<u32, u64>) -> BTreeMap<u32, Position> {
    let position = |(partition, start): (&u32, &u64)| {
        let position = Position {
            start: *start,
            committed: None,
        };
        (*partition, position)
    };
    starts.iter().map(position).collect()
}
