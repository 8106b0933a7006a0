//! A client that waits in a task, for thousands of connections at a time.

use std::future::Future;
use std::io::{self, ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
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
        let to = (Ipv4Addr::LOCALHOST, port).into();
        Self::between(Ipv4Addr::UNSPECIFIED, to).await
    }

    /// Connects to an address, from one of this machine's addresses.
    pub(super) async fn between(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if !from.is_unspecified() {
            socket.bind((from, 0).into())?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Received::default(),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is broken, or doesn't take them within [`PATIENCE`].
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        patiently(self.stream.write_all(bytes)).await
    }

    /// Sends the bytes of a request and waits for its response.
    ///
    /// # Errors
    /// When the connection breaks, or there is no response within [`PATIENCE`].
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        // A server may refuse before it has read everything.
        let sent = self.send(request).await;
        let received = self.receive(request.starts_with(b"HEAD ")).await;
        received.or_else(|error| sent.and(Err(error)))
    }

    /// Waits for the final response to what was sent. A response to `HEAD` has no content.
    ///
    /// # Errors
    /// When the connection breaks, or there is no response within [`PATIENCE`].
    pub async fn receive(&mut self, to_head: bool) -> io::Result<Response> {
        patiently(async {
            loop {
                if let Some(response) = self.received.response(to_head)? {
                    return Ok(response);
                }
                self.read().await?;
            }
        })
        .await
    }

    /// Returns whether something has come that nobody has taken yet, or the connection has ended.
    pub fn is_answered(&mut self) -> bool {
        let received = self.look();
        received.is_over || !received.bytes.is_empty()
    }

    /// Reads what has come, without waiting for more. A broken connection has ended.
    pub(super) fn look(&mut self) -> &Received {
        let mut buffer = [0; 4_096];
        // Reads past the runtime, which may not have noticed yet what has come.
        match (&*SockRef::from(&self.stream)).read(&mut buffer) {
            Ok(0) => self.received.is_over = true,
            Ok(length) => self.received.bytes.extend_from_slice(&buffer[..length]),
            Err(error) => self.received.is_over |= error.kind() != ErrorKind::WouldBlock,
        }
        &self.received
    }

    /// Waits for the first byte of a response, or for the end of the connection.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes within [`PATIENCE`].
    pub async fn first_byte(&mut self) -> io::Result<()> {
        patiently(self.read()).await
    }

    /// Ends the connection with a reset, as a process does that is killed with unread bytes.
    pub fn reset(self) {
        let socket = SockRef::from(&self.stream);
        // If the system refuses, the connection is closed normally.
        let _peaceful = socket.set_linger(Some(Duration::ZERO));
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
