//! The target: a server that answers at once and counts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags};
use testkit::http1::framing::{Kind, first};

use crate::socket::{Socket, State, wait};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const POLL_TIMEOUT: Duration = Duration::from_millis(50);

/// Requests whose path has this prefix are noted with the time of their arrival.
pub(super) const NOTED: &str = "/noted/";

/// What the target has seen.
#[derive(Debug, Default)]
struct Seen {
    calls: AtomicU64,
    arrivals: Mutex<BTreeMap<String, Instant>>,
    is_over: AtomicBool,
}

/// A running target. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) port: u16,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Target {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let thread = Some(thread::spawn(move || serve(&listener, &shared)));
        Ok(Self { port, seen, thread })
    }

    /// Returns how many asynchronous calls have arrived.
    pub(super) fn calls(&self) -> u64 {
        self.seen.calls.load(Ordering::Relaxed)
    }

    /// Returns when the request with this noted path arrived.
    pub(super) fn arrival(&self, path: &str) -> Option<Instant> {
        let arrivals = self
            .seen
            .arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        arrivals.get(path).copied()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it failed, some calls have not arrived.
            let _ended = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, seen: &Seen) -> Result<()> {
    let mut sockets: Vec<Socket> = Vec::new();
    while !seen.is_over.load(Ordering::Relaxed) {
        let mut waiting: Vec<_> = sockets.iter().map(Socket::interest).collect();
        waiting.push(PollFd::new(listener, PollFlags::IN));
        let is_ready = wait(&mut waiting, POLL_TIMEOUT)?;
        let mut ready = is_ready.into_iter();
        sockets
            .retain_mut(|socket| ready.next() != Some(true) || answer(socket, seen) == State::Open);
        while let Ok((stream, _)) = listener.accept() {
            sockets.push(Socket::new(stream)?);
        }
    }
    Ok(())
}

fn answer(socket: &mut Socket, seen: &Seen) -> State {
    if socket.flush() == State::Closed || socket.receive() == State::Closed {
        return State::Closed;
    }
    // A client that does not send HTTP gets no answer.
    while let Ok(Some(request)) = first(Kind::Request, &socket.received, false) {
        if request.head.field("async-call-id").is_some() {
            seen.calls.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(path) = request.head.word(1).filter(|path| path.starts_with(NOTED)) {
            let mut arrivals = seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.entry(path.to_owned()).or_insert_with(Instant::now);
        }
        let length = request.length;
        socket.received.drain(..length);
        if socket.send(ANSWER) == State::Closed {
            return State::Closed;
        }
    }
    State::Open
}
