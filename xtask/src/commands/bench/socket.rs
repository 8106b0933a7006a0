//! Many sockets in one thread: what waits for bytes is told by `poll`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How a socket stands after it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
}

/// A connection with what it still has to send and what it has received.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    unsent: Vec<u8>,
    pub(super) received: Vec<u8>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            received: Vec::new(),
        })
    }

    /// Sends now what the system takes, and keeps the rest.
    pub(super) fn send(&mut self, bytes: &[u8]) -> State {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends more of what was kept.
    pub(super) fn flush(&mut self) -> State {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return State::Closed,
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if is_temporary(error.kind()) => return State::Open,
                Err(_) => return State::Closed,
            }
        }
        State::Open
    }

    /// Receives what is there.
    pub(super) fn receive(&mut self) -> State {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return State::Closed,
                Ok(length) => {
                    self.received
                        .extend_from_slice(buffer.get(..length).unwrap_or_default());
                    if length < buffer.len() {
                        return State::Open;
                    }
                }
                Err(error) if is_temporary(error.kind()) => return State::Open,
                Err(_) => return State::Closed,
            }
        }
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFd<'_> {
        let flags = if self.unsent.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        };
        PollFd::new(&self.stream, flags)
    }
}

fn is_temporary(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until something can be done; the answer has an entry for each of `waiting`.
pub(super) fn wait(waiting: &mut [PollFd<'_>], at_most: Duration) -> Result<Vec<bool>> {
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
