//! A record on its way to another stream: the same record, except for what has happened to it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::limits::HOP_BYTES_MAX;
use crate::record::progress::Progress;

/// Members that a publisher may have left out and that would change on another stream.
#[derive(Clone, Copy, Debug)]
pub struct RecordIdentity<'a> {
    /// The call id.
    pub id: &'a str,
    /// When it was accepted, RFC 3339.
    pub accepted_at: &'a str,
}

/// Returns the record with this progress instead of its own, and with this identity if it has none.
/// Everything else stays exactly as it is, even members with unknown names. If the result is larger
/// than a message may be, the history loses its excerpts, then all of its entries. Returns `None`
/// if even that doesn't help.
#[must_use]
pub fn with_progress(
    record: &[u8],
    identity: &RecordIdentity<'_>,
    progress: &Progress,
) -> Option<Vec<u8>> {
    let members: Members<'_> = serde_json::from_slice(record).ok()?;
    let encode = |progress: &Progress| {
        let message = members.encode(identity, progress)?;
        (message.len() <= HOP_BYTES_MAX).then_some(message)
    };
    let mut bare = progress.clone();
    encode(progress)
        .or_else(|| {
            for attempt in &mut bare.history {
                attempt.excerpt = None;
                attempt.gateway = None;
            }
            encode(&bare)
        })
        .or_else(|| {
            bare.history.clear();
            encode(&bare)
        })
}

/// The members of a JSON object in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

const PROGRESS: &str = "progress";

impl Members<'_> {
    fn encode(&self, identity: &RecordIdentity<'_>, progress: &Progress) -> Option<Vec<u8>> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut json);
        let mut object = serializer.serialize_map(None).ok()?;
        for (name, value) in self.0.iter().filter(|(name, _)| name != PROGRESS) {
            object.serialize_entry(name, value).ok()?;
        }
        for (name, value) in [("id", identity.id), ("acceptedAt", identity.accepted_at)] {
            if !self.0.iter().any(|(member, _)| member == name) {
                object.serialize_entry(name, value).ok()?;
            }
        }
        object.serialize_entry(PROGRESS, progress).ok()?;
        object.end().ok()?;
        Some(json)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PUT_BYTES_MAX;

    const IDENTITY: RecordIdentity<'static> = RecordIdentity {
        id: "c1",
        accepted_at: "then",
    };

    fn progress(attempts: u32) -> Progress {
        Progress {
            attempts,
            ..Progress::default()
        }
    }

    #[test]
    fn only_the_progress_changes() {
        let record = r#"{"path":"/\u0061","id":"i","acceptedAt":"a","x":1.50,
            "progress":{"attempts":1},"body":"\"é"}"#;
        let record = record.as_bytes();
        let hopped =
            String::from_utf8(with_progress(record, &IDENTITY, &progress(2)).unwrap()).unwrap();
        let before = r#"{"path":"/\u0061","id":"i","acceptedAt":"a","x":1.50,"#;
        assert!(hopped.starts_with(before), "{hopped}");
        assert!(
            hopped.contains(r#""body":"\"é","progress":{"attempts":2"#),
            "{hopped}"
        );
        let first = with_progress(br#"{"path":"/"}"#, &IDENTITY, &progress(1)).unwrap();
        assert!(
            first.starts_with(
                br#"{"path":"/","id":"c1","acceptedAt":"then","progress":{"attempts":1"#
            )
        );
    }

    #[test]
    fn what_does_not_fit_loses_its_history_or_stays() {
        let record = |bytes: usize| {
            let body = "x".repeat(bytes);
            format!(r#"{{"path":"/","body":"{body}"}}"#).into_bytes()
        };
        let attempt = crate::record::progress::PastAttempt {
            attempt: 1,
            at: crate::time::Wall(0),
            status: Some(503),
            excerpt: Some("e".repeat(1_000)),
            gateway: Some("g".repeat(500)),
        };
        let full = Progress {
            history: vec![attempt; 20],
            ..progress(20)
        };
        let hopped = with_progress(&record(PUT_BYTES_MAX - 10_000), &IDENTITY, &full).unwrap();
        assert!(hopped.len() <= PUT_BYTES_MAX);
        let text = String::from_utf8(hopped).unwrap();
        assert!(
            text.contains(r#""status":503"#) && !text.contains("eeee") && !text.contains("gggg")
        );
        assert!(with_progress(&record(PUT_BYTES_MAX), &IDENTITY, &full).is_none());
        assert!(with_progress(b"[1]", &IDENTITY, &full).is_none());
    }
}
