//! The protocol without a network: requests as bytes in, answers as bytes out, at a given time. A
//! simulation sends the same requests as a client does, to the same code.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;

use crate::api_error::ApiError;
use crate::http::{App, Reply};
use crate::service::Service;
use crate::time::{Clock, GivenTime};

/// The server without its sockets.
pub struct Protocol(App);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields that matter to a client, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Bytes,
}

impl Protocol {
    /// Returns a server with these operations, at the time that is given.
    #[must_use]
    pub fn new(service: Arc<Service>, time: Arc<GivenTime>) -> Self {
        let url = "http://stream.invalid".to_owned();
        Self(App::new(service, Clock::given(time), url, None, None))
    }

    /// Answers one request. If the storage never waits, this doesn't either, unless more answers
    /// are kept than [`crate::limits::ANSWERS_BYTES_MAX`].
    pub async fn answer(&self, method: &str, path_and_query: &str, body: &[u8]) -> Answer {
        let done = self.perform(method, path_and_query, body).await;
        let reply = done.unwrap_or_else(|api_error| Reply::api_error(&api_error));
        let (status, headers, body) = reply.into_parts();
        let headers = headers.into_iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value));
        Answer {
            status,
            headers: headers.collect(),
            body,
        }
    }

    async fn perform(
        &self,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Result<Reply, ApiError> {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| ApiError::unknown_path(method, path))?;
        self.0.perform_given(&method, path, query, body).await
    }
}
