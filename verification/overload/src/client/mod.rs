//! Clients: quick and orderly ones, and those that no gateway wishes for.

pub(crate) mod http1;
pub(crate) mod http2;

use std::time::Duration;

/// Longer than any limit of the gateway: who has no answer by then never gets one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A response, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Whether it says when to try again.
    pub(crate) has_retry_after: bool,
    /// Whether the connection ends with it (RFC 9112 §9.6).
    pub(crate) is_last: bool,
    /// The call that was accepted.
    pub(crate) call_id: Option<String>,
}

/// How a request ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There was an answer.
    Answered(Answer),
    /// The gateway ended the connection or the stream instead.
    Closed,
    /// Nothing came for [`PATIENCE`].
    Hung,
}
