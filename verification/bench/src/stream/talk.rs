//! Batches on many connections of one thread, with the same loop for every protocol.

use std::borrow::Cow;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use provision::cancel;

use crate::socket::{Socket, State, wait};

const POLL_TIMEOUT: Duration = Duration::from_millis(20);
/// No server takes so long for one batch.
const PATIENCE: Duration = Duration::from_secs(120);

/// The meaning of the first bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How many bytes they are.
    pub(crate) length: usize,
    /// How many messages they acknowledge or carry.
    pub(crate) messages: usize,
}

/// What one connection says again and again: a request for a batch, until all of it is answered.
pub(crate) trait Talk {
    /// Returns what is said once, before the first request.
    fn opening(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Returns the next request.
    fn request(&self) -> Cow<'_, [u8]>;

    /// Returns how many messages answer a request.
    fn batch(&self) -> usize;

    /// Returns the first answer, once it is there. Wrong ones are errors.
    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>>;
}

struct Connection<T> {
    socket: Socket,
    talk: T,
    /// Messages of the present request without an answer.
    unanswered: usize,
}

impl<T: Talk> Connection<T> {
    fn open(port: u16, talk: T) -> Result<Self> {
        let mut socket = Socket::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)?;
        let unanswered = talk.batch();
        socket.send(&[talk.opening(), talk.request().into_owned()].concat());
        Ok(Self {
            socket,
            talk,
            unanswered,
        })
    }

    /// Counts what has come, and asks again if a batch is done.
    fn turn(&mut self, go_on: bool) -> Result<usize> {
        if self.socket.flush() == State::Closed || self.socket.receive() == State::Closed {
            bail!("the server closed the connection");
        }
        let (mut start, mut messages) = (0, 0);
        let received = &self.socket.received;
        while let Some(taken) = self.talk.take(received.get(start..).unwrap_or_default())? {
            start += taken.length;
            messages += taken.messages;
        }
        self.socket.received.drain(..start);
        self.unanswered = self.unanswered.saturating_sub(messages);
        if messages > 0 && self.unanswered == 0 && go_on {
            self.unanswered = self.talk.batch();
            self.socket.send(&self.talk.request());
        }
        Ok(messages)
    }
}

/// Talks on all connections for a while, until every request is answered. Returns messages per
/// second and how many there were.
pub(crate) fn rate<T: Talk>(
    port: u16,
    talks: impl Iterator<Item = T>,
    duration: Duration,
) -> Result<(f64, u64)> {
    let start = Instant::now();
    let connections: Result<Vec<_>> = talks.map(|talk| Connection::open(port, talk)).collect();
    let (mut connections, mut messages) = (connections?, 0);
    // The last batches count with their time. Otherwise nothing could be counted if a batch takes
    // longer than the measurement.
    while connections.iter().any(|open| open.unanswered > 0) {
        let elapsed = start.elapsed();
        messages += turn(&mut connections, elapsed < duration)?;
        if elapsed > duration + PATIENCE {
            bail!(
                "some batches were not answered within {} s",
                PATIENCE.as_secs()
            );
        }
    }
    Ok((per_second(messages, start.elapsed())?, messages))
}

/// Talks on one connection until so many messages have come. Returns messages per second.
pub(crate) fn rate_of(port: u16, talk: impl Talk, messages_max: u64) -> Result<f64> {
    let start = Instant::now();
    let mut connection = [Connection::open(port, talk)?];
    let (mut messages, mut progress) = (0, start);
    while messages < messages_max {
        let more = turn(&mut connection, true)?;
        messages += more;
        if more > 0 {
            progress = Instant::now();
        } else if progress.elapsed() > PATIENCE {
            bail!("no answer for {} s", PATIENCE.as_secs());
        }
    }
    per_second(messages, start.elapsed())
}

fn turn<T: Talk>(connections: &mut [Connection<T>], go_on: bool) -> Result<u64> {
    cancel::check()?;
    let mut waiting: Vec<_> = connections
        .iter()
        .map(|open| open.socket.interest())
        .collect();
    let is_ready = wait(&mut waiting, POLL_TIMEOUT)?;
    let mut messages = 0;
    for (open, _) in connections
        .iter_mut()
        .zip(is_ready)
        .filter(|(_, ready)| *ready)
    {
        messages += open.turn(go_on)?;
    }
    Ok(u64::try_from(messages)?)
}

pub(crate) fn per_second(count: u64, time: Duration) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?) / time.as_secs_f64())
}

/// Returns the first line with its end, and what comes after it.
pub(crate) fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    bytes.split_at_checked(end + 1)
}
