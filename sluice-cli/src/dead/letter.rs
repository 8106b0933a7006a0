//! One message of the dead stream: a letter, a part of one, a mark that one was redriven, or
//! something that nobody can read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::marks::Mark;
pub use super::position::Position;
use crate::call::Content;
use crate::limits::{ID_CHARS_MAX, PARTS_MAX};
use crate::moment;

/// What a message of the dead stream is.
#[derive(Debug)]
pub enum Entry {
    /// A whole letter.
    Letter(Letter),
    /// One of several messages of a letter.
    Part(Part),
    /// The mark of a letter that was redriven.
    Mark(Mark),
    /// Something else, and why.
    Unreadable(String),
}

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// All but the record.
    pub head: Head,
    /// Where its first message stands.
    pub position: Position,
    /// How many messages it takes.
    pub parts: u32,
    /// The call record, as the drain had read it; of any content.
    pub record: Vec<u8>,
}

/// A part of a letter whose record didn't fit into one message.
#[derive(Clone, Debug)]
pub struct Part {
    /// All but the record; the same in every part.
    pub head: Head,
    /// Which one, from 1 to `parts`.
    pub number: u32,
    /// Of how many.
    pub parts: u32,
    /// Its bytes of the record.
    pub bytes: Vec<u8>,
}

/// What a letter says besides the record.
#[derive(Clone, Debug)]
pub struct Head {
    /// The call id, 1 to 256 characters.
    pub id: String,
    /// Why the call died: `rejected`, `attempts_exhausted` and so on.
    pub reason: String,
    /// The reason in words, for people.
    pub detail: String,
    /// When it died; the time at which the Stream stored the message if the letter has none.
    pub dead_at: Option<Timestamp>,
    /// Partition and offset of the record.
    pub source: Option<(String, u64)>,
    /// The stream of the record.
    pub stream_id: Option<String>,
    /// The latest attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u64,
    /// When it ended, as the letter says.
    pub at: String,
    /// The status; `None` if there was no answer.
    pub status: Option<u64>,
    /// The start of the answer's content.
    pub excerpt: Option<Content>,
    /// What the gateway said if there was no answer.
    pub gateway: Option<String>,
}

impl Head {
    /// Returns how many attempts were made. The letter has only the latest ones, but their numbers
    /// go on.
    #[must_use]
    pub fn attempt_count(&self) -> u64 {
        self.attempts
            .iter()
            .map(|attempt| attempt.number)
            .max()
            .unwrap_or(0)
    }

    /// Returns the status of the last attempt; `None` if it had no answer, or if none was made.
    #[must_use]
    pub fn last_status(&self) -> Option<u64> {
        self.attempts.last()?.status
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(default = "first_version")]
    version: u64,
    #[serde(borrow)]
    redriven: Option<WireMark<'a>>,
    id: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    dead_at: Option<String>,
    partition: Option<String>,
    offset: Option<u64>,
    stream_id: Option<String>,
    #[serde(borrow)]
    attempts: Option<&'a RawValue>,
    part: Option<u32>,
    parts: Option<u32>,
    #[serde(borrow)]
    call: Option<&'a RawValue>,
    #[serde(borrow)]
    record_base64: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMark<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    partition: Cow<'a, str>,
    offset: u64,
    #[serde(borrow, default)]
    dead_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    at: Cow<'a, str>,
}

const fn first_version() -> u64 {
    1
}

impl Entry {
    /// Reads the message at `position`, which was stored at `stored_at`.
    #[must_use]
    pub fn parse(value: &[u8], position: Position, stored_at: Option<Timestamp>) -> Self {
        read(value, position, stored_at).unwrap_or_else(Self::Unreadable)
    }
}

fn read(value: &[u8], position: Position, stored_at: Option<Timestamp>) -> Result<Entry, String> {
    let wire: Wire<'_> =
        serde_json::from_slice(value).map_err(|error| format!("no dead letter: {error}"))?;
    if wire.version != 1 {
        return Err(format!(
            "version {} is not supported; this tool reads 1",
            wire.version
        ));
    }
    if let Some(mark) = &wire.redriven {
        return read_mark(mark).ok_or_else(|| "a mark that names no letter".to_owned());
    }
    let (parts, number) = (wire.parts, wire.part);
    let record = match (wire.call, &wire.record_base64) {
        (Some(call), None) => call.get().as_bytes().to_vec(),
        (None, Some(encoded)) => BASE64
            .decode(encoded.as_bytes())
            .map_err(|error| format!("recordBase64 is not base64: {error}"))?,
        (Some(_), Some(_)) => return Err("both call and recordBase64".to_owned()),
        (None, None) => return Err("no dead letter: neither call nor recordBase64".to_owned()),
    };
    let head = read_head(wire, stored_at)?;
    match (number, parts) {
        (None, None) => Ok(Entry::Letter(Letter {
            head,
            position,
            parts: 1,
            record,
        })),
        (Some(number), Some(parts)) if (1..=parts).contains(&number) && parts <= PARTS_MAX => {
            Ok(Entry::Part(Part {
                head,
                number,
                parts,
                bytes: record,
            }))
        }
        _ => Err(format!(
            "part and parts don't count from 1 to {PARTS_MAX} at most"
        )),
    }
}

fn read_mark(mark: &WireMark<'_>) -> Option<Entry> {
    let letter = Position {
        partition: mark.partition.parse().ok()?,
        offset: mark.offset,
    };
    let dead_at = match &mark.dead_at {
        Some(text) => Some(moment::parse(text)?),
        None => None,
    };
    (1..=ID_CHARS_MAX)
        .contains(&mark.id.chars().count())
        .then_some(())?;
    Some(Entry::Mark(Mark {
        id: mark.id.clone().into_owned(),
        letter,
        dead_at,
        at: moment::parse(&mark.at)?,
    }))
}

fn read_head(wire: Wire<'_>, stored_at: Option<Timestamp>) -> Result<Head, String> {
    let id = wire.id.ok_or("no dead letter: it has no id")?;
    if id.is_empty() || id.chars().count() > ID_CHARS_MAX {
        return Err(format!("its id has not 1 to {ID_CHARS_MAX} characters"));
    }
    let attempts = wire.attempts.map(RawValue::get);
    let attempts = attempts.and_then(|raw| serde_json::from_str::<Vec<Value>>(raw).ok());
    Ok(Head {
        id,
        reason: wire.reason.unwrap_or_default(),
        detail: wire.detail.unwrap_or_default(),
        dead_at: wire
            .dead_at
            .as_deref()
            .and_then(moment::parse)
            .or(stored_at),
        source: wire.partition.zip(wire.offset),
        stream_id: wire.stream_id,
        attempts: attempts
            .unwrap_or_default()
            .iter()
            .map(read_attempt)
            .collect(),
    })
}

fn read_attempt(value: &Value) -> Attempt {
    let text = |name| value.get(name).and_then(Value::as_str);
    let number = |name| value.get(name).and_then(Value::as_u64);
    let excerpt = match (text("excerpt"), text("excerptBase64")) {
        (Some(text), _) => Some(Content::Text(text.to_owned())),
        (None, Some(encoded)) => BASE64.decode(encoded).ok().map(Content::new),
        (None, None) => None,
    };
    Attempt {
        number: number("attempt").unwrap_or(0),
        at: text("at").unwrap_or_default().to_owned(),
        status: number("status"),
        excerpt,
        gateway: text("gateway").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        partition: 2,
        offset: 9,
    };

    fn parse(json: &str) -> Entry {
        Entry::parse(json.as_bytes(), AT, moment::parse("2026-11-23T00:00:00Z"))
    }

    fn letter(json: &str) -> Letter {
        let Entry::Letter(letter) = parse(json) else {
            panic!("something else")
        };
        letter
    }

    #[test]
    fn a_letter_of_the_filter_is_read() {
        let letter = letter(
            r#"{"version":1,"id":"c1","reason":"rejected","detail":"404","deadAt":
            "2026-11-23T04:36:00.123Z","partition":"1","offset":5,"streamId":"ocid1.stream.x",
            "attempts":[{"attempt":3,"at":"t","status":503,"excerpt":"busy"},
            {"attempt":4,"at":"u","excerptBase64":"/w=="}],"call":{"path":"/", "n":1.50}}"#,
        );
        assert_eq!(letter.record, br#"{"path":"/", "n":1.50}"#);
        let head = letter.head;
        assert_eq!((head.id.as_str(), head.attempt_count()), ("c1", 4));
        assert_eq!(head.last_status(), None);
        assert_eq!(head.source, Some(("1".to_owned(), 5)));
        assert_eq!(head.dead_at, moment::parse("2026-11-23T04:36:00.123Z"));
        assert_eq!(
            head.attempts[0].excerpt,
            Some(Content::Text("busy".to_owned()))
        );
        assert_eq!(head.attempts[1].excerpt, Some(Content::Binary(vec![0xff])));
    }

    #[test]
    fn what_a_letter_lacks_is_left_empty() {
        let letter = letter(r#"{"id":"c1","attempts":[7,{}],"recordBase64":"/3s="}"#);
        assert_eq!(letter.record, [0xff, b'{']);
        assert_eq!(letter.head.dead_at, moment::parse("2026-11-23T00:00:00Z"));
        assert_eq!(letter.head.attempts.len(), 2);
    }

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let at = moment::parse("2026-11-23T04:36:00.123Z").unwrap();
        let mut mark = Mark {
            id: "c\"1".to_owned(),
            letter: AT,
            dead_at: moment::parse("2026-11-22T00:00:00.5Z"),
            at,
        };
        let text = concat!(
            r#"{"version":1,"redriven":{"id":"c\"1","partition":"2","offset":9,"#,
            r#""deadAt":"2026-11-22T00:00:00.500Z","at":"2026-11-23T04:36:00.123Z"}}"#
        );
        assert_eq!(String::from_utf8(mark.json()).unwrap(), text);
        let is_read = |text: &str, mark: &Mark| {
            let entry = parse(text);
            matches!(&entry, Entry::Mark(read) if read == mark)
        };
        assert!(is_read(text, &mark));
        mark.dead_at = None;
        let earlier = concat!(
            r#"{"version":1,"redriven":{"id":"c\"1","partition":"2","offset":9,"#,
            r#""at":"2026-11-23T04:36:00.123Z"}}"#
        );
        assert!(is_read(earlier, &mark));
    }

    #[test]
    fn rubbish_is_said_to_be_unreadable() {
        let long = format!(r#"{{"id":"{}","call":{{}}}}"#, "x".repeat(257));
        for json in [
            "",
            "rubbish",
            "7",
            "[]",
            "{}",
            r#"{"id":"c1"}"#,
            r#"{"call":{}}"#,
            r#"{"id":"","call":{}}"#,
            r#"{"id":7,"call":{}}"#,
            r#"{"id":"c1","call":{},"recordBase64":""}"#,
            r#"{"id":"c1","recordBase64":"%"}"#,
            r#"{"version":2,"id":"c1","call":{}}"#,
            r#"{"id":"c1","part":3,"parts":2,"recordBase64":""}"#,
            r#"{"id":"c1","part":0,"parts":2,"recordBase64":""}"#,
            r#"{"id":"c1","part":1,"parts":4000000000,"recordBase64":""}"#,
            r#"{"id":"c1","part":1,"recordBase64":""}"#,
            r#"{"redriven":{"id":"c","partition":"x","offset":1,"at":"2026-11-23T00:00:00Z"}}"#,
            r#"{"redriven":{"id":"","partition":"1","offset":1,"at":"2026-11-23T00:00:00Z"}}"#,
            &long,
        ] {
            assert!(matches!(parse(json), Entry::Unreadable(_)), "{json}");
        }
        assert!(matches!(
            Entry::parse(b"\xff\xfe", AT, None),
            Entry::Unreadable(_)
        ));
    }
}
