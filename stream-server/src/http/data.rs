//! The data plane: messages, cursors, groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::messages_json::MessagesJson;
use super::respond::Reply;
use super::{App, wire};
use crate::api_error::ApiError;
use crate::limits::{ANSWER_ROOM_TIMEOUT, INSTANCE_TIMEOUT_MS_DEFAULT};
use crate::partition_log::Start;
use crate::service::{CursorRequest, GroupCursorRequest, GroupStart, PutEntry};
use crate::storage::Message;
use crate::time::TimeMs;

/// Room that a GetMessages takes while it is read: the values with what is between them in the log,
/// and the JSON of the largest in base64.
const FETCH_ROOM_BYTES: u32 = 4 * 1_048_576;
/// A type of UpdateGroup that OCI Streaming doesn't have: `stream-server copy` needs it.
const AT_OFFSETS: &str = "AT_OFFSETS";

impl App {
    pub(super) async fn put_messages(
        &self,
        (stream, partition): (&str, Option<u32>),
        body: &[u8],
    ) -> Result<Reply, ApiError> {
        let messages = wire::put_messages(body)?;
        let entries = self
            .service
            .put_messages(self.clock.wall(), stream, partition, messages)
            .await?;
        let result = wire::put_messages_result(entries.into_iter().map(entry));
        Ok(Reply::content(result))
    }

    /// Publishes all but every so many-th message, which fail with this error and message.
    pub(super) async fn put_some_messages(
        &self,
        (stream, partition): (&str, Option<u32>),
        body: &[u8],
        (every, error, error_message): (usize, &str, &str),
    ) -> Result<Reply, ApiError> {
        let messages = wire::put_messages(body)?;
        let fails = |place: usize| place.saturating_add(1).is_multiple_of(every);
        let failing: Vec<bool> = (0..messages.len()).map(fails).collect();
        let stored = messages
            .into_iter()
            .zip(&failing)
            .filter(|(_, fails)| !**fails);
        let stored: Vec<_> = stored.map(|(message, _)| message).collect();
        let entries = match stored.is_empty() {
            true => Vec::new(),
            false => {
                self.service
                    .put_messages(self.clock.wall(), stream, partition, stored)
                    .await?
            }
        };
        let mut entries = entries.into_iter();
        let failure = || (error.to_owned(), error_message.to_owned());
        let results = failing.iter().map(|fails| match fails {
            true => Err(failure()),
            false => entries.next().map_or_else(|| Err(failure()), entry),
        });
        Ok(Reply::content(wire::put_messages_result(results)))
    }

    pub(super) async fn get_messages(
        &self,
        stream: &str,
        query: &str,
        to_front: bool,
    ) -> Result<Reply, ApiError> {
        let cursor = required(query, "cursor")?;
        let limit = match parameter(query, "limit") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                ApiError::invalid_parameter("limit must be a number between 1 and 10000")
            })?),
        };
        let room = match to_front {
            true => &self.handed_answers_room,
            false => &self.answers_room,
        };
        let mut room = answer_room(room).await?;
        let now = self.clock.steady();
        let fetched = self
            .service
            .get_messages(now, stream, &cursor, limit)
            .await?;
        // From here on, the messages take room, and the piece that is being written.
        let needed = room_needed(&fetched.messages);
        drop(room.split(room.num_permits().saturating_sub(needed)));
        let json = MessagesJson::new(fetched.stream_name, fetched.messages, Some(room));
        let offsets = fetched.offsets.map(|offsets| offsets.to_string());
        Ok(Reply::messages(json, fetched.next_cursor, offsets))
    }

    pub(super) async fn create_cursor(&self, stream: &str, body: &[u8]) -> Result<Reply, ApiError> {
        let details: wire::CreateCursorDetails = wire::parse(body)?;
        let partition = details.partition.parse().map_err(|_| {
            ApiError::invalid_parameter("partition must be a number in quotes, such as \"0\"")
        })?;
        let offset = || {
            let missing = || ApiError::missing_parameter("This type of cursor needs an offset");
            details.offset.ok_or_else(missing)
        };
        let start = match details.kind.as_str() {
            "TRIM_HORIZON" => Start::TrimHorizon,
            "LATEST" => Start::Latest,
            "AT_OFFSET" => Start::AtOffset(offset()?),
            "AFTER_OFFSET" => Start::AfterOffset(offset()?),
            "AT_TIME" => Start::AtTime(time(details.time.as_deref())?),
            _ => {
                return Err(ApiError::invalid_parameter(
                    "type must be AFTER_OFFSET, AT_OFFSET, AT_TIME, LATEST or TRIM_HORIZON",
                ));
            }
        };
        let request = CursorRequest { partition, start };
        let value = self
            .service
            .create_cursor(self.clock.steady(), stream, request)
            .await?;
        Ok(Reply::json(200, &wire::CursorValue { value }))
    }

    pub(super) async fn create_group_cursor(
        &self,
        stream: &str,
        body: &[u8],
    ) -> Result<Reply, ApiError> {
        let details: wire::CreateGroupCursorDetails = wire::parse(body)?;
        // A value out of range becomes zero, which is refused.
        let timeout_ms = details
            .timeout_in_ms
            .map_or(INSTANCE_TIMEOUT_MS_DEFAULT, |ms| {
                u32::try_from(ms).unwrap_or(0)
            });
        let request = GroupCursorRequest {
            start: group_start(&details.kind, details.time.as_deref())?,
            group: details.group_name,
            instance: details.instance_name,
            timeout_ms,
            commit_on_get: details.commit_on_get.unwrap_or(true),
        };
        let value = self
            .service
            .create_group_cursor(self.clock.steady(), stream, request)
            .await?;
        Ok(Reply::json(200, &wire::CursorValue { value }))
    }

    pub(super) async fn commit(&self, stream: &str, query: &str) -> Result<Reply, ApiError> {
        let cursor = required(query, "cursor")?;
        let value = self
            .service
            .commit(self.clock.steady(), stream, &cursor)
            .await?;
        Ok(Reply::json(200, &wire::CursorValue { value }))
    }

    pub(super) async fn heartbeat(&self, stream: &str, query: &str) -> Result<Reply, ApiError> {
        let cursor = required(query, "cursor")?;
        let value = self
            .service
            .heartbeat(self.clock.steady(), stream, &cursor)
            .await?;
        Ok(Reply::json(200, &wire::CursorValue { value }))
    }

    pub(super) async fn get_group(&self, stream: &str, group: &str) -> Result<Reply, ApiError> {
        let view = self
            .service
            .get_group(self.clock.steady(), stream, group)
            .await?;
        Ok(Reply::json(200, &wire::GroupBody::from(view)))
    }

    pub(super) async fn update_group(
        &self,
        stream: &str,
        group: &str,
        body: &[u8],
    ) -> Result<Reply, ApiError> {
        let details: wire::UpdateGroupDetails = wire::parse(body)?;
        if details.kind.as_deref() == Some(AT_OFFSETS) {
            let committed = committed_offsets(details.offsets.unwrap_or_default())?;
            let placed = self
                .service
                .place_group(self.clock.steady(), stream, group, committed);
            placed.await?;
            return Ok(Reply::empty(200));
        }
        let start = match details.kind {
            Some(kind) => Some(group_start(&kind, details.time.as_deref())?),
            None => None,
        };
        self.service
            .update_group(self.clock.steady(), stream, group, start)
            .await?;
        Ok(Reply::empty(200))
    }
}

/// Returns the place of a message, or `error` and `errorMessage`.
fn entry(stored: Result<PutEntry, ApiError>) -> Result<PutEntry, (String, String)> {
    stored.map_err(|api_error| (api_error.code.into_owned(), api_error.message))
}

/// Returns the bytes that messages take, at most twice their own for what is between them in the
/// log, and the JSON of the largest.
fn room_needed(messages: &[Message]) -> usize {
    let bytes = |message: &Message| {
        let key_bytes = message.key.as_ref().map_or(0, Bytes::len);
        message.value.len().saturating_add(key_bytes)
    };
    let all = messages.iter().map(bytes).fold(0, usize::saturating_add);
    let largest = messages.iter().map(bytes).max().unwrap_or(0);
    all.saturating_add(largest).saturating_mul(2)
}

fn committed_offsets(offsets: BTreeMap<String, u64>) -> Result<BTreeMap<u32, u64>, ApiError> {
    let number = |(partition, offset): (String, u64)| match partition.parse() {
        Ok(partition) => Ok((partition, offset)),
        Err(_) => Err(ApiError::invalid_parameter(
            "offsets must have numbers of partitions, such as {\"0\": 17}",
        )),
    };
    offsets.into_iter().map(number).collect()
}

fn group_start(kind: &str, at: Option<&str>) -> Result<GroupStart, ApiError> {
    match kind {
        "TRIM_HORIZON" => Ok(GroupStart::TrimHorizon),
        "LATEST" => Ok(GroupStart::Latest),
        "AT_TIME" => Ok(GroupStart::AtTime(time(at)?)),
        _ => Err(ApiError::invalid_parameter(
            "type must be AT_TIME, LATEST or TRIM_HORIZON",
        )),
    }
}

fn time(text: Option<&str>) -> Result<TimeMs, ApiError> {
    let text = text.ok_or_else(|| ApiError::missing_parameter("AT_TIME needs a time"))?;
    TimeMs::parse_rfc3339(text).ok_or_else(|| {
        ApiError::invalid_parameter("time must be RFC 3339, such as 2026-11-23T01:02:03.456Z")
    })
}

/// Returns a parameter of the query, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns a parameter of the query that must be there, decoded.
pub(super) fn required(query: &str, name: &str) -> Result<String, ApiError> {
    let missing = || ApiError::missing_parameter(format!("The parameter {name} is required"));
    parameter(query, name).ok_or_else(missing)
}

/// Takes room for an answer.
pub(super) async fn answer_room(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let room = Arc::clone(room);
    if let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(FETCH_ROOM_BYTES) {
        return Ok(permit);
    }
    let acquire = room.acquire_many_owned(FETCH_ROOM_BYTES);
    let acquired = tokio::time::timeout(ANSWER_ROOM_TIMEOUT, acquire).await;
    let busy = || ApiError::unavailable("Too many answers are waiting to be read");
    acquired.ok().and_then(Result::ok).ok_or_else(busy)
}
