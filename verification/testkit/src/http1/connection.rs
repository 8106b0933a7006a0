//! The same client for callers that wait in a thread.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::asynchronous;
use super::message::Response;
use super::request::Request;
use crate::runtime;

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection(asynchronous::Connection);

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::to((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        Self::between(Ipv4Addr::UNSPECIFIED, address)
    }

    /// Connects to a port of this machine from another address of it, such as 127.0.0.2.
    ///
    /// # Errors
    /// When nobody listens there, or the address doesn't belong to this machine.
    pub fn open_from(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        Self::between(address, (Ipv4Addr::LOCALHOST, port).into())
    }

    fn between(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let connection = runtime().block_on(asynchronous::Connection::between(from, to));
        connection.map(Self)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        runtime().block_on(self.0.send(bytes))
    }

    /// Waits for a final response. A response to `HEAD` has no content.
    ///
    /// # Errors
    /// When the connection breaks, or there is none within [`PATIENCE`](crate::PATIENCE).
    pub fn receive(&mut self, to_head: bool) -> io::Result<Response> {
        runtime().block_on(self.0.receive(to_head))
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// When the connection breaks, or there is none within [`PATIENCE`](crate::PATIENCE).
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        runtime().block_on(self.0.exchange(&request.bytes()))
    }

    /// Returns whether something has come that nobody has taken yet.
    pub fn is_answered(&mut self) -> bool {
        !self.0.look().bytes.is_empty()
    }

    /// Returns whether the other side has closed the connection, and all that came was taken.
    pub fn has_ended(&mut self) -> bool {
        let received = self.0.look();
        received.is_over && received.bytes.is_empty()
    }
}

/// Makes one request on a connection of its own.
///
/// # Panics
/// When there is no response.
#[must_use]
pub fn exchange(port: u16, request: &Request) -> Response {
    let response = Connection::open(port).and_then(|mut open| open.exchange(request));
    response.unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.path))
}
