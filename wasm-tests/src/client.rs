//! A client for HTTP/1.1 that sends exactly what it is told to.

use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::message::{Field, Message};

/// Longer than any answer takes, even on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request, line by line.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All field lines in their order, `Host` among them.
    pub fields: Vec<Field>,
    /// What follows the head on the wire.
    pub content: Vec<u8>,
}

impl Request {
    /// A request with a `Host` and nothing else.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self::without_host(method, path).field("Host", "gateway.test")
    }

    /// A request that still needs its `Host`.
    #[must_use]
    pub fn without_host(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            content: Vec::new(),
        }
    }

    /// Adds a field line.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.fields.push((name.as_bytes().to_vec(), value));
        self
    }

    /// Adds the mark that makes a call of it.
    #[must_use]
    pub fn marked(self) -> Self {
        self.field("Prefer", "respond-async")
    }

    /// Adds content of a known length.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut request = self.field("Content-Length", body.len().to_string());
        request.content = body.to_vec();
        request
    }

    /// Adds content in chunks.
    #[must_use]
    pub fn chunks(self, chunks: &[&[u8]]) -> Self {
        let mut request = self.field("Transfer-Encoding", "chunked");
        for chunk in chunks {
            let size = format!("{:x}\r\n", chunk.len());
            request.content.extend_from_slice(size.as_bytes());
            request.content.extend_from_slice(chunk);
            request.content.extend_from_slice(b"\r\n");
        }
        request.content.extend_from_slice(b"0\r\n\r\n");
        request
    }

    /// All that precedes the content.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.fields {
            for part in [name.as_slice(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// What stands on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.content.clone()].concat()
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All of it.
    pub message: Message,
}

impl Response {
    /// The content as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = String::from_utf8_lossy(&self.message.body);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Insists on a status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.show());
        self
    }

    /// For messages of failed tests.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.message.start).into_owned();
        for (name, value) in &self.message.fields {
            let (name, value) = (name.escape_ascii(), value.escape_ascii());
            text.push_str(&format!("\n{name}: {value}"));
        }
        let body = self.message.body.escape_ascii();
        format!("{text}\n\n{body}")
    }
}

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
    }

    /// The same from another address of this machine, such as 127.0.0.2.
    ///
    /// # Errors
    /// When nobody listens there, or the address is none of this machine.
    pub fn open_from(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_io().build()?;
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((address, 0).into())?;
            let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
            stream.into_std()
        })?;
        stream.set_nonblocking(false)?;
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits for a final response.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes for a minute.
    pub fn receive(&mut self, to_head: bool) -> io::Result<Response> {
        loop {
            let message = Message::read_response(&mut self.stream, to_head)?;
            let status = message.word(1).parse().unwrap_or(0);
            if !(100..200).contains(&status) || status == 101 {
                return Ok(Response { status, message });
            }
        }
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes for a minute.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        // A server may refuse before it has read everything.
        let sent = self.send(&request.bytes());
        let received = self.receive(request.method == "HEAD");
        received.or_else(|error| sent.and(Err(error)))
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
