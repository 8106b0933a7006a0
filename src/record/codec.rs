//! Writes and reads records as JSON.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::caller::CallerKey;
use crate::http::cut;
use crate::id::CallId;
use crate::idempotency::KeyHash;
use crate::limits::RECORD_ERROR_BYTES_MAX;
use crate::record::check::check;
use crate::record::error::RecordError;
use crate::record::fields::WireFields;
use crate::record::head::{Call, CallHead, RECORD_VERSION};
use crate::record::progress::Progress;
use crate::record::reply_address::ReplyAddress;
use crate::record::reply_context::{ReplyContext, WireReply};
use crate::time::Wall;

/// Writes a record.
///
/// # Errors
/// An error of the JSON library, which isn't expected.
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
        path: head.target.is_none().then_some(Cow::Borrowed(&head.path)),
        headers: WireFields::new(&head.headers, &head.sealed),
        body_base64: (text.is_none() && !body.is_empty()).then(|| Cow::Owned(BASE64.encode(body))),
        body: text.filter(|text| !text.is_empty()).map(Cow::Borrowed),
        trailers: WireFields::new(&head.trailers, &[]),
        target: head.target.as_deref().map(Cow::Borrowed),
        reply: head.reply.as_ref().map(WireReply::from),
        reply_to: head.reply_to.as_ref().map(|to| Cow::Borrowed(to.as_str())),
        failure_to: head
            .failure_to
            .as_ref()
            .map(|to| Cow::Borrowed(to.as_str())),
        deliver_at: head.deliver_at,
        max_age_ms: head.max_age_ms,
        retries: head.retries,
        timeout_ms: head.timeout_ms,
        order_key: head.order_key.as_deref().map(Cow::Borrowed),
        route: head.route.as_deref().map(Cow::Borrowed),
        cluster: head.cluster.as_deref().map(Cow::Borrowed),
        caller: head.caller.map(|caller| Cow::Owned(caller.to_string())),
        idempotency: head
            .idempotency
            .as_ref()
            .map(|key| Cow::Borrowed(key.0.as_str())),
        progress: (!head.progress.is_none()).then_some(Cow::Borrowed(&head.progress)),
    };
    let mut json = Vec::with_capacity(body.len().saturating_mul(3) / 2 + 1_024);
    serde_json::to_writer(&mut json, &wire).map_err(|error| RecordError(error.to_string()))?;
    Ok(json)
}

/// Reads a record and checks that a request can be made of it.
///
/// # Errors
/// The first mistake, with the member and what is allowed there, in at most 1,000 bytes.
pub fn decode(json: &[u8]) -> Result<Call, RecordError> {
    read(json).map_err(|mut error| {
        cut(&mut error.0, RECORD_ERROR_BYTES_MAX);
        error
    })
}

fn read(json: &[u8]) -> Result<Call, RecordError> {
    let wire: Wire<'_> = serde_json::from_slice(json).map_err(|_| unreadable(json))?;
    if wire.version != RECORD_VERSION {
        return Err(RecordError(format!(
            "version: {} is not supported; this gateway reads version {RECORD_VERSION}",
            wire.version
        )));
    }
    let path = match (wire.path, &wire.target) {
        (Some(_), Some(_)) => {
            return Err(RecordError(
                "path and target: give one of the two".to_owned(),
            ));
        }
        (None, None) => return Err(RecordError("path: is required".to_owned())),
        (path, _) => path.map(Cow::into_owned),
    };
    let body = match (wire.body, wire.body_base64) {
        (Some(_), Some(_)) => {
            return Err(RecordError(
                "body and bodyBase64: give one of the two".to_owned(),
            ));
        }
        (Some(text), None) => text.into_owned().into_bytes(),
        (None, Some(encoded)) => BASE64
            .decode(encoded.as_bytes())
            .map_err(|error| RecordError(format!("bodyBase64: not standard base64: {error}")))?,
        (None, None) => Vec::new(),
    };
    let (headers, sealed) = wire.headers.into_parts("headers")?;
    let (trailers, sealed_trailers) = wire.trailers.into_parts("trailers")?;
    if let Some(value) = sealed_trailers.first() {
        let text = format!("trailers[{}]: can't be sealed", value.index);
        return Err(RecordError(text));
    }
    let head = CallHead {
        id: wire.id.map(|id| CallId(id.into_owned())),
        correlation_id: wire.correlation_id.map(Cow::into_owned),
        accepted_at: wire.accepted_at.map(Cow::into_owned),
        method: wire
            .method
            .map_or_else(|| "GET".to_owned(), Cow::into_owned),
        scheme: wire.scheme.map(Cow::into_owned),
        authority: wire.authority.map(Cow::into_owned),
        path: path.unwrap_or_default(),
        target: wire.target.map(Cow::into_owned),
        headers,
        sealed,
        trailers,
        reply: wire.reply.map(ReplyContext::try_from).transpose()?,
        reply_to: address("replyTo", wire.reply_to)?,
        failure_to: address("failureTo", wire.failure_to)?,
        deliver_at: wire.deliver_at,
        max_age_ms: wire.max_age_ms,
        retries: wire.retries,
        timeout_ms: wire.timeout_ms,
        order_key: wire.order_key.map(Cow::into_owned),
        route: wire.route.map(Cow::into_owned),
        cluster: wire.cluster.map(Cow::into_owned),
        caller: wire.caller.as_deref().and_then(CallerKey::parse),
        idempotency: wire.idempotency.as_deref().and_then(KeyHash::parse),
        progress: wire.progress.map(Cow::into_owned).unwrap_or_default(),
    };
    check(&head)?;
    Ok(Call { head, body })
}

/// Returns where an unreadable record is wrong. The record is read once more for that, so that
/// readable records cost nothing more.
fn unreadable(json: &[u8]) -> RecordError {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let problem = match serde_path_to_error::deserialize::<_, Wire<'_>>(&mut reader) {
        Ok(_) => "something stands behind it".to_owned(),
        Err(error) => error.to_string(),
    };
    RecordError(format!("the record is not a valid call record: {problem}"))
}

fn address(member: &str, text: Option<Cow<'_, str>>) -> Result<Option<ReplyAddress>, RecordError> {
    text.map(|text| ReplyAddress::parse(&text))
        .transpose()
        .map_err(|problem| RecordError(format!("{member}: {problem}")))
}

/// Returns the body as text, if it is UTF-8 and JSON's escapes don't make it longer than base64
/// would.
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

/// The members of the record, as JSON has them.
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
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reply: Option<WireReply<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    failure_to: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliver_at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    order_key: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    route: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    cluster: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    caller: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Cow<'a, Progress>>,
}

fn current_version() -> u32 {
    RECORD_VERSION
}
