//! The call record: the public JSON in which a call stands on the Stream.
//!
//! Anybody who may publish on the Stream may have written a record, so reading one checks
//! everything that it will be used for. Readers ignore members that they don't know; a record of
//! another major version is refused.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserializer, Error as _};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};

use crate::http::{Fields, is_field_value, is_token};
use crate::id::CallId;
use crate::limits::RECORD_FIELDS_MAX;

/// The version of the record format that this code writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// A call without its body: what is known of it before the body is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallHead {
    /// The call's identity; absent where another client published the record without one.
    pub id: Option<CallId>,
    /// The caller's conversation id; absent: the call id serves.
    pub correlation_id: Option<String>,
    /// When the gateway accepted the call, RFC 3339.
    pub accepted_at: Option<String>,
    /// The request method (RFC 9110 §9).
    pub method: String,
    /// `http` or `https`, as the client used it.
    pub scheme: Option<String>,
    /// Host and port that the client addressed (RFC 9110 §7.2).
    pub authority: Option<String>,
    /// Path and query, percent-encoding untouched.
    pub path: String,
    /// Header fields in their order, with their repetitions.
    pub headers: Fields,
    /// Trailer fields (RFC 9110 §6.5).
    pub trailers: Fields,
}

/// A call as it stands on the Stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Everything but the body.
    pub head: CallHead,
    /// The content, decoded.
    pub body: Vec<u8>,
}

/// Why a record cannot be understood; the text says where and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError(pub String);

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for RecordError {}

/// Writes a record.
///
/// # Errors
/// Where the JSON library refuses, which it has no reason to.
pub fn encode(head: &CallHead, body: &[u8]) -> Result<Vec<u8>, RecordError> {
    let text = body_as_text(body);
    let wire = Wire {
        version: RECORD_VERSION,
        id: head.id.as_ref().map(|id| Cow::Borrowed(id.0.as_str())),
        correlation_id: head.correlation_id.as_deref().map(Cow::Borrowed),
        accepted_at: head.accepted_at.as_deref().map(Cow::Borrowed),
        method: Some(Cow::Borrowed(&head.method)),
        scheme: head.scheme.as_deref().map(Cow::Borrowed),
        authority: head.authority.as_deref().map(Cow::Borrowed),
        path: Some(Cow::Borrowed(&head.path)),
        headers: WireFields(Cow::Borrowed(&head.headers)),
        body_base64: (text.is_none() && !body.is_empty()).then(|| Cow::Owned(BASE64.encode(body))),
        body: text.filter(|text| !text.is_empty()).map(Cow::Borrowed),
        trailers: WireFields(Cow::Borrowed(&head.trailers)),
        target: None,
    };
    let mut json = Vec::with_capacity(body.len().saturating_mul(3) / 2 + 1_024);
    serde_json::to_writer(&mut json, &wire).map_err(|error| RecordError(error.to_string()))?;
    Ok(json)
}

/// Reads a record and checks that a request can be made of it.
///
/// # Errors
/// Names the member and what is allowed there.
pub fn decode(json: &[u8]) -> Result<Call, RecordError> {
    let wire: Wire<'_> = serde_json::from_slice(json)
        .map_err(|error| RecordError(format!("the record is no valid call record: {error}")))?;
    if wire.version != RECORD_VERSION {
        return Err(RecordError(format!(
            "version: {} is not supported; this gateway reads version {RECORD_VERSION}",
            wire.version
        )));
    }
    if wire.target.is_some() {
        return Err(RecordError(
            "target: explicit targets are not supported".to_owned(),
        ));
    }
    let body = match (wire.body, wire.body_base64) {
        (Some(_), Some(_)) => {
            return Err(RecordError(
                "body and bodyBase64: give one of the two".to_owned(),
            ));
        }
        (Some(text), None) => text.into_owned().into_bytes(),
        (None, Some(encoded)) => BASE64
            .decode(encoded.as_bytes())
            .map_err(|error| RecordError(format!("bodyBase64: no standard base64: {error}")))?,
        (None, None) => Vec::new(),
    };
    let head = CallHead {
        id: wire.id.map(|id| CallId(id.into_owned())),
        correlation_id: wire.correlation_id.map(Cow::into_owned),
        accepted_at: wire.accepted_at.map(Cow::into_owned),
        method: wire
            .method
            .map_or_else(|| "GET".to_owned(), Cow::into_owned),
        scheme: wire.scheme.map(Cow::into_owned),
        authority: wire.authority.map(Cow::into_owned),
        path: wire
            .path
            .ok_or_else(|| RecordError("path: is required".to_owned()))?
            .into_owned(),
        headers: wire.headers.0.into_owned(),
        trailers: wire.trailers.0.into_owned(),
    };
    check(&head)?;
    Ok(Call { head, body })
}

/// Everything that goes into a request line or a field must be fit to stand there.
fn check(head: &CallHead) -> Result<(), RecordError> {
    let fail = |text: String| Err(RecordError(text));
    if !is_token(head.method.as_bytes()) || head.method.eq_ignore_ascii_case("CONNECT") {
        return fail(format!(
            "method: {:?} is no method that can be called",
            head.method
        ));
    }
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !(head.path.starts_with('/') || head.path == "*") || !visible(&head.path) {
        return fail("path: must start with / and be visible ASCII, percent-encoded".to_owned());
    }
    if head
        .authority
        .as_deref()
        .is_some_and(|text| text.is_empty() || !visible(text))
    {
        return fail("authority: must be a host, with a port or without".to_owned());
    }
    if head
        .scheme
        .as_deref()
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return fail("scheme: must be http or https".to_owned());
    }
    for (member, text) in [
        ("id", head.id.as_ref().map(|id| id.0.as_str())),
        ("correlationId", head.correlation_id.as_deref()),
        ("acceptedAt", head.accepted_at.as_deref()),
    ] {
        if text.is_some_and(|text| text.is_empty() || text.len() > 256 || !visible(text)) {
            return fail(format!(
                "{member}: must be 1 to 256 visible ASCII characters"
            ));
        }
    }
    if head.headers.len() > RECORD_FIELDS_MAX {
        return fail(format!("headers: more than {RECORD_FIELDS_MAX} fields"));
    }
    for (index, (name, value)) in head.headers.iter().enumerate() {
        if !is_token(name.as_bytes()) {
            return fail(format!("headers[{index}]: the name is no token"));
        }
        if !is_field_value(value) {
            return fail(format!(
                "headers[{index}]: the value holds a control character"
            ));
        }
    }
    Ok(())
}

/// The body as text, where it is UTF-8 and JSON's escapes don't make it longer than base64 would.
fn body_as_text(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let escapes: usize = body
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
            0..=0x1f => 5,
            _ => 0,
        })
        .sum();
    (escapes <= body.len() / 3).then_some(text)
}

/// The members of the record, as they stand in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(default = "current_version")]
    version: u32,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    accepted_at: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    scheme: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    authority: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "WireFields::is_empty")]
    headers: WireFields<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "WireFields::is_empty")]
    trailers: WireFields<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
}

fn current_version() -> u32 {
    RECORD_VERSION
}

/// Fields as a list of `[name, value]`; a value that is no UTF-8 stands as `{"base64": "…"}`.
#[derive(Default)]
struct WireFields<'a>(Cow<'a, Fields>);

impl WireFields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for WireFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            list.serialize_element(&WireField(name, value))?;
        }
        list.end()
    }
}

struct WireField<'a>(&'a str, &'a [u8]);

impl Serialize for WireField<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(self.0)?;
        match std::str::from_utf8(self.1) {
            Ok(text) => pair.serialize_element(text)?,
            Err(_) => pair.serialize_element(&WireBytes(self.1))?,
        }
        pair.end()
    }
}

struct WireBytes<'a>(&'a [u8]);

impl Serialize for WireBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry("base64", &BASE64.encode(self.0))?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for WireFields<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, WireValue<'de>)>::deserialize(deserializer)?;
        let fields = pairs.into_iter().map(|(mut name, value)| {
            name.make_ascii_lowercase();
            let value = match value {
                WireValue::Text(text) => text.into_owned().into_bytes(),
                WireValue::Bytes { base64 } => {
                    BASE64.decode(base64.as_bytes()).map_err(|error| {
                        D::Error::custom(format!("header {name}: no standard base64: {error}"))
                    })?
                }
            };
            Ok((name, value))
        });
        Ok(WireFields(Cow::Owned(
            fields.collect::<Result<Fields, D::Error>>()?,
        )))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireValue<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Bytes {
        #[serde(borrow)]
        base64: Cow<'a, str>,
    },
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
