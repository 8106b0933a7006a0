//! What moves streams and groups to a stream server of ours: GetGroup, and two requests that OCI
//! Streaming doesn't have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::messages::{PutMessageDetails, PutMessagesDetails, Start, body, json, path};
use super::{Call, StreamClient, StreamError};
use crate::limits::ERROR_CHARS_MAX;
use crate::text;

/// A message to publish as it is: its key and its value.
pub type Piece<'a> = (Option<&'a [u8]>, &'a [u8]);

/// What became of a message: its offset, or why it has none.
pub type Placed = Result<u64, String>;

/// One partition of a group (GetGroup's `reservations`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The partition's number.
    pub partition: String,
    /// The last offset that was committed.
    pub committed_offset: Option<u64>,
    /// Where the group goes on, which stream servers of ours tell.
    pub next_offset: Option<u64>,
    /// The instance that reads it now.
    pub reserved_instance: Option<String>,
}

impl StreamClient {
    /// Asks GetGroup for the partitions of a group; `None` if there is no such group.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn group(
        &self,
        stream: &str,
        group: &str,
    ) -> Result<Option<Vec<Reservation>>, StreamError> {
        #[derive(Deserialize)]
        struct Group {
            reservations: Vec<Reservation>,
        }
        let operation = "GetGroup";
        let call = Call {
            operation,
            method: "GET",
            path: group_path(stream, group),
            body: Rc::default(),
            paced: Some(operation.to_owned()),
        };
        match self.perform(&call) {
            Ok(answer) => json::<Group>(operation, &answer).map(|group| Some(group.reservations)),
            Err(StreamError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a stream of this client is the very one that another client calls `other`:
    /// nobody else can read its cursors.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn is_stream_of(
        &self,
        stream: &str,
        (there, other): (&Self, &str),
    ) -> Result<bool, StreamError> {
        let cursor = there.cursor(other, 0, Start::TrimHorizon)?;
        match self.messages(stream, 0, &cursor, 1) {
            Ok(_) => Ok(true),
            Err(StreamError::Refused {
                status: 400 | 404, ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves a group to where its last commits are at these offsets, by partition. Stream servers
    /// of ours do that, OCI Streaming doesn't.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn place_group(
        &self,
        stream: &str,
        group: &str,
        committed: &BTreeMap<u32, u64>,
    ) -> Result<(), StreamError> {
        #[derive(Serialize)]
        struct Details<'a> {
            r#type: &'static str,
            offsets: &'a BTreeMap<u32, u64>,
        }
        let details = Details {
            r#type: "AT_OFFSETS",
            offsets: committed,
        };
        let call = Call {
            operation: "UpdateGroup",
            method: "PUT",
            path: group_path(stream, group),
            body: body(&details),
            paced: Some("UpdateGroup".to_owned()),
        };
        self.perform(&call).map(drop)
    }

    /// Publishes messages into one partition, and never twice: a request without an answer is not
    /// repeated. Stream servers of ours do that, OCI Streaming doesn't.
    ///
    /// # Errors
    /// [`StreamError`], if nothing is known of any message.
    pub fn put_into(
        &self,
        stream: &str,
        partition: u32,
        messages: &[Piece<'_>],
    ) -> Result<Vec<Placed>, StreamError> {
        let details = |(key, value): &Piece<'_>| PutMessageDetails {
            key: key.map(|key| Cow::Owned(BASE64.encode(key))),
            value: BASE64.encode(value),
        };
        let messages: Vec<_> = messages.iter().map(details).collect();
        let count = messages.len();
        let operation = "PutMessages";
        let call = Call {
            operation,
            method: "POST",
            path: path(stream, &format!("/partitions/{partition}/messages")),
            body: body(&PutMessagesDetails { messages }),
            paced: None,
        };
        let answer = self.send(&call)?;
        let entries = entries(&answer.body, partition)
            .map_err(|problem| StreamError::Foreign { operation, problem })?;
        if entries.len() == count {
            return Ok(entries);
        }
        let problem = format!("{} entries for {count} messages", entries.len());
        Err(StreamError::Foreign { operation, problem })
    }
}

fn group_path(stream: &str, group: &str) -> String {
    let group = utf8_percent_encode(group, NON_ALPHANUMERIC);
    path(stream, &format!("/groups/{group}"))
}

/// Reads what became of messages of one partition.
fn entries(answer: &[u8], partition: u32) -> Result<Vec<Placed>, String> {
    #[derive(Deserialize)]
    struct PutMessagesResult {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        partition: Option<String>,
        offset: Option<u64>,
        error: Option<String>,
        error_message: Option<String>,
    }
    let result: PutMessagesResult =
        serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let asked = partition.to_string();
    let placed = |entry: Entry| match (entry.offset, entry.error) {
        (Some(_), None) if entry.partition.as_deref() != Some(asked.as_str()) => {
            Err("it has put a message into another partition than it was asked to".to_owned())
        }
        (Some(offset), None) => Ok(Ok(offset)),
        (_, error) => {
            let error = error.unwrap_or_else(|| "not stored".to_owned());
            let said = format!("{error} {}", entry.error_message.unwrap_or_default());
            Ok(Err(text::line(said.trim(), ERROR_CHARS_MAX)))
        }
    };
    result.entries.into_iter().map(placed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_another_partition_are_refused() {
        let of = |partition: u32| {
            let answer = format!(
                r#"{{"entries":[{{"partition":"{partition}","offset":7,"timestamp":"t"}},
                {{"error":"ServiceUnavailable","errorMessage":"later"}}]}}"#
            );
            entries(answer.as_bytes(), 3)
        };
        assert_eq!(
            of(3),
            Ok(vec![Ok(7), Err("ServiceUnavailable later".to_owned())])
        );
        assert!(of(2).is_err());
        assert!(entries(b"[]", 3).is_err());
    }
}
