//! The operations of OCI Streaming, without HTTP and without a store of their own.
//!
//! Everything here is deterministic given the storage, the times that are passed in, and the source
//! of randomness; a simulation drives it as the HTTP server does. Operations on groups must not be
//! dropped half-way (a commit could be durable without the group knowing): run them to their end.

mod catalog;
mod consume;
mod groups;
mod page;
mod pools;
mod produce;
mod resources;
mod streams;
mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use consume::{CursorRequest, Fetched, ReadOffsets};
pub use groups::{GroupCursorRequest, GroupStart, GroupView};
pub use page::{Filter, Page, Paging};
pub use pools::PoolRequest;
pub use produce::{PutEntry, PutMessage};
pub use resources::{KafkaSettings, StreamPool, StreamSettings, Tags, TagsUpdate, WorkRequest};
#[cfg(any(feature = "kafka", feature = "copy"))]
pub(crate) use streams::id_of_named;
pub use streams::{ListRequest, StreamRequest, StreamUpdate, StreamView};
pub use work::WorkFilter;

use crate::api_error::ApiError;
use crate::cursor::{Cursor, CursorCodec};
use crate::group::{Group, GroupCursor, GroupRecord};
use crate::limits::{CURSOR_CHARS_MAX, CURSOR_LIFE_MS, STREAM_ID_CHARS_MAX};
use crate::storage::{GroupNews, Storage, StorageError, Stream};
use crate::throttle::{Bucket, Throttle};
use crate::time::TimeMs;

/// A source of random numbers.
pub type Entropy = Box<dyn Fn() -> u64 + Send + Sync>;

/// The operations, on one storage.
pub struct Service {
    storage: Arc<dyn Storage>,
    codec: CursorCodec,
    entropy: Entropy,
    /// All groups of all streams, by their key. Locked for microseconds, never across an await.
    groups: Mutex<GroupTable>,
    /// The times until which issued cursors count as expired, whatever their age; by stream. Only
    /// faults set them.
    expired_until: Mutex<BTreeMap<u64, TimeMs>>,
    /// Oracle's rates; if absent, there are none.
    throttle: Option<Throttle>,
    /// What the control plane keeps.
    catalog: tokio::sync::Mutex<catalog::Catalog>,
}

/// A group, for the metrics.
pub(crate) struct GroupState {
    pub(crate) record: GroupRecord,
    pub(crate) members: usize,
}

#[derive(Default)]
struct GroupTable {
    by_key: BTreeMap<u64, Group>,
    key_by_name: BTreeMap<(u64, String), u64>,
}

impl GroupTable {
    /// Adds a group, unless it is known. A group in memory is newer than any record.
    fn add(&mut self, group: Group) -> u64 {
        let record = group.record();
        let (key, name) = (record.key, (record.stream_key, record.name.clone()));
        self.key_by_name.insert(name, key);
        self.by_key.entry(key).or_insert(group);
        key
    }
}

impl GroupTable {
    /// Returns a group in line with what is kept. A move or an end that nobody could confirm in
    /// time may have happened since: what is committed to the group of before would be lost.
    fn current(&mut self, storage: &dyn Storage, key: u64) -> Option<&mut Group> {
        let incarnation = self.by_key.get(&key)?.record().incarnation;
        match storage.news_of(key, incarnation) {
            GroupNews::None => {}
            GroupNews::Moved(record) => self.by_key.get_mut(&key)?.follow(*record),
            GroupNews::Gone => {
                self.by_key.remove(&key);
                self.key_by_name.retain(|_, named| *named != key);
            }
        }
        self.by_key.get_mut(&key)
    }

    fn forget_stream(&mut self, stream_key: u64) {
        self.by_key
            .retain(|_, group| group.record().stream_key != stream_key);
        self.key_by_name
            .retain(|(stream, _), _| *stream != stream_key);
    }
}

impl Service {
    /// Returns a service on a storage. Loads its groups; membership starts empty, and cursors of
    /// groups from before are invalid.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn start(storage: Arc<dyn Storage>, entropy: Entropy) -> Result<Self, StorageError> {
        // 56 bits keep the number short in every cursor.
        let boot_id = storage.boot_id().unwrap_or_else(|| entropy() >> 8);
        let codec = CursorCodec::new(&storage.cursor_secret(), boot_id);
        let mut groups = GroupTable::default();
        for record in storage.groups().await? {
            groups.add(Group::new(record));
        }
        let catalog = catalog::Catalog::load(&*storage).await?;
        Ok(Self {
            storage,
            catalog: tokio::sync::Mutex::new(catalog),
            codec,
            entropy,
            groups: Mutex::new(groups),
            expired_until: Mutex::default(),
            throttle: None,
        })
    }

    /// Takes groups over from another server of the same cluster, without their instances.
    /// Their joinings are numbered on from `first`.
    #[cfg(feature = "kafka")]
    pub(crate) fn take_groups(&self, records: Vec<GroupRecord>, first: u64) {
        let mut groups = self.groups();
        for record in records {
            // One that is here may be from an earlier ownership.
            groups.by_key.remove(&record.key);
            groups.add(Group::taken_over(record, first));
        }
    }

    /// Drops the groups with such keys, which another server of the same cluster serves now.
    #[cfg(feature = "kafka")]
    pub(crate) fn drop_groups(&self, is_gone: impl Fn(u64) -> bool) {
        let mut groups = self.groups();
        groups.by_key.retain(|key, _| !is_gone(*key));
        groups.key_by_name.retain(|_, key| !is_gone(*key));
    }

    /// Drops the groups of streams with such keys, which another server has deleted.
    #[cfg(feature = "kafka")]
    pub(crate) fn drop_groups_of(&self, is_gone: impl Fn(u64) -> bool) {
        let mut groups = self.groups();
        groups
            .by_key
            .retain(|_, group| !is_gone(group.record().stream_key));
        groups
            .key_by_name
            .retain(|(stream, _), _| !is_gone(*stream));
        drop(groups);
        self.expired_until().retain(|stream, _| !is_gone(*stream));
    }

    /// Reads what the control plane keeps again, because another server may have changed it.
    #[cfg(feature = "kafka")]
    pub(crate) async fn reload_catalog(&self) -> Result<(), StorageError> {
        let mut catalog = self.catalog.lock().await;
        *catalog = catalog::Catalog::load(&*self.storage).await?;
        Ok(())
    }

    /// Returns the key of a stream; `None` if there is none of this id.
    pub(crate) async fn stream_key(&self, stream_id: &str) -> Option<u64> {
        Some(self.find_stream(stream_id).await.ok()?.key)
    }

    /// Returns the group whose cursor this is; `None` for any other text.
    pub(crate) async fn group_of_cursor(
        &self,
        now: TimeMs,
        stream_id: &str,
        cursor: &str,
    ) -> Option<u64> {
        let stream = self.find_stream(stream_id).await.ok()?;
        match self.open_cursor(&stream, now, cursor).ok()? {
            Cursor::Group(cursor) => Some(cursor.group_key),
            Cursor::Partition { .. } => None,
        }
    }

    /// Returns the same with Oracle's rates.
    #[must_use]
    pub fn with_throttle(self, throttle: Throttle) -> Self {
        let throttle = Some(throttle);
        Self { throttle, ..self }
    }

    /// Counts a request for an operation of the control plane, by OCI's name of it.
    pub(crate) fn admit_control(
        &self,
        now: TimeMs,
        operation: &'static str,
    ) -> Result<(), ApiError> {
        self.admit(now, [Bucket::Control { operation }])
    }

    fn admit(
        &self,
        now: TimeMs,
        buckets: impl IntoIterator<Item = Bucket>,
    ) -> Result<(), ApiError> {
        let Some(throttle) = &self.throttle else {
            return Ok(());
        };
        Ok(throttle.admit_request(now, buckets)?)
    }

    /// Returns all groups as they are now.
    pub(crate) fn group_states(&self, now: TimeMs) -> Vec<GroupState> {
        let mut groups = self.groups();
        let state = |group: &mut Group| GroupState {
            members: group.members_count(now),
            record: group.record().clone(),
        };
        groups.by_key.values_mut().map(state).collect()
    }

    /// Returns the groups that have live instances, or were used at this time or later: an instance
    /// may come and go between two looks.
    #[must_use]
    pub fn groups_in_use(&self, since: TimeMs, now: TimeMs) -> Vec<u64> {
        let mut groups = self.groups();
        let used = groups.by_key.iter_mut().filter_map(|(key, group)| {
            let is_used = group.was_used_since(since, now);
            is_used.then_some(*key)
        });
        used.collect()
    }

    /// Forgets those of the groups that have no live instances, and returns them. Whoever joins one
    /// of them now opens it anew.
    #[must_use]
    pub fn forget_groups(&self, now: TimeMs, mut keys: Vec<u64>) -> Vec<u64> {
        let mut groups = self.groups();
        keys.retain(|key| {
            groups
                .by_key
                .get_mut(key)
                .is_none_or(|group| group.members_count(now) == 0)
        });
        for key in &keys {
            groups.by_key.remove(key);
        }
        groups.key_by_name.retain(|_, key| !keys.contains(key));
        keys
    }

    fn groups(&self) -> MutexGuard<'_, GroupTable> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find_stream(&self, id: &str) -> Result<Arc<Stream>, ApiError> {
        if id.is_empty() || id.chars().count() > STREAM_ID_CHARS_MAX {
            return Err(ApiError::invalid_parameter(format!(
                "The stream's id must have 1 to {STREAM_ID_CHARS_MAX} characters"
            )));
        }
        self.storage
            .stream(id)
            .await?
            .ok_or_else(|| ApiError::unknown_stream(id))
    }

    /// Finds the stream for an operation that Oracle limits by itself.
    async fn find_stream_for(
        &self,
        now: TimeMs,
        operation: &'static str,
        id: &str,
    ) -> Result<Arc<Stream>, ApiError> {
        let found = self.find_stream(id).await?;
        let stream = found.key;
        self.admit(now, [Bucket::OnStream { stream, operation }])?;
        Ok(found)
    }

    fn open_cursor(&self, stream: &Stream, now: TimeMs, text: &str) -> Result<Cursor, ApiError> {
        if text.is_empty() || text.len() > CURSOR_CHARS_MAX {
            return Err(ApiError::cursor_invalid());
        }
        let now = TimeMs(
            self.storage
                .cursor_time(now)
                .0
                .saturating_sub(self.storage.cursor_grace_ms()),
        );
        let expired_until = self.expired_until();
        // The moment at which the latest of them would have expired by itself.
        let then = expired_until
            .get(&stream.key)
            .map_or(now, |until| until.plus_ms(CURSOR_LIFE_MS));
        Ok(self.codec.open(stream.key, now.max(then), text)?)
    }

    fn expired_until(&self) -> MutexGuard<'_, BTreeMap<u64, TimeMs>> {
        let locked = self.expired_until.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Expires all cursors of a stream that were issued up to now.
    pub(crate) async fn expire_cursors(
        &self,
        stream_id: &str,
        now: TimeMs,
    ) -> Result<(), ApiError> {
        let stream = self.find_stream(stream_id).await?;
        self.expired_until().insert(stream.key, now);
        Ok(())
    }

    /// Ends all instances of all groups of a stream, as if they had timed out.
    pub(crate) async fn forget_members(
        &self,
        stream_id: &str,
        now: TimeMs,
    ) -> Result<(), ApiError> {
        let stream = self.find_stream(stream_id).await?;
        let mut groups = self.groups();
        let of_stream = groups.by_key.values_mut();
        of_stream
            .filter(|group| group.record().stream_key == stream.key)
            .for_each(|group| group.forget_members(now));
        Ok(())
    }

    fn seal_group(&self, stream: &Stream, now: TimeMs, cursor: GroupCursor) -> String {
        self.seal(stream, now, &Cursor::Group(cursor))
    }

    fn seal(&self, stream: &Stream, now: TimeMs, cursor: &Cursor) -> String {
        let now = self.storage.cursor_time(now);
        self.codec.seal(stream.key, now, cursor)
    }

    /// Does something to a live group.
    fn with_group<T>(
        &self,
        key: u64,
        work: impl FnOnce(&mut Group) -> Result<T, crate::group::GroupError>,
    ) -> Result<T, ApiError> {
        let mut groups = self.groups();
        let group = groups
            .current(&*self.storage, key)
            .ok_or_else(ApiError::cursor_invalid)?;
        Ok(work(group)?)
    }
}
