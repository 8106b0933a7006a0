//! A call record, as far as this tool has to understand it: what it shows, what filters ask for,
//! and the record that goes back on the stream.
//!
//! The record is read member by member, and members that aren't needed are never interpreted. A
//! number such as `1.50`, the order of members and unknown members stay as they are.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// A call record: the members of a JSON object, in order, each value as it was written.
#[derive(Debug)]
pub struct Call<'a> {
    members: Vec<(String, &'a RawValue)>,
}

/// A part of the call, as text where it is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Binary(Vec<u8>),
}

impl Content {
    /// Returns text if the bytes are UTF-8 without NUL.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => Self::Binary(text.into_bytes()),
            Ok(text) => Self::Text(text),
            Err(error) => Self::Binary(error.into_bytes()),
        }
    }
}

impl<'a> Call<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// Why it is not a JSON object.
    pub fn parse(record: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice::<Members<'a>>(record)
            .map(|members| Self { members: members.0 })
            .map_err(|error| format!("the record is not a JSON object: {error}"))
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.members.iter();
        members
            .find(|member| member.0 == name)
            .map(|member| member.1)
    }

    /// Returns a member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    /// Returns the method; `GET` if the record has none, as the drain reads it.
    #[must_use]
    pub fn method(&self) -> String {
        self.text("method").unwrap_or_else(|| "GET".to_owned())
    }

    /// Returns what is called, for people: the explicit target, or authority and path, or the path
    /// alone.
    #[must_use]
    pub fn target(&self) -> String {
        if let Some(target) = self.text("target") {
            return target;
        }
        let path = self.text("path").unwrap_or_default();
        match self.text("authority") {
            Some(authority) => {
                let scheme = self.text("scheme").unwrap_or_else(|| "http".to_owned());
                format!("{scheme}://{authority}{path}")
            }
            None => path,
        }
    }

    /// Returns whether the call's target begins with `prefix`. Of an explicit target the whole URL
    /// counts; of any other call its URL, its authority and path, or, if the prefix begins with
    /// `/`, its path.
    #[must_use]
    pub fn target_begins_with(&self, prefix: &str) -> bool {
        if let Some(target) = self.text("target") {
            return target.starts_with(prefix);
        }
        let path = self.text("path").unwrap_or_default();
        let authority = self.text("authority").unwrap_or_default();
        path.starts_with(prefix)
            || format!("{authority}{path}").starts_with(prefix)
            || self.target().starts_with(prefix)
    }

    /// Returns name and value of each header, in order. Of a sealed value it says that it is
    /// sealed, and by which key.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Content)> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Text(String),
            Bytes { base64: String },
            Sealed { key: String },
        }
        let raw = self.raw("headers").map(RawValue::get);
        let headers = raw.and_then(|raw| serde_json::from_str::<Vec<(String, Value)>>(raw).ok());
        let header = |(name, value)| match value {
            Value::Text(text) => (name, Content::Text(text)),
            Value::Sealed { key } => (name, Content::Text(format!("(sealed by the key {key})"))),
            Value::Bytes { base64 } => {
                let bytes = BASE64.decode(&base64);
                (
                    name,
                    bytes.map_or_else(|_| Content::Text(base64), Content::Binary),
                )
            }
        };
        headers
            .unwrap_or_default()
            .into_iter()
            .map(header)
            .collect()
    }

    /// Returns the content; `None` if there is none.
    #[must_use]
    pub fn body(&self) -> Option<Content> {
        if let Some(text) = self.text("body") {
            return Some(Content::Text(text));
        }
        let encoded = self.text("bodyBase64")?;
        Some(match BASE64.decode(&encoded) {
            Ok(bytes) => Content::new(bytes),
            Err(_) => Content::Text(encoded),
        })
    }

    /// Returns the message key (base64) of the record: calls with one key stay in order. The bytes
    /// of the key are those of `orderKey`, as when the gateway publishes.
    ///
    /// # Errors
    /// Why the drain would refuse the key.
    pub fn order_key(&self) -> Result<Option<String>, String> {
        let Some(raw) = self.raw("orderKey").filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let key: Option<String> = serde_json::from_str(raw.get()).ok();
        let key = key.filter(|key| {
            let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
            is_visible && (1..=KEY_BYTES_MAX).contains(&key.len())
        });
        key.map(|key| Some(BASE64.encode(key))).ok_or_else(|| {
            format!("the record's orderKey isn't 1 to {KEY_BYTES_MAX} visible ASCII characters")
        })
    }

    /// Returns how often the call was redriven before.
    #[must_use]
    pub fn redrives(&self) -> u64 {
        #[derive(Deserialize)]
        struct Progress {
            redrives: u64,
        }
        let raw = self.raw("progress").map(RawValue::get);
        let progress = raw.and_then(|raw| serde_json::from_str::<Progress>(raw).ok());
        progress.map_or(0, |progress| progress.redrives)
    }

    /// Returns the record that goes back on the stream at `now` (RFC 3339): a new `progress`, no
    /// `deliverAt`, and everything else as it was. A record without an id of its own gets the
    /// letter's `id`, because otherwise the drain would name the call after its new place.
    ///
    /// # Errors
    /// Why the record doesn't fit into a message.
    pub fn redriven(&self, id: &str, now: &str) -> Result<Vec<u8>, String> {
        let mut record = String::from("{");
        let is_nameless = self.raw("id").is_none_or(|raw| raw.get() == "null");
        if is_nameless {
            record.push_str(&format!("\"id\":{},", serde_json::Value::from(id)));
        }
        for (name, value) in &self.members {
            let is_replaced =
                ["progress", "deliverAt"].contains(&name.as_str()) || (is_nameless && name == "id");
            if !is_replaced {
                let name = serde_json::Value::from(name.as_str());
                record.push_str(&format!("{name}:{},", value.get()));
            }
        }
        let redrives = self.redrives().saturating_add(1);
        let progress = serde_json::json!({ "since": now, "redrives": redrives });
        record.push_str(&format!("\"progress\":{progress}}}"));
        if record.len() > VALUE_BYTES_MAX {
            return Err(format!(
                "with its progress the record is {} bytes, and a message takes {VALUE_BYTES_MAX}",
                record.len()
            ));
        }
        Ok(record.into_bytes())
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'a> Visitor<'a> for MembersVisitor {
    type Value = Members<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redriven(record: &str) -> String {
        let record = Call::parse(record.as_bytes())
            .unwrap()
            .redriven("p0-o7", "NOW")
            .unwrap();
        String::from_utf8(record).unwrap()
    }

    #[test]
    fn a_redriven_record_is_the_same_but_for_progress_and_deliver_at() {
        assert_eq!(
            redriven(r#"{"id":"","n":1.50,"deliverAt":"t","progress":{"a":3},"z":[1, 2],"a":"ä"}"#),
            r#"{"id":"","n":1.50,"z":[1, 2],"a":"ä","progress":{"redrives":1,"since":"NOW"}}"#
        );
    }

    #[test]
    fn a_call_without_an_id_keeps_the_one_that_it_was_called_by() {
        for record in ["{}", r#"{"id":null}"#] {
            assert_eq!(
                redriven(record),
                r#"{"id":"p0-o7","progress":{"redrives":1,"since":"NOW"}}"#
            );
        }
    }

    #[test]
    fn redrives_are_counted_on() {
        for (progress, count) in [
            (r#"{"redrives":4,"since":"t"}"#, 5),
            ("{}", 1),
            ("7", 1),
            (r#"{"redrives":-1}"#, 1),
        ] {
            let record = redriven(&format!(r#"{{"progress":{progress}}}"#));
            assert!(
                record.contains(&format!(r#""redrives":{count},"#)),
                "{record}"
            );
        }
    }

    #[test]
    fn a_record_that_only_some_readers_take_goes_back_all_the_same() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for value in [r#""\ud800""#, "1e999", &deep] {
            let record = redriven(&format!(r#"{{"x":{value}}}"#));
            assert!(record.contains(&format!(r#""x":{value},"#)));
        }
    }

    #[test]
    fn what_is_no_object_is_no_call() {
        for record in ["", "[]", "7", "{", "{}x", "\u{0}"] {
            assert!(Call::parse(record.as_bytes()).is_err(), "{record}");
        }
        assert!(Call::parse(b"\xff{}").is_err());
    }

    #[test]
    fn a_record_that_would_not_fit_is_refused() {
        let record = format!(r#"{{"body":"{}"}}"#, "x".repeat(VALUE_BYTES_MAX - 11));
        assert_eq!(record.len(), VALUE_BYTES_MAX);
        assert!(
            Call::parse(record.as_bytes())
                .unwrap()
                .redriven("p0-o7", "NOW")
                .is_err()
        );
    }

    #[test]
    fn keys_are_checked() {
        let key = |record: &str| Call::parse(record.as_bytes()).unwrap().order_key();
        assert_eq!(key("{}"), Ok(None));
        assert_eq!(key(r#"{"orderKey":null}"#), Ok(None));
        let encoded = |text: &str| Ok(Some(BASE64.encode(text)));
        assert_eq!(key(r#"{"orderKey":"customer-7"}"#), encoded("customer-7"));
        assert_eq!(key(r#"{"orderKey":"YWI="}"#), encoded("YWI="));
        let longest = "k".repeat(256);
        assert_eq!(
            key(&format!(r#"{{"orderKey":"{longest}"}}"#)),
            encoded(&longest)
        );
        let long = format!(r#"{{"orderKey":"{longest}k"}}"#);
        for record in [
            r#"{"orderKey":""}"#,
            r#"{"orderKey":"a b"}"#,
            r#"{"orderKey":"ä"}"#,
            r#"{"orderKey":1}"#,
            &long,
        ] {
            assert!(key(record).is_err(), "{record}");
        }
    }

    #[test]
    fn targets_are_matched_from_their_beginning() {
        let route = r#"{"authority":"shop.example","path":"/orders/7"}"#;
        let explicit = r#"{"target":"https://other.example/x","path":"/orders/7"}"#;
        for (record, prefix, matches) in [
            (route, "shop.example/ord", true),
            (route, "/orders", true),
            (route, "http://shop.example/", true),
            (route, "https://shop.example/", false),
            (route, "orders", false),
            (explicit, "https://other.example/", true),
            (explicit, "/orders", false),
            (explicit, "other.example", false),
        ] {
            let call = Call::parse(record.as_bytes()).unwrap();
            assert_eq!(
                call.target_begins_with(prefix),
                matches,
                "{record} {prefix}"
            );
        }
    }

    #[test]
    fn bodies_and_headers_are_text_where_they_can_be() {
        let record = br#"{"headers":[["a","b"],["c",{"base64":"/w=="}],
            ["authorization",{"sealed":"AAAA","key":"k1"}]],"bodyBase64":"/wA="}"#;
        let call = Call::parse(record).unwrap();
        assert_eq!(
            call.headers(),
            [
                ("a".to_owned(), Content::Text("b".to_owned())),
                ("c".to_owned(), Content::Binary(vec![0xff])),
                (
                    "authorization".to_owned(),
                    Content::Text("(sealed by the key k1)".to_owned())
                ),
            ]
        );
        assert_eq!(call.body(), Some(Content::Binary(vec![0xff, 0])));
        let wrong = Call::parse(br#"{"headers":7,"body":7,"method":7}"#).unwrap();
        assert_eq!((wrong.headers(), wrong.body()), (Vec::new(), None));
        assert_eq!(wrong.method(), "GET");
    }
}
