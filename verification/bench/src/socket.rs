//! Many sockets in one thread, which waits with `poll`.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The state of a socket after it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Closed,
}

/// A connection with the bytes that it still has to send and those that it has received.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    unsent: Vec<u8>,
    /// How many of these bytes were already sent.
    sent: usize,
    pub(crate) received: Vec<u8>,
}

/// The most bytes that are received at a time.
const RECEIVE_BYTES: usize = 262_144;

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            sent: 0,
            received: Vec::new(),
        })
    }

    /// Sends now as much as the system takes, and keeps the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> State {
        let mut sent = 0;
        let is_first = self.unsent.is_empty();
        let state = match is_first {
            true => send_some(&mut self.stream, bytes, &mut sent),
            false => State::Open,
        };
        self.unsent
            .extend_from_slice(bytes.get(sent..).unwrap_or_default());
        match is_first {
            true => state,
            false => self.flush(),
        }
    }

    /// Sends more of the kept bytes.
    pub(crate) fn flush(&mut self) -> State {
        let state = send_some(&mut self.stream, &self.unsent, &mut self.sent);
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
        state
    }

    /// Receives what has come.
    pub(crate) fn receive(&mut self) -> State {
        thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; RECEIVE_BYTES]));
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                match self.stream.read(buffer) {
                    Ok(0) => return State::Closed,
                    Ok(length) => {
                        let new = buffer.get(..length).unwrap_or_default();
                        self.received.extend_from_slice(new);
                        if length < buffer.len() {
                            return State::Open;
                        }
                    }
                    Err(error) if is_temporary(error.kind()) => return State::Open,
                    Err(_) => return State::Closed,
                }
            }
        })
    }

    /// Returns the events to wait for.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let flags = if self.unsent.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        };
        PollFd::new(&self.stream, flags)
    }
}

/// Sends as many of these bytes from `sent` on as the system takes.
fn send_some(stream: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> State {
    while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return State::Closed,
            Ok(length) => *sent += length,
            Err(error) if is_temporary(error.kind()) => return State::Open,
            Err(_) => return State::Closed,
        }
    }
    State::Open
}

fn is_temporary(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until something can be done. The answer has an entry for each of `waiting`.
pub(crate) fn wait(waiting: &mut [PollFd<'_>], at_most: Duration) -> Result<Vec<bool>> {
    let timeout = Timespec {
        tv_sec: i64::try_from(at_most.as_secs())?,
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    match poll(waiting, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(waiting
        .iter()
        .map(|socket| !socket.revents().is_empty())
        .collect())
}
