//! What a call record may say: everything in it goes into a request, a signature or a plan, and
//! anybody may have written it.

use super::record::{CallHead, RecordError};
use crate::http::{Fields, is_field_value, is_token};
use crate::id::CallId;
use crate::limits::{
    CORRELATION_ID_BYTES_MAX, DESTINATION_BYTES_MAX, RECORD_FIELDS_MAX, ROUTE_BYTES_MAX,
    TIMEOUT_MS_MAX,
};

/// Checks all that is known of a call before its body.
///
/// # Errors
/// Names the member and what is allowed there.
pub(super) fn check(head: &CallHead) -> Result<(), RecordError> {
    check_request_line(head)?;
    check_identities(head)?;
    check_plan(head)?;
    check_fields("headers", &head.headers)?;
    if let Some(reply) = &head.reply {
        check_fields("reply.headers", &reply.headers)?;
    }
    check_fields("trailers", &head.trailers)
}

/// Whether this is 1 to 256 visible ASCII characters: what ids may be, as they stand in fields.
pub(super) fn is_identity(text: &str) -> bool {
    !text.is_empty() && text.len() <= CORRELATION_ID_BYTES_MAX && is_visible(text)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Everything that goes into a request line must be fit to stand there.
fn check_request_line(head: &CallHead) -> Result<(), RecordError> {
    let fail = |text: String| Err(RecordError(text));
    if !is_token(head.method.as_bytes()) || head.method.eq_ignore_ascii_case("CONNECT") {
        return fail(format!(
            "method: {:?} is no method that can be called",
            head.method
        ));
    }
    if let Some(target) = &head.target {
        if target.is_empty() || target.len() > DESTINATION_BYTES_MAX || !is_visible(target) {
            return fail(format!(
                "target: must be 1 to {DESTINATION_BYTES_MAX} visible ASCII characters"
            ));
        }
    } else if !(head.path.starts_with('/') || head.path == "*") || !is_visible(&head.path) {
        return fail("path: must start with / and be visible ASCII, percent-encoded".to_owned());
    }
    if head
        .authority
        .as_deref()
        .is_some_and(|text| text.is_empty() || !is_visible(text))
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
    Ok(())
}

/// What names a call or its time goes into fields, and a reply's id into what is signed.
fn check_identities(head: &CallHead) -> Result<(), RecordError> {
    for (member, text) in [
        ("id", head.id.as_ref().map(|id| id.0.as_str())),
        ("correlationId", head.correlation_id.as_deref()),
        ("acceptedAt", head.accepted_at.as_deref()),
        ("orderKey", head.order_key.as_deref()),
    ] {
        if !text.is_none_or(is_identity) {
            return Err(RecordError(format!(
                "{member}: must be 1 to 256 visible ASCII characters"
            )));
        }
    }
    // Standard Webhooks signs `id.timestamp.body`: an id with a full stop could pass a part of
    // itself for the timestamp.
    let has_stop = |id: &CallId| id.0.contains('.');
    if head.reply.is_some() && head.id.as_ref().is_some_and(has_stop) {
        return Err(RecordError(
            "id: must hold no full stop in a reply".to_owned(),
        ));
    }
    Ok(())
}

/// What steers when and how often a call is made, and what is only a hint.
fn check_plan(head: &CallHead) -> Result<(), RecordError> {
    let fail = |text: String| Err(RecordError(text));
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
    head.progress.check().map_err(RecordError)?;
    Ok(())
}

/// Fields must be fit to stand in a message, and few enough for Envoy.
fn check_fields(member: &str, fields: &Fields) -> Result<(), RecordError> {
    let fail = |text: String| Err(RecordError(text));
    if fields.len() > RECORD_FIELDS_MAX {
        return fail(format!("{member}: more than {RECORD_FIELDS_MAX} fields"));
    }
    for (index, (name, value)) in fields.iter().enumerate() {
        if !is_token(name.as_bytes()) {
            return fail(format!("{member}[{index}]: the name is no token"));
        }
        if !is_field_value(value) {
            return fail(format!(
                "{member}[{index}]: the value holds a control character"
            ));
        }
    }
    Ok(())
}
