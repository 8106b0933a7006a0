//! CreateCursor and GetMessages.

use std::collections::BTreeMap;
use std::fmt;

use super::Service;
use crate::api_error::ApiError;
use crate::cursor::Cursor;
use crate::group::{GroupCursor, Read, ReadRange};
use crate::limits::{GET_BYTES_MAX, GET_COUNT_MAX};
use crate::partition_log::{Extent, Position, Start};
use crate::storage::{Found, Message, ReadBounds, StorageError, Stream};
use crate::throttle::Bucket;
use crate::time::TimeMs;

/// What a client asks of CreateCursor (OCI `CreateCursorDetails`), checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorRequest {
    /// The partition.
    pub partition: u32,
    /// Where to start.
    pub start: Start,
}

/// The answer of GetMessages.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The name of the stream, which each message of the answer repeats.
    pub stream_name: String,
    /// The messages.
    pub messages: Vec<Message>,
    /// The cursor to go on with (`opc-next-cursor`).
    pub next_cursor: String,
    /// Which offsets were read; only of a partition's cursor.
    pub offsets: Option<ReadOffsets>,
}

/// The offsets that a read has gone through (`sluice-offsets`). Those without a message in the
/// answer have none, or one that can't be read. An empty answer is the partition's end only if the
/// read has come there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOffsets {
    /// The first one.
    pub from: u64,
    /// The one to go on with.
    pub next: u64,
    /// The one that the partition's next message got when the read began.
    pub end: u64,
}

impl fmt::Display for ReadOffsets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, next, end } = self;
        write!(formatter, "{from}-{next}/{end}")
    }
}

impl Service {
    /// Makes a cursor for one partition (OCI CreateCursor).
    ///
    /// # Errors
    /// 400 for a partition or an offset that isn't there, 404 for the stream.
    pub async fn create_cursor(
        &self,
        now: TimeMs,
        stream_id: &str,
        request: CursorRequest,
    ) -> Result<String, ApiError> {
        let stream = self.find_stream_for(now, "CreateCursor", stream_id).await?;
        let extents = self.storage.extents(&stream).await?;
        let partition = request.partition;
        let extent = extents.get(&partition).ok_or_else(|| {
            let last = stream.partitions.saturating_sub(1);
            match partition <= last {
                true => untold(partition).into(),
                false => ApiError::invalid_parameter(format!(
                    "There is no partition {partition}, the stream has partitions 0 to {last}"
                )),
            }
        })?;
        let position = extent.position(request.start).map_err(|out| {
            let allowed = match out.allowed {
                Some((first, last)) => format!("offsets {first} to {last} will do"),
                None => "there are no messages".to_owned(),
            };
            let partition = format!("The offset is not within partition {partition}");
            ApiError::invalid_parameter(format!("{partition}: {allowed}"))
        })?;
        Ok(self.seal(
            &stream,
            now,
            &Cursor::Partition {
                partition,
                position,
            },
        ))
    }

    /// Reads messages (OCI GetMessages), at most `limit` of them and about a mebibyte. With a
    /// group's cursor it also commits what that cursor has read, if the instance wants that.
    ///
    /// # Errors
    /// 400 for the limit and the cursor, 404 for the stream, 500 if the store failed.
    pub async fn get_messages(
        &self,
        now: TimeMs,
        stream_id: &str,
        cursor: &str,
        limit: Option<u32>,
    ) -> Result<Fetched, ApiError> {
        let count = limit.unwrap_or(GET_COUNT_MAX);
        if !(1..=GET_COUNT_MAX).contains(&count) {
            return Err(ApiError::invalid_parameter(format!(
                "limit must be between 1 and {GET_COUNT_MAX}"
            )));
        }
        let count_max = usize::try_from(count).unwrap_or(usize::MAX);
        let bounds = ReadBounds {
            count_max,
            bytes_max: GET_BYTES_MAX,
        };
        let stream = self.find_stream(stream_id).await?;
        let cursor = self.open_cursor(&stream, now, cursor)?;
        self.admit_read(&stream, now, &cursor)?;
        let (messages, next, offsets) = match cursor {
            Cursor::Partition {
                partition,
                position,
            } => {
                self.read_partition(&stream, partition, position, bounds)
                    .await?
            }
            Cursor::Group(cursor) => {
                let (messages, next) = self.read_group(&stream, now, &cursor, bounds).await?;
                (messages, next, None)
            }
        };
        let next_cursor = self.seal(&stream, now, &next);
        Ok(Fetched {
            stream_name: stream.name.clone(),
            messages,
            next_cursor,
            offsets,
        })
    }

    /// Counts a read of each partition that the cursor may look at.
    fn admit_read(&self, stream: &Stream, now: TimeMs, cursor: &Cursor) -> Result<(), ApiError> {
        if self.throttle.is_none() {
            return Ok(());
        }
        let (group, partitions) = match cursor {
            Cursor::Partition { partition, .. } => (None, vec![*partition]),
            Cursor::Group(GroupCursor {
                group_key, epoch, ..
            }) => {
                let held = self.with_group(*group_key, |group| Ok(group.held_by(now, *epoch)))?;
                (Some(*group_key), held)
            }
        };
        let bucket = |partition| Bucket::Read {
            stream: stream.key,
            group,
            partition,
        };
        self.admit(now, partitions.into_iter().map(bucket))
    }

    async fn read_partition(
        &self,
        stream: &Stream,
        partition: u32,
        position: Position,
        bounds: ReadBounds,
    ) -> Result<(Vec<Message>, Cursor, Option<ReadOffsets>), ApiError> {
        let from = match position {
            Position::Offset(offset) => Some(offset),
            Position::Time(time) => self.storage.offset_at(stream, partition, time).await?,
        };
        let Some(from) = from else {
            return Ok((
                Vec::new(),
                Cursor::Partition {
                    partition,
                    position,
                },
                None,
            ));
        };
        let extents = self.storage.extents_to_read(stream).await?;
        let Some(end) = extents.get(&partition).map(|extent| extent.next) else {
            return Err(untold(partition).into());
        };
        check_kept(&extents, partition, from)?;
        let range = within(
            &extents,
            ReadRange {
                partition,
                from,
                until: u64::MAX,
            },
        );
        let found = self.storage.read(stream, &[range], bounds).await?;
        let next = found.next().get(&partition).copied();
        let next = next.unwrap_or(from).max(from);
        let messages = found.messages;
        let position = Position::Offset(next);
        Ok((
            messages,
            Cursor::Partition {
                partition,
                position,
            },
            Some(ReadOffsets { from, next, end }),
        ))
    }

    /// Returns what to read for a cursor of a group, with the offsets that it is planned by.
    ///
    /// What is known already will do if it shows something to read. Only that there is nothing has
    /// to be as new as the request.
    async fn plan_read(
        &self,
        stream: &Stream,
        key: u64,
        cursor: &GroupCursor,
    ) -> Result<(Read, BTreeMap<u32, Extent>), ApiError> {
        let plan = |extents: &BTreeMap<u32, Extent>| {
            let next_of = |partition: u32| next_of(extents, partition);
            self.with_group(key, |group| group.begin_read(cursor, next_of))
        };
        if let Some(extents) = self.storage.extents_lately(stream) {
            let mut read = plan(&extents)?;
            // Somebody may know of more messages.
            read.behind_the_end = None;
            if !read.ranges.is_empty() {
                return Ok((read, extents));
            }
            self.with_group(key, |group| group.finish_read(read, &BTreeMap::new()))?;
        }
        let extents = self.storage.extents_to_read(stream).await?;
        Ok((plan(&extents)?, extents))
    }

    async fn read_group(
        &self,
        stream: &Stream,
        now: TimeMs,
        cursor: &GroupCursor,
        bounds: ReadBounds,
    ) -> Result<(Vec<Message>, Cursor), ApiError> {
        let key = cursor.group_key;
        let get = self.with_group(key, |group| group.begin_get(now, cursor))?;
        self.make_durable(&get.commit).await?;
        let (read, extents) = self.plan_read(stream, key, &get.cursor).await?;
        let is_kept = |range: &ReadRange| check_kept(&extents, range.partition, range.from);
        let mut kept = read.ranges.iter().try_for_each(is_kept);
        if let Some((partition, from)) = read.behind_the_end {
            let now = self.storage.extents(stream).await;
            kept = kept.and(
                now.map_err(Into::into)
                    .and_then(|now| check_kept(&now, partition, from)),
            );
        }
        if let Err(outside) = kept {
            // A read must be ended, whatever its result.
            self.with_group(key, |group| group.finish_read(read, &BTreeMap::new()))?;
            return Err(outside);
        }
        let ranges = read.ranges.iter().map(|range| within(&extents, *range));
        let ranges: Vec<ReadRange> = ranges.collect();
        let result = match ranges.is_empty() {
            true => Ok(Found::default()),
            false => self.storage.read(stream, &ranges, bounds).await,
        };
        let next = result.as_ref().map(Found::next).unwrap_or_default();
        let last = next.into_iter().filter_map(|(partition, next)| {
            // What has no message counts as delivered, too: nobody will ever get more of it.
            Some((partition, next.checked_sub(1)?))
        });
        let delivered: BTreeMap<u32, u64> = last.collect();
        let next = self.with_group(key, |group| group.finish_read(read, &delivered))?;
        Ok((result?.messages, Cursor::Group(next)))
    }
}

/// Returns the offset behind the last message of a partition that is known.
fn next_of(extents: &BTreeMap<u32, Extent>, partition: u32) -> u64 {
    extents.get(&partition).map_or(0, |extent| extent.next)
}

/// Returns why nothing is known of a partition that is there.
pub(super) fn untold(partition: u32) -> StorageError {
    StorageError::Unavailable(format!(
        "nobody tells the offsets of partition {partition} now"
    ))
}

/// Returns the range as far as messages are known to be there: a read needn't wait for more.
fn within(extents: &BTreeMap<u32, Extent>, range: ReadRange) -> ReadRange {
    let next = extents
        .get(&range.partition)
        .map_or(0, |extent| extent.next);
    ReadRange {
        until: range.until.min(next),
        ..range
    }
}

/// Refuses to go on if messages were removed before they were read. Otherwise the client would
/// never know.
fn check_kept(extents: &BTreeMap<u32, Extent>, partition: u32, from: u64) -> Result<(), ApiError> {
    match extents.get(&partition) {
        Some(extent) if from < extent.oldest => Err(ApiError::cursor_outside_retention()),
        // Whoever has made the stream's topic anew has taken messages away. The client would wait
        // until there are as many new ones, and never see these.
        Some(extent) if from > extent.next => Err(ApiError::cursor_behind_the_end(partition)),
        Some(_) | None => Ok(()),
    }
}
