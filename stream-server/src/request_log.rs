//! One line of the log for each request, at the level of debugging.

use std::net::SocketAddr;
use std::time::Instant;

use hyper::{Method, Request};
use tracing::Level;

use crate::http::{REQUEST_ID, Response};

/// What is known when a request begins.
pub(crate) struct RequestLog {
    method: Method,
    /// Without the query: cursors are there, and whoever has one can read.
    path: String,
    peer: SocketAddr,
    began: Instant,
}

impl RequestLog {
    /// `None` where nobody wants to know.
    pub(crate) fn begin<B>(request: &Request<B>, peer: SocketAddr) -> Option<Self> {
        tracing::enabled!(Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            peer,
            began: Instant::now(),
        })
    }

    /// Tells what became of it: its answer, or none where the connection is closed instead.
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
