//! A client that waits in a task: for thousands of connections at a time.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::{Received, Response};
use crate::PATIENCE;

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Received,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Received::default(),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends the bytes of a request and waits for its response.
    ///
    /// # Errors
    /// When the connection breaks, or there is no response within [`PATIENCE`].
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        patiently(async {
            // A server may refuse before it has read everything.
            let sent = self.send(request).await;
            let received = self.take().await;
            received.or_else(|error| sent.and(Err(error)))
        })
        .await
    }

    /// Waits for the final response to what was sent.
    ///
    /// # Errors
    /// When the connection breaks, or there is no response within [`PATIENCE`].
    pub async fn receive(&mut self) -> io::Result<Response> {
        patiently(self.take()).await
    }

    /// Whether something has come already, be it the end.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn is_answered(&mut self) -> io::Result<bool> {
        match self.stream.try_read_buf(&mut self.received.bytes) {
            Ok(length) => {
                self.received.is_over = length == 0;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for the first byte of a response, or the end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes for [`PATIENCE`].
    pub async fn first_byte(&mut self) -> io::Result<()> {
        patiently(self.read()).await
    }

    /// Leaves with a reset, as a process that is killed with unread bytes does.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        // Where the system refuses, the client leaves in peace.
        let _peaceful = socket.set_linger(Some(Duration::ZERO));
    }

    async fn take(&mut self) -> io::Result<Response> {
        loop {
            if let Some(response) = self.received.response(false)? {
                return Ok(response);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        let length = self.stream.read_buf(&mut self.received.bytes).await?;
        self.received.is_over = length == 0;
        Ok(())
    }
}

async fn patiently<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let what = timeout(PATIENCE, what).await;
    what.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}
