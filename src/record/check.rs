//! What a call record may contain. All of it goes into a request, a signature or a plan, and
//! anybody may have written it.
//!
//! There is one grammar. The drain checks every record that it reads. The accept role checks what
//! it is going to store before it answers `202`. So the drain can read every accepted call, and
//! Envoy can send it.

use crate::headers::RESPONSE_PREFIX;
use crate::http::{Fields, is_field_value, is_token};
use crate::id::CallId;
use crate::limits::{
    DESTINATION_BYTES_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, ROUTE_BYTES_MAX, TIMEOUT_MS_MAX,
};
use crate::record::error::RecordError;
use crate::record::grammar::{is_authority, is_identity, is_path, is_visible};
use crate::record::head::CallHead;
use crate::record::sealed::SealedValue;

/// What is wrong with a call's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// A part of it can't be sent or read. The text names the member and what is allowed there.
    Wrong(String),
    /// A part of it is too large.
    TooLarge {
        /// The member that was measured.
        member: &'static str,
        /// What was counted.
        unit: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl From<HeadError> for RecordError {
    fn from(error: HeadError) -> Self {
        Self(match error {
            HeadError::Wrong(text) => text,
            HeadError::TooLarge {
                member,
                unit,
                limit,
            } => format!("{member}: more than {limit} {unit}"),
        })
    }
}

/// Checks everything that is known of a call before its body.
///
/// # Errors
/// The first mistake, with the member and what is allowed there.
pub fn check(head: &CallHead) -> Result<(), HeadError> {
    check_request_line(head)?;
    check_identities(head)?;
    check_plan(head)?;
    let request_line = [Some(&head.method), Some(&head.path), head.target.as_ref()]
        .into_iter()
        .chain([head.authority.as_ref(), head.scheme.as_ref()]);
    let mut before = Size {
        fields: 0,
        bytes: request_line.flatten().map(String::len).sum(),
    };
    if let Some(reply) = &head.reply {
        let prefixes = reply.headers.len().saturating_mul(RESPONSE_PREFIX.len());
        before.bytes = before.bytes.saturating_add(prefixes);
        before = check_fields("reply.headers", &reply.headers, &reply.sealed, before)?;
    }
    check_fields("headers", &head.headers, &head.sealed, before)?;
    check_fields("trailers", &head.trailers, &[], Size::default())?;
    Ok(())
}

/// Checks the parts of the request line.
fn check_request_line(head: &CallHead) -> Result<(), HeadError> {
    let fail = |text: String| Err(HeadError::Wrong(text));
    if !is_token(head.method.as_bytes()) || head.method.eq_ignore_ascii_case("CONNECT") {
        return fail(format!(
            "method: {:?} is not a method that can be called",
            head.method
        ));
    }
    if let Some(target) = &head.target {
        if target.is_empty() || target.len() > DESTINATION_BYTES_MAX || !is_visible(target) {
            return fail(format!(
                "target: must be 1 to {DESTINATION_BYTES_MAX} visible ASCII characters"
            ));
        }
    } else if !is_path(&head.path) {
        return fail(
            "path: must start with / and be visible ASCII without # and \\, percent-encoded"
                .to_owned(),
        );
    }
    let authority = head.authority.as_deref();
    if !authority.is_none_or(is_authority) {
        return fail(
            "authority: must be a host, with a port or without (RFC 3986 section 3.2)".to_owned(),
        );
    }
    if head
        .scheme
        .as_deref()
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return fail("scheme: must be http or https".to_owned());
    }
    Ok(())
}

/// Checks the members that name a call or its time, which go into fields, and the id of a reply,
/// which is signed.
fn check_identities(head: &CallHead) -> Result<(), HeadError> {
    for (member, text) in [
        ("id", head.id.as_ref().map(|id| id.0.as_str())),
        ("correlationId", head.correlation_id.as_deref()),
        ("acceptedAt", head.accepted_at.as_deref()),
        ("orderKey", head.order_key.as_deref()),
    ] {
        if !text.is_none_or(is_identity) {
            return Err(HeadError::Wrong(format!(
                "{member}: must be 1 to 256 visible ASCII characters"
            )));
        }
    }
    // Standard Webhooks signs `id.timestamp.body`, so an id with a full stop could pass a part of
    // itself for the timestamp.
    let has_stop = |id: &CallId| id.0.contains('.');
    if head.reply.is_some() && head.id.as_ref().is_some_and(has_stop) {
        return Err(HeadError::Wrong(
            "id: must hold no full stop in a reply".to_owned(),
        ));
    }
    Ok(())
}

/// Checks the members that decide when and how often a call is made, and those that are only hints.
fn check_plan(head: &CallHead) -> Result<(), HeadError> {
    let fail = |text: String| Err(HeadError::Wrong(text));
    for (member, text) in [("route", &head.route), ("cluster", &head.cluster)] {
        let fits = |text: &String| !text.is_empty() && text.len() <= ROUTE_BYTES_MAX;
        let clean = |text: &String| fits(text) && !text.contains(char::is_control);
        if text.as_ref().is_some_and(|text| !clean(text)) {
            return fail(format!(
                "{member}: must be 1 to {ROUTE_BYTES_MAX} bytes without controls"
            ));
        }
    }
    if head
        .timeout_ms
        .is_some_and(|limit| !(1..=TIMEOUT_MS_MAX).contains(&limit))
    {
        return fail(format!("timeoutMs: must be 1 to {TIMEOUT_MS_MAX}"));
    }
    head.progress.check().map_err(HeadError::Wrong)
}

/// The size of a head.
#[derive(Clone, Copy, Default)]
struct Size {
    fields: usize,
    bytes: usize,
}

/// Checks that a message may have these fields, and that they are few and short enough for Envoy,
/// which counts a line with its colon, its space and its end. A sealed value counts with its size
/// after it is opened. Returns the size with these fields.
fn check_fields(
    member: &'static str,
    fields: &Fields,
    sealed: &[SealedValue],
    before: Size,
) -> Result<Size, HeadError> {
    const LINE_BYTES: usize = 4;
    let fail = |text: String| Err(HeadError::Wrong(text));
    let line = |(name, value): &(String, Vec<u8>)| name.len() + value.len() + LINE_BYTES;
    let lines = fields.iter().map(line);
    let lines = lines.chain(sealed.iter().map(SealedValue::plain_bytes));
    let size = Size {
        fields: before.fields.saturating_add(fields.len()),
        bytes: lines.fold(before.bytes, usize::saturating_add),
    };
    for (counted, unit, limit) in [
        (size.fields, "fields", HEAD_FIELDS_MAX),
        (size.bytes, "bytes", HEAD_BYTES_MAX),
    ] {
        if counted > limit {
            return Err(HeadError::TooLarge {
                member,
                unit,
                limit,
            });
        }
    }
    for (index, (name, value)) in fields.iter().enumerate() {
        if !is_token(name.as_bytes()) {
            return fail(format!("{member}[{index}]: the name is not a token"));
        }
        if !is_field_value(value) {
            return fail(format!(
                "{member}[{index}]: the value holds a control character"
            ));
        }
    }
    Ok(size)
}
