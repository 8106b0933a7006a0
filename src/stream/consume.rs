//! Consuming as a member of a group: CreateGroupCursor, GetMessages, ConsumerCommit,
//! ConsumerHeartbeat and UpdateGroup.

use std::time::Duration;

use base64_simd::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::{StreamClient, percent_encode};
use crate::http::{IncomingResponse, OutgoingRequest, first};
use crate::id::{Position, RecordId, StreamName};
use crate::time::millis;

/// The position of a group member. Only the Stream knows what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// One message of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place.
    pub position: Position,
    /// Its key, by which the Stream has chosen the partition; `None` if it has none.
    pub key: Option<Vec<u8>>,
    /// The record, decoded from base64.
    pub value: Vec<u8>,
    /// When the Stream stored it, RFC 3339.
    pub stored_at: String,
}

impl Message {
    /// Returns the id of the record, on the stream that it was read from.
    #[must_use]
    pub fn id(&self, source: StreamName) -> RecordId {
        RecordId::new(source, self.position, &self.stored_at)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateGroupCursorDetails<'a> {
    group_name: &'a str,
    instance_name: &'a str,
    r#type: &'static str,
    timeout_in_ms: u64,
    commit_on_get: bool,
}

impl StreamClient {
    /// Returns the request CreateGroupCursor, which joins `group` as `instance`. A new group starts
    /// at the oldest record; commits are explicit.
    #[must_use]
    pub fn create_group_cursor(
        &self,
        group: &str,
        instance: &str,
        timeout: Duration,
    ) -> OutgoingRequest {
        let details = CreateGroupCursorDetails {
            group_name: group,
            instance_name: instance,
            r#type: "TRIM_HORIZON",
            timeout_in_ms: millis(timeout),
            commit_on_get: false,
        };
        // This can't fail: there are only strings, numbers and booleans in it.
        self.request(
            "POST",
            "/groupCursors",
            serde_json::to_vec(&details).unwrap_or_default(),
        )
    }

    /// Returns the request UpdateGroup, which moves the whole group to the oldest record that the
    /// Stream keeps.
    #[must_use]
    pub fn move_group_to_oldest(&self, group: &str) -> OutgoingRequest {
        let path = format!("/groups/{}", percent_encode(group));
        self.request("PUT", &path, br#"{"type":"TRIM_HORIZON"}"#.to_vec())
    }

    /// Returns the request GetMessages, for at most `limit` messages from `cursor` on.
    #[must_use]
    pub fn get_messages(&self, cursor: &Cursor, limit: usize) -> OutgoingRequest {
        let cursor = percent_encode(&cursor.0);
        self.request(
            "GET",
            &format!("/messages?cursor={cursor}&limit={limit}"),
            Vec::new(),
        )
    }

    /// Returns the request ConsumerCommit, which says that everything before `cursor` is settled.
    #[must_use]
    pub fn consumer_commit(&self, cursor: &Cursor) -> OutgoingRequest {
        let cursor = percent_encode(&cursor.0);
        self.request("POST", &format!("/commit?cursor={cursor}"), Vec::new())
    }

    /// Returns the request ConsumerHeartbeat, which extends this member's reservations.
    #[must_use]
    pub fn consumer_heartbeat(&self, cursor: &Cursor) -> OutgoingRequest {
        let cursor = percent_encode(&cursor.0);
        self.request("POST", &format!("/heartbeat?cursor={cursor}"), Vec::new())
    }
}

/// Reads the answer to CreateGroupCursor, ConsumerCommit or ConsumerHeartbeat: a cursor.
///
/// # Errors
/// What is wrong with the answer.
pub fn parse_cursor(body: &[u8]) -> Result<Cursor, String> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    serde_json::from_slice::<Answer>(body)
        .map(|answer| Cursor(answer.value))
        .map_err(|error| format!("the answer has no cursor: {error}"))
}

/// Reads the answer to GetMessages: the messages, and where to go on.
///
/// # Errors
/// What is wrong with the answer. Nothing of it is used then.
pub fn parse_messages(response: &IncomingResponse) -> Result<(Vec<Message>, Cursor), String> {
    #[derive(Deserialize)]
    struct WireMessage<'a> {
        partition: String,
        offset: u64,
        #[serde(borrow, default)]
        key: Option<std::borrow::Cow<'a, str>>,
        #[serde(borrow)]
        value: std::borrow::Cow<'a, str>,
        timestamp: String,
    }
    let next = first(&response.headers, "opc-next-cursor")
        .and_then(|cursor| std::str::from_utf8(cursor).ok())
        .ok_or("the answer to GetMessages has no opc-next-cursor")?;
    let messages: Vec<WireMessage<'_>> = serde_json::from_slice(&response.body)
        .map_err(|error| format!("the answer to GetMessages is not a list of messages: {error}"))?;
    let messages = messages.into_iter().map(|message| {
        let partition = message
            .partition
            .parse()
            .map_err(|_| format!("partition {:?} is not a number", message.partition))?;
        let value = BASE64
            .decode_to_vec(message.value.as_bytes())
            .map_err(|_| format!("offset {}: the value is not base64", message.offset))?;
        let position = Position {
            partition,
            offset: message.offset,
        };
        // The drain needs no key that isn't base64, so such a key is no reason to refuse the
        // answer.
        let key = message.key.filter(|key| !key.is_empty());
        let key = key.and_then(|key| BASE64.decode_to_vec(key.as_bytes()).ok());
        // The cursor may end up in a field value.
        let fit = message
            .timestamp
            .bytes()
            .all(|byte| byte.is_ascii_graphic());
        let stored_at = if fit {
            message.timestamp
        } else {
            String::new()
        };
        Ok(Message {
            position,
            key,
            value,
            stored_at,
        })
    });
    Ok((
        messages.collect::<Result<_, String>>()?,
        Cursor(next.to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)], body: &str) -> IncomingResponse {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).into()))
            .collect();
        IncomingResponse {
            status: 200,
            headers,
            body: body.into(),
            body_bytes: body.len(),
        }
    }

    #[test]
    fn messages_come_with_the_next_cursor() {
        let answer = response(
            &[("opc-next-cursor", "bmV4dA==")],
            r#"[{"stream":"calls","partition":"2","key":null,"value":"YWJj","offset":9,
                 "timestamp":"2026-11-23T04:36:00.000Z"}]"#,
        );
        let (messages, next) = parse_messages(&answer).unwrap();
        let position = Position {
            partition: 2,
            offset: 9,
        };
        let stored_at = "2026-11-23T04:36:00.000Z".to_owned();
        assert_eq!(
            messages,
            [Message {
                position,
                key: None,
                value: b"abc".to_vec(),
                stored_at
            }]
        );
        assert_eq!(next, Cursor("bmV4dA==".to_owned()));
    }

    #[test]
    fn a_key_is_decoded_where_there_is_one() {
        let key = |member: &str| {
            let body = format!(
                r#"[{{"partition":"0",{member}"value":"YQ==","offset":1,"timestamp":"t"}}]"#
            );
            let answer = response(&[("opc-next-cursor", "next")], &body);
            parse_messages(&answer).unwrap().0.remove(0).key
        };
        assert_eq!(key(""), None);
        assert_eq!(key(r#""key":null,"#), None);
        assert_eq!(key(r#""key":"","#), None);
        assert_eq!(key(r#""key":"/wA=","#), Some(vec![0xff, 0]));
        assert_eq!(key(r#""key":"%%","#), None, "no key of ours");
    }

    #[test]
    fn torn_and_foreign_answers_are_refused() {
        let next = [("opc-next-cursor", "x")];
        for answer in [
            response(&[], "[]"),
            response(&next, "[{"),
            response(&next, "<html>"),
            response(&next, r#"[{"partition":"x","value":"","offset":1}]"#),
            response(&next, r#"[{"partition":"0","value":"%","offset":1}]"#),
            response(&next, r#"[{"partition":"0","value":"","offset":-1}]"#),
        ] {
            assert!(parse_messages(&answer).is_err(), "{answer:?}");
        }
        assert!(parse_cursor(b"{}").is_err());
    }

    #[test]
    fn cursors_are_encoded_into_the_query_once() {
        let client = StreamClient::new("h", "s");
        let request = client.get_messages(&Cursor("a+/=".to_owned()), 5);
        let path = b"/20180418/streams/s/messages?cursor=a%2B%2F%3D&limit=5".to_vec();
        assert!(request.headers.contains(&(":path".into(), path.into())));
    }
}
