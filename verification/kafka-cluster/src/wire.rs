//! Kafka's requests by hand, so that this library needs no client: one request, one answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The number that the answer repeats.
const CORRELATION: u32 = 7;
/// Longest time that one step of the exchange takes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read at most: metadata of some dozens of topics.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Kafka's number of the operation.
    pub(crate) operation: u16,
    /// The version of its form.
    pub(crate) version: u16,
    /// Whether its head is of the newer form, with tagged fields.
    pub(crate) is_flexible: bool,
    /// What follows after the head.
    pub(crate) body: Vec<u8>,
}

/// Has the broker on this port answer. Returns what follows after the answer's number.
pub(crate) fn ask(port: u16, request: &Request) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request.bytes())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let (correlation, rest) = answer.split_first_chunk().ok_or_else(unreadable)?;
    match u32::from_be_bytes(*correlation) == CORRELATION {
        true => Ok(rest.to_vec()),
        false => Err(unreadable()),
    }
}

/// What an answer that isn't Kafka's amounts to.
pub(crate) fn unreadable() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(CORRELATION.to_be_bytes());
        // No client's name.
        bytes.extend((-1_i16).to_be_bytes());
        if self.is_flexible {
            bytes.push(0);
        }
        bytes.extend(&self.body);
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        [length.to_be_bytes().to_vec(), bytes].concat()
    }
}

/// What is left of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a>(pub(crate) &'a [u8]);

impl Answer<'_> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.chunk().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.chunk().map(i32::from_be_bytes)
    }

    /// Returns the length of an array.
    pub(crate) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.i32()?).ok()
    }

    /// Leaves out a text, which may be null.
    pub(crate) fn skip_text(&mut self) -> Option<()> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        self.skip(length)
    }

    /// Leaves out a text of the newer form.
    pub(crate) fn skip_compact_text(&mut self) -> Option<()> {
        let length = usize::from(self.compact()?);
        self.skip(length.checked_sub(1)?)
    }

    /// Returns a small number of the newer form.
    pub(crate) fn compact(&mut self) -> Option<u8> {
        self.u8().filter(|byte| *byte < 128)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }
}
