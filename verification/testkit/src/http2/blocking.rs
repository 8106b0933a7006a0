//! A client that waits in its thread.

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;

use super::{Request, Response, exchange};

/// A connection.
pub struct Connection {
    runtime: Runtime,
    connection: super::Connection,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody there speaks HTTP/2.
    pub fn open(port: u16) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(super::Connection::open(port))?;
        Ok(Self {
            runtime,
            connection,
        })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// When there is no response within [`PATIENCE`](crate::PATIENCE).
    pub fn exchange(&self, request: &Request) -> Result<Response> {
        let mut responses = self.exchange_all(vec![request.clone()]);
        responses.pop().context("one response")?
    }

    /// Makes all of these requests at the same time, and gives their responses in order.
    #[must_use]
    pub fn exchange_all(&self, requests: Vec<Request>) -> Vec<Result<Response>> {
        self.runtime.block_on(async {
            let tasks = requests.into_iter().map(|request| {
                let sender = self.connection.sender.clone();
                tokio::spawn(exchange(sender, request))
            });
            let tasks: Vec<_> = tasks.collect();
            let mut responses = Vec::new();
            for task in tasks {
                responses.push(task.await.expect("no task panics"));
            }
            responses
        })
    }

    /// Makes all of these requests at the same time, and breaks the connection as soon as the
    /// first response is there.
    pub fn leave_during(self, requests: Vec<Request>) {
        self.runtime.block_on(async {
            let (first, mut arrived) = unbounded_channel();
            for request in requests {
                let (sender, first) = (self.connection.sender.clone(), first.clone());
                let exchange = exchange(sender, request);
                tokio::spawn(async move { first.send(exchange.await.is_ok()) });
            }
            arrived.recv().await
        });
    }
}
