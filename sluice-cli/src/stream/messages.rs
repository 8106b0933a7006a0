//! The JSON of GetStream, CreateCursor, GetMessages and PutMessages.

use std::borrow::Cow;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Answer, BASE_PATH, Call, Page, StreamClient, StreamError};
use crate::dead::letter::Position;
use crate::limits::{ERROR_CHARS_MAX, PARTITIONS_MAX};
use crate::moment;
use crate::text;

/// One message of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it stands.
    pub position: Position,
    /// The key, decoded.
    pub key: Option<Vec<u8>>,
    /// When the Stream stored it.
    pub stored_at: Option<Timestamp>,
    /// The value, decoded.
    pub value: Vec<u8>,
}

/// One message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The key in base64; the Stream spreads messages without one over its partitions.
    pub key: Option<String>,
    /// The value, not encoded yet.
    pub value: Vec<u8>,
}

impl Outgoing {
    /// Returns the bytes that count against OCI's limit of a request: key and value, decoded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Four characters of base64 are at most three bytes.
        let key = self
            .key
            .as_ref()
            .map_or(0, |key| key.len().div_ceil(4).saturating_mul(3));
        self.value.len().saturating_add(key)
    }
}

/// What GetStream tells of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFacts {
    /// Number of partitions.
    pub partitions: u32,
    /// How long messages are kept, in hours.
    pub retention_in_hours: Option<u32>,
}

/// Where a partition cursor begins (CreateCursor's `type`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    TrimHorizon,
    AtOffset(u64),
    AfterOffset(u64),
}

#[derive(Serialize)]
struct CreateCursorDetails {
    partition: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct PutMessagesDetails<'a> {
    pub(super) messages: Vec<PutMessageDetails<'a>>,
}

#[derive(Serialize)]
pub(super) struct PutMessageDetails<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) value: String,
}

impl StreamClient {
    /// Asks GetStream how many partitions the stream has.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn partitions(&self, stream: &str) -> Result<u32, StreamError> {
        Ok(self.facts(stream)?.partitions)
    }

    /// Asks GetStream what the stream is like.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn facts(&self, stream: &str) -> Result<StreamFacts, StreamError> {
        let call = Call {
            operation: "GetStream",
            method: "GET",
            path: path(stream, ""),
            body: Rc::default(),
            paced: Some("GetStream".to_owned()),
        };
        let stream: StreamFacts = json("GetStream", &self.perform(&call)?)?;
        if stream.partitions > PARTITIONS_MAX {
            let problem = format!("{} partitions", stream.partitions);
            return Err(StreamError::Foreign {
                operation: "GetStream",
                problem,
            });
        }
        Ok(stream)
    }

    /// Asks CreateCursor for a cursor.
    pub(super) fn cursor(
        &self,
        stream: &str,
        partition: u32,
        start: Start,
    ) -> Result<String, StreamError> {
        #[derive(Deserialize)]
        struct Cursor {
            value: String,
        }
        let (kind, offset) = match start {
            Start::TrimHorizon => ("TRIM_HORIZON", None),
            Start::AtOffset(offset) => ("AT_OFFSET", Some(offset)),
            Start::AfterOffset(offset) => ("AFTER_OFFSET", Some(offset)),
        };
        let partition = partition.to_string();
        let details = CreateCursorDetails {
            partition,
            r#type: kind,
            offset,
        };
        let call = Call {
            operation: "CreateCursor",
            method: "POST",
            path: path(stream, "/cursors"),
            body: body(&details),
            paced: Some("CreateCursor".to_owned()),
        };
        json::<Cursor>("CreateCursor", &self.perform(&call)?).map(|cursor| cursor.value)
    }

    /// Asks GetMessages for messages of `partition` from a cursor on.
    pub(super) fn messages(
        &self,
        stream: &str,
        partition: u32,
        cursor: &str,
        limit: usize,
    ) -> Result<Page, StreamError> {
        let operation = "GetMessages";
        let cursor = utf8_percent_encode(cursor, NON_ALPHANUMERIC);
        let call = Call {
            operation,
            method: "GET",
            path: path(stream, &format!("/messages?cursor={cursor}&limit={limit}")),
            body: Rc::default(),
            paced: Some(format!("{operation} {stream} {partition}")),
        };
        let answer = self.perform(&call)?;
        let messages = read_messages(&answer.body, partition);
        let foreign = |problem| StreamError::Foreign { operation, problem };
        let messages = messages.map_err(foreign)?;
        let offsets = answer.offsets.as_deref().map(str::parse).transpose();
        let offsets = offsets.map_err(foreign)?;
        let next = answer.next_cursor.ok_or_else(|| {
            let problem = "it has no opc-next-cursor".to_owned();
            StreamError::Foreign { operation, problem }
        })?;
        Ok(Page {
            messages,
            next,
            offsets,
        })
    }

    /// Returns the message at a place; `None` if it is gone.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn message_at(
        &self,
        stream: &str,
        position: Position,
    ) -> Result<Option<Message>, StreamError> {
        let start = Start::AtOffset(position.offset);
        let cursor = match self.cursor(stream, position.partition, start) {
            // Retention has taken it.
            Err(StreamError::Refused { status: 400, .. }) => return Ok(None),
            other => other?,
        };
        let page = self.messages(stream, position.partition, &cursor, 1)?;
        Ok(page
            .messages
            .into_iter()
            .find(|message| message.position == position))
    }

    /// Stores messages by PutMessages. Returns for each one, in order, whether it is stored or why
    /// it isn't.
    ///
    /// # Errors
    /// [`StreamError`], if nothing is known of any message.
    pub fn put(
        &self,
        stream: &str,
        messages: &[&Outgoing],
    ) -> Result<Vec<Result<(), String>>, StreamError> {
        let operation = "PutMessages";
        let mut details = Vec::with_capacity(messages.len());
        for message in messages {
            let value = BASE64.encode(&message.value);
            details.push(PutMessageDetails {
                key: message.key.as_deref().map(Cow::Borrowed),
                value,
            });
        }
        let call = Call {
            operation,
            method: "POST",
            path: path(stream, "/messages"),
            body: body(&PutMessagesDetails { messages: details }),
            // OCI limits bytes here, not requests.
            paced: None,
        };
        let answer = self.perform(&call)?;
        let entries = read_entries(&answer)?;
        if entries.len() == messages.len() {
            Ok(entries)
        } else {
            let problem = format!("{} entries for {} messages", entries.len(), messages.len());
            Err(StreamError::Foreign { operation, problem })
        }
    }
}

pub(super) fn path(stream: &str, rest: &str) -> String {
    format!("{BASE_PATH}/streams/{stream}{rest}")
}

pub(super) fn body(details: &impl Serialize) -> Rc<Vec<u8>> {
    // This can't fail: there are only strings and numbers in it.
    Rc::new(serde_json::to_vec(details).unwrap_or_default())
}

pub(super) fn json<T: DeserializeOwned>(
    operation: &'static str,
    answer: &Answer,
) -> Result<T, StreamError> {
    serde_json::from_slice(&answer.body).map_err(|error| StreamError::Foreign {
        operation,
        problem: error.to_string(),
    })
}

fn read_entries(answer: &Answer) -> Result<Vec<Result<(), String>>, StreamError> {
    #[derive(Deserialize)]
    struct PutMessagesResult {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        offset: Option<u64>,
        error: Option<String>,
        error_message: Option<String>,
    }
    let result: PutMessagesResult = json("PutMessages", answer)?;
    let entry = |entry: Entry| match entry.offset {
        Some(_) if entry.error.is_none() => Ok(()),
        _ => {
            let error = entry.error.unwrap_or_else(|| "not stored".to_owned());
            let message = entry.error_message.unwrap_or_default();
            Err(text::line(
                format!("{error} {message}").trim(),
                ERROR_CHARS_MAX,
            ))
        }
    };
    Ok(result.entries.into_iter().map(entry).collect())
}

fn read_messages(body: &[u8], partition: u32) -> Result<Vec<Message>, String> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        offset: u64,
        #[serde(borrow)]
        key: Option<Cow<'a, str>>,
        #[serde(borrow)]
        value: Cow<'a, str>,
        #[serde(borrow)]
        timestamp: Option<Cow<'a, str>>,
    }
    let messages: Vec<Wire<'_>> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let message = |wire: Wire<'_>| {
        let offset = wire.offset;
        let decode = |text: &Cow<'_, str>| {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map_err(|error| format!("offset {offset}: {error}"))
        };
        Ok(Message {
            position: Position { partition, offset },
            key: wire.key.as_ref().map(decode).transpose()?,
            stored_at: wire.timestamp.as_deref().and_then(moment::parse),
            value: decode(&wire.value)?,
        })
    };
    messages.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            next_cursor: None,
            offsets: None,
            body: body.into(),
        }
    }

    #[test]
    fn entries_say_what_is_stored() {
        let entries = read_entries(&answer(
            r#"{"failures":1,"entries":[{"partition":"0","offset":7,"timestamp":"t"},
            {"error":"TooManyRequests","errorMessage":"slow\u001b"},{}]}"#,
        ))
        .unwrap();
        assert_eq!(
            entries,
            [
                Ok(()),
                Err("TooManyRequests slow\\u{1b}".to_owned()),
                Err("not stored".to_owned())
            ]
        );
        assert!(read_entries(&answer("[]")).is_err());
    }

    #[test]
    fn torn_and_foreign_messages_are_refused() {
        let good = r#"[{"stream":"s","partition":"0","key":null,"value":"YQ==","offset":3,
            "timestamp":"2026-11-23T04:36:00.000Z"}]"#;
        let messages = read_messages(good.as_bytes(), 1).unwrap();
        assert_eq!(
            (&messages[0].key, &messages[0].value[..]),
            (&None, &b"a"[..])
        );
        assert_eq!(
            messages[0].position,
            Position {
                partition: 1,
                offset: 3
            }
        );
        for bad in [
            "",
            "<html>",
            "[{",
            r#"[{"offset":1,"value":"%"}]"#,
            r#"[{"value":""}]"#,
        ] {
            assert!(read_messages(bad.as_bytes(), 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_counts_against_the_size_of_a_request() {
        let key = Some("YWI=".to_owned());
        assert_eq!(
            Outgoing {
                key,
                value: vec![0; 5]
            }
            .bytes(),
            8
        );
    }
}
