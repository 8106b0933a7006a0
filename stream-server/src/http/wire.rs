//! The JSON of requests and answers, as OCI's contract writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use base64::engine::general_purpose::PAD;
use base64::engine::{Engine as _, Simd};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::api_error::ApiError;
use crate::service::{GroupView, PutEntry, PutMessage};
use crate::time::TimeMs;

/// Base64 (RFC 4648, section 4) with padding.
static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
/// The usual size of one entry of a PutMessagesResult, in bytes.
const ENTRY_JSON_BYTES: usize = 80;

#[derive(Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
}

/// A text that is borrowed from the body if it has no escapes. Base64 never needs any.
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

/// Reads keys and values of a PutMessages. They are decoded once, all into one piece of memory.
pub(super) fn put_messages(body: &[u8]) -> Result<Vec<PutMessage>, ApiError> {
    let details: PutMessagesDetails<'_> = parse(body)?;
    // Base64 takes four characters for three bytes, and more for the last of a text.
    let mut decoded = Vec::with_capacity(body.len().div_ceil(4).saturating_mul(3));
    let mut ends = Vec::with_capacity(details.messages.len());
    for (place, message) in details.messages.iter().enumerate() {
        let mut decode = |what: &str, text: &Text<'_>| -> Result<usize, ApiError> {
            BASE64
                .decode_vec(text.0.as_bytes(), &mut decoded)
                .map_err(|error| {
                    ApiError::unparsable(format!(
                        "{what} of messages[{place}] is not base64: {error}"
                    ))
                })?;
            Ok(decoded.len())
        };
        let key_end = message.key.as_ref().map(|key| decode("key", key));
        ends.push((key_end.transpose()?, decode("value", &message.value)?));
    }
    let decoded = Bytes::from(decoded);
    let mut start = 0;
    let message = |(key_end, end): (Option<usize>, usize)| {
        let key = key_end.map(|key_end| decoded.slice(start..key_end));
        let value = decoded.slice(key_end.unwrap_or(start)..end);
        start = end;
        PutMessage { key, value }
    };
    Ok(ends.into_iter().map(message).collect())
}

/// Writes OCI's `PutMessagesResult`: for each message its place, or `error` and `errorMessage`.
pub(super) fn put_messages_result(
    entries: impl ExactSizeIterator<Item = Result<PutEntry, (String, String)>>,
) -> Vec<u8> {
    let mut failures = 0_u32;
    let mut json = Vec::with_capacity(entries.len().saturating_mul(ENTRY_JSON_BYTES));
    json.extend_from_slice(b"{\"entries\":[");
    let mut times = TimeText::default();
    for (place, entry) in entries.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to memory does not fail.
        let _ = match entry {
            Ok(PutEntry { partition, stamp }) => write!(
                json,
                "{comma}{{\"partition\":\"{partition}\",\"offset\":{},\"timestamp\":\"{}\"}}",
                stamp.offset,
                times.of(stamp.time)
            ),
            Err((error, message)) => {
                failures = failures.saturating_add(1);
                let failed = serde_json::json!({ "error": error, "errorMessage": message });
                write!(json, "{comma}{failed}")
            }
        };
    }
    let _ = write!(json, "],\"failures\":{failures}}}");
    json
}

/// Times as text. Messages that were published together have the same time, and writing the time
/// takes longer than the rest.
#[derive(Default)]
pub(super) struct TimeText {
    time: Option<TimeMs>,
    text: String,
}

impl TimeText {
    pub(super) fn of(&mut self, time: TimeMs) -> &str {
        if self.time.replace(time) != Some(time) {
            self.text = time.to_string();
        }
        &self.text
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
    /// The last committed offset of each partition, for `AT_OFFSETS`.
    pub(super) offsets: Option<BTreeMap<String, u64>>,
}

/// The answer of operations that return a cursor.
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
    /// Not OCI's: where the group goes on, which a group that has committed nothing since it was
    /// created or moved can't tell otherwise.
    next_offset: u64,
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
                next_offset: reservation.next,
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

/// Reads a body. Unknown members are ignored, as Oracle ignores them.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(ApiError::unparsable)
}

/// Appends bytes as a JSON text of base64.
pub(super) fn push_base64(json: &mut Vec<u8>, bytes: &[u8]) {
    json.push(b'"');
    let start = json.len();
    json.resize(
        start.saturating_add(bytes.len().div_ceil(3).saturating_mul(4)),
        0,
    );
    let room = json.get_mut(start..).unwrap_or_default();
    let length = BASE64.encode_slice(bytes, room).unwrap_or(0);
    json.truncate(start.saturating_add(length));
    json.push(b'"');
}
