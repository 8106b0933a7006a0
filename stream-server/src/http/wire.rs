//! The JSON of requests and answers, as OCI's contract writes it.

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::service::{Fetched, GroupView, PutEntry, PutMessage};

/// Bytes of a message's JSON beside its key and value: names, numbers, time, the stream's name.
const MESSAGE_JSON_BYTES: usize = 128;

#[derive(Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
}

/// A text that is borrowed from the body where it has no escapes, as base64 never needs any.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct PutMessagesDetails<'a> {
    #[serde(borrow)]
    messages: Vec<PutMessageDetails<'a>>,
}

#[derive(Deserialize)]
struct PutMessageDetails<'a> {
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    value: Text<'a>,
}

/// Keys and values of a PutMessages, decoded once.
pub(super) fn put_messages(body: &[u8]) -> Result<Vec<PutMessage>, Refusal> {
    let details: PutMessagesDetails<'_> = parse(body)?;
    let decode = |(place, message): (usize, PutMessageDetails<'_>)| {
        let bytes = |what: &str, text: &Text<'_>| {
            STANDARD.decode(text.0.as_bytes()).map_err(|error| {
                Refusal::unparsable(format!(
                    "{what} of messages[{place}] is not base64: {error}"
                ))
            })
        };
        let key = message
            .key
            .as_ref()
            .map(|key| bytes("key", key))
            .transpose()?;
        let value = bytes("value", &message.value)?;
        Ok(PutMessage { key, value })
    };
    details
        .messages
        .into_iter()
        .enumerate()
        .map(decode)
        .collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutMessagesResult {
    failures: u32,
    entries: Vec<PutMessagesResultEntry>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum PutMessagesResultEntry {
    Stored {
        partition: String,
        offset: u64,
        timestamp: String,
    },
    Failed {
        error: String,
        error_message: String,
    },
}

impl PutMessagesResult {
    /// An entry of each message: where it is, or `error` and `errorMessage`.
    pub(super) fn new(entries: impl Iterator<Item = Result<PutEntry, (String, String)>>) -> Self {
        let entry = |entry: Result<PutEntry, (String, String)>| match entry {
            Ok(stored) => PutMessagesResultEntry::Stored {
                partition: stored.partition.to_string(),
                offset: stored.stamp.offset,
                timestamp: stored.stamp.time.to_string(),
            },
            Err((error, error_message)) => PutMessagesResultEntry::Failed {
                error,
                error_message,
            },
        };
        let entries: Vec<_> = entries.map(entry).collect();
        let failed = |entry: &&_| matches!(entry, PutMessagesResultEntry::Failed { .. });
        let failures = entries.iter().filter(failed).count();
        Self {
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
            entries,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateCursorDetails {
    pub(super) partition: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) offset: Option<u64>,
    pub(super) time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateGroupCursorDetails {
    pub(super) group_name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) time: Option<String>,
    pub(super) instance_name: Option<String>,
    pub(super) timeout_in_ms: Option<i32>,
    pub(super) commit_on_get: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct UpdateGroupDetails {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) time: Option<String>,
}

/// The answer of the operations that give a cursor.
#[derive(Serialize)]
pub(super) struct CursorValue {
    pub(super) value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupBody {
    stream_id: String,
    group_name: String,
    reservations: Vec<ReservationBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReservationBody {
    partition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_reserved_until: Option<String>,
}

impl From<GroupView> for GroupBody {
    fn from(view: GroupView) -> Self {
        let line = |reservation: crate::group::Reservation| {
            let (reserved_instance, until) = reservation.holder.unzip();
            ReservationBody {
                partition: reservation.partition.to_string(),
                committed_offset: reservation.committed,
                reserved_instance,
                time_reserved_until: until.map(|until| until.to_string()),
            }
        };
        let reservations = view.reservations.into_iter().map(line).collect();
        Self {
            stream_id: view.stream_id,
            group_name: view.name,
            reservations,
        }
    }
}

/// Reads a body. Unknown members are ignored, as Oracle does.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::unparsable)
}

/// Writes messages as a JSON array. By hand, because this is the largest output by far and base64
/// never needs escapes.
pub(super) fn messages(fetched: &Fetched) -> Vec<u8> {
    // A name may only have characters that JSON takes as they are.
    let stream = fetched.stream_name.as_str();
    let text_bytes = |bytes: usize| bytes.div_ceil(3).saturating_mul(4);
    let message_bytes = |message: &crate::engine::Message| {
        let key = message.key.as_ref().map_or(0, Vec::len);
        MESSAGE_JSON_BYTES + stream.len() + text_bytes(message.value.len()) + text_bytes(key)
    };
    let bytes = fetched.messages.iter().map(message_bytes).sum::<usize>();
    let mut json = Vec::with_capacity(bytes.saturating_add(2));
    json.push(b'[');
    // Messages that were published together have one time, and writing it takes longer than all
    // the rest but the value.
    let (mut time, mut time_text) = (None, String::new());
    for (place, message) in fetched.messages.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let (partition, stamp) = (message.partition, message.stamp);
        if time.replace(stamp.time) != Some(stamp.time) {
            time_text = stamp.time.to_string();
        }
        // Writing to memory does not fail.
        let _ = write!(
            json,
            "{comma}{{\"stream\":\"{stream}\",\"partition\":\"{partition}\",\"offset\":{},\
             \"timestamp\":\"{time_text}\",\"key\":",
            stamp.offset
        );
        match &message.key {
            None => json.extend_from_slice(b"null"),
            Some(key) => push_base64(&mut json, key),
        }
        json.extend_from_slice(b",\"value\":");
        push_base64(&mut json, &message.value);
        json.push(b'}');
    }
    json.push(b']');
    json
}

/// Appends bytes as a JSON text of base64.
fn push_base64(json: &mut Vec<u8>, bytes: &[u8]) {
    json.push(b'"');
    let start = json.len();
    json.resize(
        start.saturating_add(bytes.len().div_ceil(3).saturating_mul(4)),
        0,
    );
    let room = json.get_mut(start..).unwrap_or_default();
    let length = STANDARD.encode_slice(bytes, room).unwrap_or(0);
    json.truncate(start.saturating_add(length));
    json.push(b'"');
}
