//! The load generator: it sends the same request over and over on many connections, and keeps them
//! as long as the server does.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use provision::cancel;
use testkit::http1::Request;
use testkit::http1::framing::{Kind, first};

use crate::socket::{Socket, State, wait};

/// Answers of this time are not counted, so that connections are open and queues are filled when
/// counting begins.
const WARM_UP: Duration = Duration::from_millis(500);
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// What is sent, where, and which answer is right.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) port: u16,
    pub(super) request: Vec<u8>,
    pub(super) status: u16,
    pub(super) connections: usize,
    pub(super) duration: Duration,
}

/// The results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    /// All right answers, including those of the warm-up.
    pub(super) answers: u64,
    pub(super) wrong_answers: u64,
}

impl Load {
    /// Sends for its duration and then waits for the answers that are still open.
    pub(super) fn run(&self) -> Result<Measured> {
        let mut sockets = (0..self.connections)
            .map(|_| self.open())
            .collect::<Result<Vec<_>>>()?;
        let mut measured = Measured {
            per_second: 0.0,
            answers: 0,
            wrong_answers: 0,
        };
        let start = Instant::now();
        let mut counting_since = None;
        let end = start + WARM_UP + self.duration;
        while Instant::now() < end {
            cancel::check()?;
            if counting_since.is_none() && start.elapsed() >= WARM_UP {
                counting_since = Some((Instant::now(), measured.answers));
            }
            self.turn(&mut sockets, &mut measured, true)?;
        }
        let (since, before) = counting_since.context("there was no time to count")?;
        let counted = u32::try_from(measured.answers - before)?;
        measured.per_second = f64::from(counted) / since.elapsed().as_secs_f64();
        self.finish(&mut sockets, &mut measured)?;
        if measured.wrong_answers > measured.answers {
            bail!("most answers were not {}: see Envoy's log", self.status);
        }
        Ok(measured)
    }

    fn open(&self) -> Result<Socket> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let mut socket = Socket::new(stream)?;
        socket.send(&self.request);
        Ok(socket)
    }

    /// Lets each socket once do what it can.
    fn turn(&self, sockets: &mut [Socket], measured: &mut Measured, go_on: bool) -> Result<()> {
        let mut waiting: Vec<_> = sockets.iter().map(Socket::interest).collect();
        let is_ready = wait(&mut waiting, POLL_TIMEOUT)?;
        for (socket, _) in sockets
            .iter_mut()
            .zip(is_ready)
            .filter(|(_, is_ready)| *is_ready)
        {
            let is_open = socket.flush() == State::Open && socket.receive() == State::Open;
            let stays_open = self.take_answers(socket, measured, go_on)? == State::Open;
            if go_on && !(is_open && stays_open) {
                *socket = self.open()?;
            }
        }
        Ok(())
    }

    /// Counts the answers that have come and sends as many requests, unless the last answer closes
    /// the connection.
    fn take_answers(
        &self,
        socket: &mut Socket,
        measured: &mut Measured,
        go_on: bool,
    ) -> Result<State> {
        while let Some(answer) = first(Kind::Response, &socket.received, false)? {
            if answer.head.status() == Some(self.status) {
                measured.answers += 1;
            } else {
                measured.wrong_answers += 1;
            }
            let length = answer.length;
            let closes = answer.head.field("connection") == Some(b"close");
            socket.received.drain(..length);
            if closes || (go_on && socket.send(&self.request) == State::Closed) {
                return Ok(State::Closed);
            }
        }
        Ok(State::Open)
    }

    /// Waits for the answers to everything that was sent, before somebody counts what was accepted.
    fn finish(&self, sockets: &mut [Socket], measured: &mut Measured) -> Result<()> {
        let connections = u64::try_from(sockets.len())?;
        let target = measured.answers + measured.wrong_answers + connections;
        let start = Instant::now();
        while measured.answers + measured.wrong_answers < target
            && start.elapsed() < Duration::from_secs(2)
        {
            self.turn(sockets, measured, false)?;
        }
        Ok(())
    }
}

/// Returns a `POST` of `body_bytes`, marked or not.
pub(super) fn request(path: &str, body_bytes: usize, is_marked: bool) -> Vec<u8> {
    let request = plain(path);
    let request = if is_marked { mark(request) } else { request };
    with_body(request, body_bytes)
}

/// Returns a marked `POST` that is to be made at a moment, in Unix milliseconds.
pub(super) fn deferred(path: &str, body_bytes: usize, deliver_at: u128) -> Vec<u8> {
    let (seconds, millis) = (deliver_at / 1_000, deliver_at % 1_000);
    let deliver_at = format!("{seconds}.{millis:03}");
    let request = mark(plain(path)).field("async-deliver-at", deliver_at);
    with_body(request, body_bytes)
}

fn plain(path: &str) -> Request {
    Request::without_host("POST", path)
        .field("host", "bench.local")
        .field("user-agent", "sluice-bench")
        .field("content-type", "application/octet-stream")
}

fn mark(request: Request) -> Request {
    request.field("prefer", "respond-async")
}

fn with_body(request: Request, bytes: usize) -> Vec<u8> {
    request.body("x".repeat(bytes)).bytes()
}
