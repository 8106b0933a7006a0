//! The member `reply` of a record: what a reply says of the call that it answers.
//!
//! A record with this member is a reply; any other is an ordinary call. The values are separate
//! from the record's headers, because only the gateway may set these headers, and removes them
//! wherever they come from (G8). So whoever gets them gets `async-outcome` with them, and can tell
//! a reply from a call.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::headers::RESPONSE_PREFIX;
use crate::http::Fields;
use crate::limits::REPLY_ANSWER_FIELDS_MAX;
use crate::record::error::RecordError;
use crate::record::fields::WireFields;
use crate::record::grammar::is_identity;
use crate::record::sealed::SealedValue;

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOutcome {
    /// The target has answered it with success.
    Delivered,
    /// It was given up.
    Failed,
    /// It was given up because it became too old.
    Expired,
}

impl ReplyOutcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Expired];

    /// Returns the outcome's name in records and in `Async-Outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// What a reply says of the call that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyContext {
    /// The call's id, 1 to 256 visible ASCII characters.
    pub call_id: String,
    /// How the call has ended.
    pub outcome: ReplyOutcome,
    /// The last status of its target, three digits (RFC 9110 §15); absent if there was none.
    pub status: Option<u16>,
    /// How many attempts were made; 0 if the call ended before the first.
    pub attempts: u32,
    /// Whether the reply has only the first part of the response's content.
    pub is_cut: bool,
    /// Fields of the response, under their own names.
    pub headers: Fields,
    /// Sealed values of these fields, in the order of their places.
    pub sealed: Vec<SealedValue>,
    /// Whether some fields of the response were too many or too large, or could not be sent.
    pub is_head_cut: bool,
}

impl ReplyContext {
    /// Returns the headers of a dispatched reply: the conversation id of the call, and the fields
    /// of the response. They correspond to the headers of a call.
    #[must_use]
    pub fn into_headers(self, correlation_id: String) -> ReplyHeaders {
        let header = |name, value: String| (Cow::Borrowed(name), value.into_bytes());
        let mut added = vec![
            header("async-call-id", self.call_id),
            header("async-correlation-id", correlation_id),
            header("async-outcome", self.outcome.as_str().to_owned()),
        ];
        let status = self.status.map(|status| status.to_string());
        added.extend(status.map(|status| header("async-status", status)));
        added.push(header("async-attempts", self.attempts.to_string()));
        for (name, is_so) in [
            ("async-body-cut", self.is_cut),
            ("async-head-cut", self.is_head_cut),
        ] {
            added.extend(is_so.then(|| header(name, "true".to_owned())));
        }
        let prefixed = |(name, value)| (Cow::Owned(format!("{RESPONSE_PREFIX}{name}")), value);
        added.extend(self.headers.into_iter().map(prefixed));
        added
    }
}

/// Headers that are added to a request: names in lower case, and values.
pub type ReplyHeaders = Vec<(Cow<'static, str>, Vec<u8>)>;

/// Returns whether a target may have given this status.
pub(crate) const fn is_status(status: u16) -> bool {
    100 <= status && status <= 999
}

/// The member, as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireReply<'a> {
    #[serde(borrow)]
    call_id: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    cut: bool,
    #[serde(default, skip_serializing_if = "WireFields::is_empty")]
    headers: WireFields<'a>,
    #[serde(default, skip_serializing_if = "is_false")]
    headers_cut: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl<'a> From<&'a ReplyContext> for WireReply<'a> {
    fn from(reply: &'a ReplyContext) -> Self {
        Self {
            call_id: Cow::Borrowed(&reply.call_id),
            outcome: Cow::Borrowed(reply.outcome.as_str()),
            status: reply.status,
            attempts: reply.attempts,
            cut: reply.is_cut,
            headers: WireFields::new(&reply.headers, &reply.sealed),
            headers_cut: reply.is_head_cut,
        }
    }
}

impl TryFrom<WireReply<'_>> for ReplyContext {
    type Error = RecordError;

    fn try_from(wire: WireReply<'_>) -> Result<Self, RecordError> {
        let fail = |text: &str| Err(RecordError(text.to_owned()));
        let outcome = ReplyOutcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == wire.outcome);
        let Some(outcome) = outcome else {
            return fail("reply.outcome: must be delivered, failed or expired");
        };
        if !is_identity(&wire.call_id) {
            return fail("reply.callId: must be 1 to 256 visible ASCII characters");
        }
        if !wire.status.is_none_or(is_status) {
            return fail("reply.status: must be a number from 100 to 999");
        }
        let (headers, sealed) = wire.headers.into_parts("reply.headers")?;
        if headers.len() > REPLY_ANSWER_FIELDS_MAX {
            return Err(RecordError(format!(
                "reply.headers: more than {REPLY_ANSWER_FIELDS_MAX} fields"
            )));
        }
        Ok(Self {
            call_id: wire.call_id.into_owned(),
            outcome,
            status: wire.status,
            attempts: wire.attempts,
            is_cut: wire.cut,
            headers,
            sealed,
            is_head_cut: wire.headers_cut,
        })
    }
}
