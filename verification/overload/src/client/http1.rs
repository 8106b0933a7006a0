//! HTTP/1.1 to the letter: sends the bytes that it is told to, in the pieces that it is told to.

use std::future::Future;
use std::io::{self, Error, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, Ended, PATIENCE};

/// More fields than any answer of the gateway has.
const FIELDS_MAX: usize = 64;

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and waits for its answer; a server may refuse before it has read all.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Ended {
        patiently(async {
            let sent = self.send(request).await;
            let received = self.receive().await;
            received.or_else(|error| sent.and(Err(error)))
        })
        .await
    }

    /// Waits for the answer to what was sent.
    pub(crate) async fn answer(&mut self) -> Ended {
        patiently(self.receive()).await
    }

    /// Whether something has come already, be it the end.
    pub(crate) fn is_answered(&mut self) -> io::Result<bool> {
        match self.stream.try_read_buf(&mut self.received) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for the first byte of an answer.
    pub(crate) async fn first_byte(&mut self) -> io::Result<usize> {
        let mut byte = [0; 1];
        let read = timeout(PATIENCE, self.stream.read(&mut byte)).await;
        read.map_err(|_| Error::from(ErrorKind::TimedOut))?
    }

    /// Leaves with a reset, as a process that is killed with unread bytes does.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        // Where the system refuses, the client leaves in peace.
        let _peaceful = socket.set_linger(Some(Duration::ZERO));
    }

    async fn receive(&mut self) -> io::Result<Answer> {
        loop {
            let (answer, head, length) = self.head().await?;
            self.received.drain(..head);
            self.at_least(length).await?;
            self.received.drain(..length);
            if !(100..200).contains(&answer.status) {
                return Ok(answer);
            }
        }
    }

    /// The head of a response, its length, and that of its content.
    async fn head(&mut self) -> io::Result<(Answer, usize, usize)> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            let parsed = response.parse(&self.received);
            match parsed.map_err(|error| Error::new(ErrorKind::InvalidData, error))? {
                httparse::Status::Partial => {}
                httparse::Status::Complete(head) => {
                    let field = |name: &str| {
                        let mut fields = response.headers.iter();
                        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
                        std::str::from_utf8(found.value).ok()
                    };
                    let length = field("content-length").and_then(|text| text.parse().ok());
                    let answer = Answer {
                        status: response.code.unwrap_or_default(),
                        has_retry_after: field("retry-after").is_some(),
                        is_last: field("connection") == Some("close"),
                        call_id: field("async-call-id").map(str::to_owned),
                    };
                    return Ok((answer, head, length.unwrap_or(0)));
                }
            }
            self.more().await?;
        }
    }

    async fn at_least(&mut self, length: usize) -> io::Result<()> {
        while self.received.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}

async fn patiently(answer: impl Future<Output = io::Result<Answer>>) -> Ended {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ended::Answered(answer),
        Ok(Err(_)) => Ended::Closed,
        Err(_) => Ended::Hung,
    }
}

/// A request: its head up to the empty line, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// A marked `POST`.
    pub(crate) fn marked(path: &str) -> Self {
        Self::plain(path).field("prefer", "respond-async")
    }

    /// A `POST` without a mark.
    pub(crate) fn plain(path: &str) -> Self {
        Self {
            head: format!("POST {path} HTTP/1.1\r\nhost: overload.test\r\n"),
            body: Vec::new(),
        }
    }

    /// Adds a field line.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }

    /// Adds content of a known length.
    pub(crate) fn body(self, bytes: usize) -> Self {
        let mut request = self.field("content-length", &bytes.to_string());
        request.body = vec![b'x'; bytes];
        request
    }

    /// Adds content in chunks of up to 16 KiB, and trailers.
    pub(crate) fn chunks(self, bytes: usize, trailers: &[(String, String)]) -> Self {
        const CHUNK: usize = 16_384;
        let mut request = self.field("transfer-encoding", "chunked");
        let mut left = bytes;
        while left > 0 {
            let size = left.min(CHUNK);
            request.body.extend(format!("{size:x}\r\n").into_bytes());
            request.body.extend(std::iter::repeat_n(b'x', size));
            request.body.extend(b"\r\n");
            left -= size;
        }
        request.body.extend(b"0\r\n");
        for (name, value) in trailers {
            request
                .body
                .extend(format!("{name}: {value}\r\n").into_bytes());
        }
        request.body.extend(b"\r\n");
        request
    }

    /// What stands on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// How many bytes of it are its head.
    pub(crate) fn head_bytes(&self) -> usize {
        self.head.len() + 2
    }
}
