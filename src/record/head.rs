//! What is known of a call.

use crate::caller::CallerKey;
use crate::http::Fields;
use crate::id::CallId;
use crate::idempotency::KeyHash;
use crate::record::progress::Progress;
use crate::record::reply_address::ReplyAddress;
use crate::record::reply_context::ReplyContext;
use crate::record::sealed::SealedValue;
use crate::time::Wall;

/// The version of the record format that this code writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// A call without its body: everything that is known before the body has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallHead {
    /// The call's identity; absent if another client published the record without one.
    pub id: Option<CallId>,
    /// The caller's conversation id; if absent, the call id is used.
    pub correlation_id: Option<String>,
    /// When the gateway accepted the call, RFC 3339.
    pub accepted_at: Option<String>,
    /// The request method (RFC 9110 §9).
    pub method: String,
    /// `http` or `https`, as the client used it.
    pub scheme: Option<String>,
    /// Host and port that the client addressed (RFC 9110 §7.2).
    pub authority: Option<String>,
    /// Path and query, with their percent-encoding untouched; empty if there is a target.
    pub path: String,
    /// An absolute URL to call instead of a path on this gateway: 1 to 8,192 bytes of visible
    /// ASCII. Nothing else has been checked here.
    pub target: Option<String>,
    /// Header fields in their order, with their repetitions.
    pub headers: Fields,
    /// Sealed values of header fields, in the order of their places.
    pub sealed: Vec<SealedValue>,
    /// Trailer fields (RFC 9110 §6.5).
    pub trailers: Fields,
    /// What a reply says of the call that it answers; absent in ordinary calls.
    pub reply: Option<ReplyContext>,
    /// Who gets the response.
    pub reply_to: Option<ReplyAddress>,
    /// Who is told of a failure; absent: the one who gets the response.
    pub failure_to: Option<ReplyAddress>,
    /// The earliest time; absent: at once.
    pub deliver_at: Option<Wall>,
    /// Milliseconds after the earliest time when it is given up; absent: the drain decides.
    pub max_age_ms: Option<u64>,
    /// Retries after the first attempt; absent: the drain decides.
    pub retries: Option<u32>,
    /// Milliseconds of one attempt, 1 to 3,600,000; absent: the drain decides.
    pub timeout_ms: Option<u64>,
    /// Calls with the same key are made one after the other; 1 to 256 visible ASCII characters.
    pub order_key: Option<String>,
    /// The route that the accepting gateway found, as a hint; up to 256 bytes.
    pub route: Option<String>,
    /// The cluster that this route leads to, as a hint; up to 256 bytes.
    pub cluster: Option<String>,
    /// The caller.
    pub caller: Option<CallerKey>,
    /// Its idempotency key in the table of the gateway that accepted it.
    pub idempotency: Option<KeyHash>,
    /// How far the call has come.
    pub progress: Progress,
}

/// A call as the Stream has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Everything but the body.
    pub head: CallHead,
    /// The content, decoded.
    pub body: Vec<u8>,
}
