//! CreateGroupCursor, ConsumerCommit, ConsumerHeartbeat, GetGroup, UpdateGroup.

use std::collections::BTreeMap;

use super::Service;
use super::consume::untold;
use crate::api_error::ApiError;
use crate::cursor::Cursor;
use crate::group::{Commit, Group, GroupCursor, Join, Reservation};
use crate::limits::{GROUP_NAME_CHARS_MAX, INSTANCE_TIMEOUT_MS_MIN};
use crate::storage::Stream;
use crate::time::TimeMs;

/// Where a new or moved group starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStart {
    /// The oldest kept message of each partition.
    TrimHorizon,
    /// Only messages published from now on.
    Latest,
    /// The first message at or after this time; from now on, if there is none yet.
    AtTime(TimeMs),
}

/// What a client asks of CreateGroupCursor (OCI `CreateGroupCursorDetails`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCursorRequest {
    /// The group's name, 1..=255 characters.
    pub group: String,
    /// Where the group starts if it is new; without effect otherwise.
    pub start: GroupStart,
    /// The instance's name; the server chooses one if it is absent.
    pub instance: Option<String>,
    /// Silence after which the instance is removed, at least 1000 ms.
    pub timeout_ms: u32,
    /// Whether GetMessages commits what its cursor has read.
    pub commit_on_get: bool,
}

/// The answer of GetGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The stream's OCID.
    pub stream_id: String,
    /// The group's name.
    pub name: String,
    /// All partitions, in order.
    pub reservations: Vec<Reservation>,
}

impl Service {
    /// Lets an instance join a group, which is created if it is new (OCI CreateGroupCursor).
    ///
    /// # Errors
    /// 400 for names, timeout and limits, 404 for the stream, 500 if the store failed.
    pub async fn create_group_cursor(
        &self,
        now: TimeMs,
        stream_id: &str,
        request: GroupCursorRequest,
    ) -> Result<String, ApiError> {
        check_name("groupName", &request.group)?;
        if request.timeout_ms < INSTANCE_TIMEOUT_MS_MIN {
            return Err(ApiError::invalid_parameter(format!(
                "timeoutInMs must be at least {INSTANCE_TIMEOUT_MS_MIN}"
            )));
        }
        let instance = match request.instance {
            Some(name) => {
                check_name("instanceName", &name)?;
                name
            }
            None => format!("instance-{}", self.unique()),
        };
        let stream = self
            .find_stream_for(now, "CreateGroupCursor", stream_id)
            .await?;
        let known = self.group_key(&stream, &request.group);
        let key = match known {
            Some(key) => key,
            None => {
                let starts = self.starts(&stream, request.start).await?;
                self.open_group(&stream, &request.group, starts).await?
            }
        };
        let (timeout_ms, commit_on_get) = (request.timeout_ms, request.commit_on_get);
        let join = Join {
            instance,
            timeout_ms,
            commit_on_get,
        };
        let cursor = self.with_group(key, |group| group.join(now, join))?;
        Ok(self.seal_group(&stream, now, cursor))
    }

    /// Commits what this cursor has read (OCI ConsumerCommit), and nothing if more is already
    /// committed. The returned cursor reads on from the same place as the given one.
    ///
    /// # Errors
    /// 400 for the cursor, 404 for the stream, 500 if the store failed.
    pub async fn commit(
        &self,
        now: TimeMs,
        stream_id: &str,
        cursor: &str,
    ) -> Result<String, ApiError> {
        let (stream, cursor) = self
            .open_group_cursor(now, "ConsumerCommit", stream_id, cursor)
            .await?;
        let key = cursor.group_key;
        let commit = self.with_group(key, |group| group.begin_commit(now, &cursor))?;
        self.make_durable(&commit).await?;
        let next = self.with_group(key, |group| group.cursor_after_commit(&cursor))?;
        Ok(self.seal_group(&stream, now, next))
    }

    /// Keeps the instance's reservations (OCI ConsumerHeartbeat). The returned cursor reads on from
    /// the same place as the given one.
    ///
    /// # Errors
    /// 400 for the cursor, 404 for the stream.
    pub async fn heartbeat(
        &self,
        now: TimeMs,
        stream_id: &str,
        cursor: &str,
    ) -> Result<String, ApiError> {
        let (stream, cursor) = self
            .open_group_cursor(now, "ConsumerHeartbeat", stream_id, cursor)
            .await?;
        let next = self.with_group(cursor.group_key, |group| group.heartbeat(now, &cursor))?;
        Ok(self.seal_group(&stream, now, next))
    }

    /// Returns which instance holds which partition (OCI GetGroup).
    ///
    /// # Errors
    /// 404 for the stream and the group.
    pub async fn get_group(
        &self,
        now: TimeMs,
        stream_id: &str,
        name: &str,
    ) -> Result<GroupView, ApiError> {
        let stream = self.find_stream_for(now, "GetGroup", stream_id).await?;
        let key = self
            .group_key(&stream, name)
            .ok_or_else(|| ApiError::unknown_group(name))?;
        let reservations = self.with_group(key, |group| Ok(group.reservations(now)))?;
        Ok(GroupView {
            stream_id: stream.id.clone(),
            name: name.to_owned(),
            reservations,
        })
    }

    /// Moves the whole group (OCI UpdateGroup). Its instances get "The cursor is invalid" and go on
    /// with a new cursor, at the new place.
    ///
    /// # Errors
    /// 404 for the stream and the group, 500 if the store failed.
    pub async fn update_group(
        &self,
        now: TimeMs,
        stream_id: &str,
        name: &str,
        start: Option<GroupStart>,
    ) -> Result<(), ApiError> {
        let stream = self.find_stream_for(now, "UpdateGroup", stream_id).await?;
        let key = self
            .group_key(&stream, name)
            .ok_or_else(|| ApiError::unknown_group(name))?;
        let Some(start) = start else { return Ok(()) };
        let starts = self.starts(&stream, start).await?;
        let moved = self.storage.move_group(key, starts).await?;
        self.with_group(key, |group| {
            group.reset(now, moved);
            Ok(())
        })
    }

    /// Moves a group to where its last commits are at these offsets, or to the oldest message of
    /// the partitions that have none, and creates it if it is new. This is not OCI's. Its instances
    /// get "The cursor is invalid", as after UpdateGroup.
    ///
    /// # Errors
    /// 400 for the name and for offsets that no message has had, 404 for the stream, 500 if the
    /// store failed. Then the group may have been moved, and GetGroup may not show its commits.
    pub async fn place_group(
        &self,
        now: TimeMs,
        stream_id: &str,
        name: &str,
        committed: BTreeMap<u32, u64>,
    ) -> Result<(), ApiError> {
        check_name("groupName", name)?;
        let stream = self.find_stream_for(now, "UpdateGroup", stream_id).await?;
        let mut starts = self.starts(&stream, GroupStart::TrimHorizon).await?;
        let ends = self.starts(&stream, GroupStart::Latest).await?;
        for (partition, offset) in &committed {
            let there = ends.get(partition).is_some_and(|next| offset < next);
            let Some(start) = starts.get_mut(partition).filter(|_| there) else {
                return Err(ApiError::invalid_parameter(format!(
                    "No message of partition {partition} has had the offset {offset}"
                )));
            };
            *start = offset.saturating_add(1);
        }
        let key = match self.group_key(&stream, name) {
            Some(key) => {
                let moved = self.storage.move_group(key, starts).await?;
                self.with_group(key, |group| {
                    group.reset(now, moved);
                    Ok(())
                })?;
                key
            }
            None => self.open_group(&stream, name, starts).await?,
        };
        // The group reads on from the right place already; now GetGroup tells it.
        let commit = self.with_group(key, |group| Ok(group.commit_at(committed)))?;
        self.make_durable(&commit).await
    }

    /// Opens a group that isn't known; returns its key.
    async fn open_group(
        &self,
        stream: &Stream,
        name: &str,
        starts: BTreeMap<u32, u64>,
    ) -> Result<u64, ApiError> {
        let record = self.storage.open_group(stream, name, starts).await?;
        Ok(self.groups().add(Group::new(record)))
    }

    /// Stores a commit, and tells the group once it is durable.
    pub(super) async fn make_durable(&self, commit: &Commit) -> Result<(), ApiError> {
        if commit.committed.is_empty() {
            return Ok(());
        }
        self.storage.commit(commit).await?;
        self.with_group(commit.group_key, |group| {
            group.finish_commit(commit);
            Ok(())
        })
    }

    async fn open_group_cursor(
        &self,
        now: TimeMs,
        operation: &'static str,
        stream_id: &str,
        cursor: &str,
    ) -> Result<(std::sync::Arc<Stream>, GroupCursor), ApiError> {
        let stream = self.find_stream_for(now, operation, stream_id).await?;
        match self.open_cursor(&stream, now, cursor)? {
            Cursor::Group(cursor) => Ok((stream, cursor)),
            Cursor::Partition { .. } => Err(ApiError::invalid_parameter(
                "This is the cursor of a partition. Use one from CreateGroupCursor.",
            )),
        }
    }

    fn group_key(&self, stream: &Stream, name: &str) -> Option<u64> {
        let mut groups = self.groups();
        let name = (stream.key, name.to_owned());
        let key = groups.key_by_name.get(&name).copied()?;
        groups.current(&*self.storage, key).map(|_| key)
    }

    async fn starts(
        &self,
        stream: &Stream,
        start: GroupStart,
    ) -> Result<BTreeMap<u32, u64>, ApiError> {
        let mut starts = BTreeMap::new();
        let extents = self.storage.extents(stream).await?;
        // A group without a start in some partition would never read that.
        if let Some(missing) = (0..stream.partitions).find(|one| !extents.contains_key(one)) {
            return Err(untold(missing).into());
        }
        let at_time = match start {
            GroupStart::AtTime(time) => self.storage.offsets_at(stream, time).await?,
            GroupStart::TrimHorizon | GroupStart::Latest => BTreeMap::new(),
        };
        for (partition, extent) in extents {
            let offset = match start {
                GroupStart::TrimHorizon => extent.oldest,
                GroupStart::Latest => extent.next,
                GroupStart::AtTime(_) => at_time.get(&partition).copied().unwrap_or(extent.next),
            };
            starts.insert(partition, offset);
        }
        Ok(starts)
    }
}

fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let chars = name.chars().count();
    if (1..=GROUP_NAME_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!(
        "{field} must have 1 to {GROUP_NAME_CHARS_MAX} characters"
    )))
}
