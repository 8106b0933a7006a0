//! Step 2d: what is kept of a call that is given up.
//!
//! A dead letter is one message on the dead stream: the whole record, why it died, and the history
//! of its attempts. If the record is so large that the letter would not fit into one message, it is
//! split over several. Their `part` and `parts` tell how to put it together.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::id::Position;
use crate::limits::{DEAD_LETTER_PART_BYTES, PUT_BYTES_MAX};
use crate::metric::Metric;
use crate::record::progress::PastAttempt;

/// Why a call is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target has refused it for good.
    Rejected,
    /// All attempts have failed.
    AttemptsExhausted,
    /// It is too old.
    Expired,
    /// Its target or reply address is not allowed.
    Denied,
    /// The record can't be understood.
    UnreadableRecord,
    /// Too many calls with order keys are away, most of them with the key of this call.
    TooManyWaiting,
    /// The Stream refuses to store the call again, or its reply.
    Unstorable,
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Reason {
    /// Returns its name in dead letters and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::UnreadableRecord => "unreadable_record",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Unstorable => "unstorable",
        }
    }

    /// Returns the counter of this reason.
    #[must_use]
    pub const fn metric(self) -> Metric {
        match self {
            Self::Rejected => Metric::DeadRejected,
            Self::AttemptsExhausted => Metric::DeadExhausted,
            Self::Expired => Metric::DeadExpired,
            Self::Denied => Metric::DeadDenied,
            Self::UnreadableRecord => Metric::DeadUnreadable,
            Self::TooManyWaiting => Metric::DeadTooMany,
            Self::Unstorable => Metric::DeadUnstorable,
        }
    }
}

/// A call that is given up.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// The call id.
    pub id: &'a str,
    /// Why.
    pub reason: Reason,
    /// The reason in words, for people.
    pub detail: &'a str,
    /// When it was given up, RFC 3339.
    pub dead_at: &'a str,
    /// OCID of the stream on which the record stood.
    pub stream_id: &'a str,
    /// Where it stood there.
    pub source: Position,
    /// The latest attempts.
    pub attempts: &'a [PastAttempt],
    /// The record, as it was read.
    pub record: &'a [u8],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    version: u32,
    id: &'a str,
    reason: Reason,
    detail: &'a str,
    dead_at: &'a str,
    stream_id: &'a str,
    partition: String,
    offset: u64,
    attempts: &'a [PastAttempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    /// The record where it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a RawValue>,
    /// The record, or a part of it, if it isn't JSON or doesn't fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

impl DeadLetter<'_> {
    /// Returns the messages of this letter, each within the Stream's limit; nearly always one.
    #[must_use]
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let json = readable_json(self.record);
        let whole = self.wire(json, json.is_none().then_some(self.record), None);
        if whole.len() <= PUT_BYTES_MAX {
            return vec![whole];
        }
        let parts: Vec<&[u8]> = self.record.chunks(DEAD_LETTER_PART_BYTES).collect();
        let count = parts.len();
        let part = |(index, part)| self.wire(None, Some(part), Some((index + 1, count)));
        parts.into_iter().enumerate().map(part).collect()
    }

    fn wire(
        &self,
        call: Option<&RawValue>,
        record: Option<&[u8]>,
        part: Option<(usize, usize)>,
    ) -> Vec<u8> {
        let wire = Wire {
            version: 1,
            id: self.id,
            reason: self.reason,
            detail: self.detail,
            dead_at: self.dead_at,
            stream_id: self.stream_id,
            partition: self.source.partition.to_string(),
            offset: self.source.offset,
            attempts: self.attempts,
            part: part.map(|(part, _)| part),
            parts: part.map(|(_, parts)| parts),
            call,
            record_base64: record.map(|record| BASE64.encode(record)),
        };
        // Cannot fail: there are only strings, numbers and valid JSON in it.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

/// Returns the same letter without its record, for a Stream that refuses the whole letter; `None`
/// if the message is not a letter.
#[must_use]
pub fn without_record(message: &[u8], why: &str) -> Option<Vec<u8>> {
    let mut letter: Value = serde_json::from_slice(message).ok()?;
    let members = letter.as_object_mut()?;
    members.remove("call");
    members.insert("recordBase64".to_owned(), Value::from(""));
    let detail = members.get("detail").and_then(Value::as_str);
    let detail = detail.unwrap_or_default();
    let detail = format!("{detail}; the Stream refuses the letter with its record: {why}");
    members.insert("detail".to_owned(), Value::from(detail));
    // Excerpts of answers may be what the Stream refuses.
    let attempts = members.get_mut("attempts").and_then(Value::as_array_mut);
    for attempt in attempts.into_iter().flatten() {
        attempt
            .as_object_mut()
            .map(|attempt| attempt.remove("excerpt"));
    }
    serde_json::to_vec(&letter).ok()
}

/// Returns the record as JSON within a letter, if every reader of JSON can be expected to read it.
/// Other JSON may be nested too deeply, or contain half of a surrogate pair or an extremely large
/// number.
fn readable_json(record: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice::<Value>(record).ok()?;
    serde_json::from_slice(record).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn messages(record: &[u8]) -> Vec<Value> {
        let letter = DeadLetter {
            id: "c1",
            reason: Reason::Rejected,
            detail: "404",
            dead_at: "2026-11-23T04:36:00.123Z",
            stream_id: "calls",
            source: Position {
                partition: 1,
                offset: 5,
            },
            attempts: &[PastAttempt {
                attempt: 1,
                at: Wall(0),
                status: Some(404),
                excerpt: None,
                gateway: None,
            }],
            record,
        };
        let messages = letter.messages();
        assert!(
            messages
                .iter()
                .all(|message| message.len() <= PUT_BYTES_MAX)
        );
        messages
            .iter()
            .map(|message| serde_json::from_slice(message).unwrap())
            .collect()
    }

    #[test]
    fn a_letter_can_do_without_its_record() {
        let whole = messages(br#"{"path":"/"}"#).remove(0).to_string();
        let short = without_record(whole.as_bytes(), "400").unwrap();
        let short: Value = serde_json::from_slice(&short).unwrap();
        assert_eq!(short["recordBase64"], "");
        assert!(short.get("call").is_none());
        assert_eq!(short["id"], "c1");
        assert!(short["detail"].as_str().unwrap().ends_with(": 400"));
        assert_eq!(without_record(b"{", ""), None);
    }

    #[test]
    fn a_letter_holds_the_record_as_it_was() {
        let letters = messages(br#"{"path":"/","unknown":1.50}"#);
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0]["call"]["path"], "/");
        assert_eq!(letters[0]["reason"], "rejected");
        assert_eq!(letters[0]["attempts"][0]["status"], 404);
        assert_eq!(
            (&letters[0]["partition"], &letters[0]["offset"]),
            (&"1".into(), &5.into())
        );
    }

    #[test]
    fn what_is_no_json_is_kept_too() {
        let letters = messages(b"\xff{");
        assert_eq!(letters[0]["recordBase64"], "/3s=");
        assert!(letters[0].get("call").is_none());
    }

    #[test]
    fn what_some_readers_of_json_refuse_does_not_spoil_the_letter() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for record in [r#"{"path":"/\ud800"}"#, r#"{"path":1e999}"#, &deep] {
            let letters = messages(record.as_bytes());
            assert_eq!(letters[0]["recordBase64"], BASE64.encode(record));
        }
    }

    #[test]
    fn a_record_as_large_as_the_stream_allows_is_split() {
        for record in [vec![0xff; PUT_BYTES_MAX], {
            let mut json = vec![b' '; PUT_BYTES_MAX];
            json[0] = b'{';
            json[PUT_BYTES_MAX - 1] = b'}';
            json
        }] {
            let letters = messages(&record);
            assert_eq!(letters.len(), 2);
            let joined: Vec<u8> = letters
                .iter()
                .flat_map(|letter| {
                    BASE64
                        .decode(letter["recordBase64"].as_str().unwrap())
                        .unwrap()
                })
                .collect();
            assert_eq!(joined, record);
            assert_eq!(
                (&letters[1]["part"], &letters[1]["parts"]),
                (&2.into(), &2.into())
            );
        }
    }
}
