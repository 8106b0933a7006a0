//! A client that waits in its thread.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::message::{Received, Response};
use super::request::Request;
use crate::PATIENCE;

/// Bytes that are read at a time.
const READ_BYTES: usize = 16_384;

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
    pub fn open(port: u16) -> io::Result<Self> {
        Self::to((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Connects to a port of this machine from another address of it, such as 127.0.0.2.
    ///
    /// # Errors
    /// When nobody listens there, or the address is none of this machine.
    pub fn open_from(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((address, 0)).into())?;
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
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
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for a final response; one to `HEAD` has no content.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes for [`PATIENCE`].
    pub fn receive(&mut self, to_head: bool) -> io::Result<Response> {
        loop {
            if let Some(response) = self.received.response(to_head)? {
                return Ok(response);
            }
            self.read()?;
        }
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes for [`PATIENCE`].
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        // A server may refuse before it has read everything.
        let sent = self.send(&request.bytes());
        let received = self.receive(request.method == "HEAD");
        received.or_else(|error| sent.and(Err(error)))
    }

    /// Whether something has come that nobody has taken yet.
    pub fn is_answered(&mut self) -> bool {
        self.look();
        !self.received.bytes.is_empty()
    }

    /// Whether the other side has closed the connection, and all that came was taken.
    pub fn has_ended(&mut self) -> bool {
        self.look();
        self.received.is_over && self.received.bytes.is_empty()
    }

    /// Reads what is there, without waiting for more. A connection that breaks is over.
    fn look(&mut self) {
        self.stream.set_nonblocking(true).expect("a socket");
        if let Err(error) = self.read() {
            self.received.is_over |= error.kind() != ErrorKind::WouldBlock;
        }
        self.stream.set_nonblocking(false).expect("a socket");
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        let length = self.stream.read(&mut buffer)?;
        self.received.is_over = length == 0;
        self.received.bytes.extend_from_slice(&buffer[..length]);
        Ok(())
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
