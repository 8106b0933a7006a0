//! The same client for callers that wait in a thread.

use anyhow::Result;
use tokio::task::JoinSet;

use super::{Request, Response, exchange};
use crate::runtime;

/// A connection. It breaks when this is dropped.
pub struct Connection(super::Connection);

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody there speaks HTTP/2.
    pub fn open(port: u16) -> Result<Self> {
        runtime().block_on(super::Connection::open(port)).map(Self)
    }

    /// Makes one request.
    ///
    /// # Errors
    /// When there is no response within [`PATIENCE`](crate::PATIENCE).
    pub fn exchange(&self, request: &Request) -> Result<Response> {
        runtime().block_on(exchange(self.0.sender.clone(), request.clone()))
    }

    /// Makes all of these requests at the same time. Returns their responses in order.
    #[must_use]
    pub fn exchange_all(&self, requests: Vec<Request>) -> Vec<Result<Response>> {
        let exchange = |request| runtime().spawn(exchange(self.0.sender.clone(), request));
        let tasks: Vec<_> = requests.into_iter().map(exchange).collect();
        let responses = tasks.into_iter().map(|task| runtime().block_on(task));
        responses
            .map(|response| response.expect("no task panics"))
            .collect()
    }

    /// Makes all of these requests at the same time, and breaks the connection as soon as the
    /// first response is there.
    pub fn leave_during(self, requests: Vec<Request>) {
        runtime().block_on(async {
            let exchange = |request| exchange(self.0.sender.clone(), request);
            let mut tasks: JoinSet<_> = requests.into_iter().map(exchange).collect();
            tasks.join_next().await
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
