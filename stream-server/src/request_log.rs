//! A line of the log for each request, at the level `debug`.

use std::net::SocketAddr;
use std::time::Instant;

use hyper::{Method, Request};
use tracing::Level;

use crate::http::{REQUEST_ID, Response};

/// What is known when a request begins.
pub(crate) struct RequestLog {
    method: Method,
    /// The path without the query, which may have cursors; whoever has a cursor can read.
    path: String,
    peer: SocketAddr,
    began: Instant,
}

impl RequestLog {
    /// Begins the line of a request; `None` if the level isn't logged.
    pub(crate) fn begin<B>(request: &Request<B>, peer: SocketAddr) -> Option<Self> {
        tracing::enabled!(Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            peer,
            began: Instant::now(),
        })
    }

    /// Writes the line: with the answer, or with none if the connection is closed instead.
    pub(crate) fn end(self, operation: &'static str, response: Option<&Response>) {
        let id = response.and_then(|response| response.headers().get(REQUEST_ID));
        let request_id = id.and_then(|id| id.to_str().ok());
        tracing::debug!(
            operation,
            method = self.method.as_str(),
            path = self.path,
            status = response.map(|response| response.status().as_u16()),
            milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            peer = %self.peer,
            request_id,
            "request"
        );
    }
}
