//! PutMessages: many records in one request, and an answer for each of them.

use base64_simd::STANDARD as BASE64;
use serde::Deserialize;

use super::StreamClient;
use crate::http::OutgoingRequest;
use crate::id::Position;

/// The body of a PutMessages request while it grows. The Stream spreads records without a key over
/// its partitions. Records with the same key are in the same partition, in their order.
#[derive(Debug, Default)]
pub struct PutBody {
    json: Vec<u8>,
    records: usize,
    bytes: usize,
}

impl PutBody {
    /// Returns the number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Returns the bytes of the records and their keys, before base64, which the Stream limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record at the end. Its key has 1 to 256 bytes.
    pub fn push(&mut self, key: Option<&str>, record: &[u8]) {
        let separator: &[u8] = if self.json.is_empty() {
            b"{\"messages\":["
        } else {
            b","
        };
        self.json.extend_from_slice(separator);
        self.json.push(b'{');
        if let Some(key) = key {
            self.json.extend_from_slice(b"\"key\":\"");
            BASE64.encode_append(key.as_bytes(), &mut self.json);
            self.json.extend_from_slice(b"\",");
        }
        self.json.extend_from_slice(b"\"value\":\"");
        BASE64.encode_append(record, &mut self.json);
        self.json.extend_from_slice(b"\"}");
        self.records += 1;
        self.bytes += record.len() + key.map_or(0, str::len);
    }
}

impl StreamClient {
    /// Returns the request PutMessages, which stores all records of `body`.
    #[must_use]
    pub fn put_messages(&self, body: PutBody) -> OutgoingRequest {
        let mut json = body.json;
        json.extend_from_slice(b"]}");
        self.request("POST", "/messages", json)
    }
}

/// The error of a record that the Stream may have stored: that of a whole answer with status 500.
const STREAM_IN_TROUBLE: &str = "InternalServerError";

/// What happened to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutEntry {
    /// The Stream has stored it.
    Stored(Position),
    /// The Stream has refused it, for this reason, and hasn't stored it.
    Failed(String),
    /// Nobody knows whether the Stream has stored it, for this reason.
    Unknown(String),
}

/// Reads the answer to PutMessages for `records` records.
///
/// # Errors
/// What is wrong with the answer. It is unknown then which records are stored.
pub fn parse_put_answer(body: &[u8], records: usize) -> Result<Vec<PutEntry>, String> {
    let answer: PutAnswer = serde_json::from_slice(body).map_err(|error| {
        format!("the answer to PutMessages is not a PutMessagesResult: {error}")
    })?;
    if answer.entries.len() != records {
        let entries = answer.entries.len();
        return Err(format!(
            "the answer to PutMessages has {entries} entries for {records}"
        ));
    }
    Ok(answer.entries.into_iter().map(WireEntry::checked).collect())
}

#[derive(Deserialize)]
struct PutAnswer {
    entries: Vec<WireEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEntry {
    partition: Option<String>,
    offset: Option<u64>,
    error: Option<String>,
    error_message: Option<String>,
}

impl WireEntry {
    fn checked(self) -> PutEntry {
        let partition = self.partition.as_deref().and_then(|text| text.parse().ok());
        match (self.error, partition, self.offset) {
            (None, Some(partition), Some(offset)) => {
                PutEntry::Stored(Position { partition, offset })
            }
            (Some(error), _, _) => {
                let message = self.error_message.unwrap_or_default();
                let why = format!("{error}: {message}");
                match error == STREAM_IN_TROUBLE {
                    true => PutEntry::Unknown(why),
                    false => PutEntry::Failed(why),
                }
            }
            _ => PutEntry::Unknown("the Stream gave neither offset nor error".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_in_base64() {
        let mut body = PutBody::default();
        body.push(None, b"{}");
        body.push(Some("k"), b"abc");
        assert_eq!((body.records(), body.bytes()), (2, 6));
        let request = StreamClient::new("h", "s").put_messages(body);
        assert_eq!(
            request.body.as_slice(),
            br#"{"messages":[{"value":"e30="},{"key":"aw==","value":"YWJj"}]}"#
        );
    }

    #[test]
    fn every_record_has_its_own_answer() {
        let answer = br#"{"failures":1,"entries":[
            {"partition":"3","offset":7,"timestamp":"2026-11-23T04:36:00.000Z"},
            {"error":"TooManyRequests","errorMessage":"slow down"},
            {"error":"InternalServerError","errorMessage":"who knows"},
            {"partition":"x","offset":1}]}"#;
        assert_eq!(
            parse_put_answer(answer, 4).unwrap(),
            [
                PutEntry::Stored(Position {
                    partition: 3,
                    offset: 7
                }),
                PutEntry::Failed("TooManyRequests: slow down".to_owned()),
                PutEntry::Unknown("InternalServerError: who knows".to_owned()),
                PutEntry::Unknown("the Stream gave neither offset nor error".to_owned()),
            ]
        );
        assert!(
            parse_put_answer(answer, 2)
                .unwrap_err()
                .contains("4 entries for 2")
        );
        assert!(parse_put_answer(b"<html>", 2).is_err());
    }
}
