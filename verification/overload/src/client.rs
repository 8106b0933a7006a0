//! What clients send, and how their requests end.

use std::io::{self, ErrorKind};

use anyhow::Result;
use testkit::{Field, http1, http2};
use tokio::time::error::Elapsed;

/// The largest chunk of content in chunks.
const CHUNK: usize = 16_384;

/// The parts of a response that matter here.
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
    /// Nothing came for [`testkit::PATIENCE`].
    Hung,
}

impl From<io::Result<http1::Response>> for Ended {
    fn from(response: io::Result<http1::Response>) -> Self {
        match response {
            Ok(http1::Response { status, message }) => Self::Answered(Answer {
                status,
                has_retry_after: message.field("retry-after").is_some(),
                is_last: message.field("connection") == Some(b"close"),
                call_id: message
                    .field("async-call-id")
                    .map(|_| message.text("async-call-id")),
            }),
            Err(error) if error.kind() == ErrorKind::TimedOut => Self::Hung,
            Err(_) => Self::Closed,
        }
    }
}

impl From<Result<http2::Response>> for Ended {
    fn from(response: Result<http2::Response>) -> Self {
        match response {
            Ok(response) => Self::Answered(Answer {
                status: response.status,
                has_retry_after: response.headers.contains_key("retry-after"),
                is_last: false,
                call_id: response
                    .headers
                    .contains_key("async-call-id")
                    .then(|| response.text("async-call-id")),
            }),
            Err(error) if error.is::<Elapsed>() => Self::Hung,
            Err(_) => Self::Closed,
        }
    }
}

/// Returns a marked `POST`.
pub(crate) fn marked(path: &str) -> http1::Request {
    plain(path).field("prefer", "respond-async")
}

/// Returns a `POST` without a mark.
pub(crate) fn plain(path: &str) -> http1::Request {
    http1::Request::without_host("POST", path).field("host", "overload.test")
}

/// Returns a marked `POST` by HTTP/2.
pub(crate) fn marked2(path: &str) -> http2::Request {
    http2::Request::without_host("POST", path)
        .field("host", "overload.test")
        .marked()
}

/// Returns content of so many bytes.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// Adds content in chunks, and trailers.
pub(crate) fn in_chunks(
    request: http1::Request,
    bytes: usize,
    trailers: &[Field],
) -> http1::Request {
    let content = content(bytes);
    let chunks: Vec<&[u8]> = content.chunks(CHUNK).collect();
    request.chunks_and_trailers(&chunks, trailers)
}
