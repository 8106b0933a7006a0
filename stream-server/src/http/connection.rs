//! A connection that is closed if its client is too slow or says nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::connections::Seat;
use crate::limits::{HEAD_TIMEOUT, WRITE_TIMEOUT};

/// A TCP connection with three deadlines: for the next request to begin, for its headers to be
/// complete, and for an answer to be read.
pub(crate) struct Connection {
    stream: TcpStream,
    seat: Arc<Seat>,
    /// The seat's count when it was last looked at.
    turns: u64,
    idle_timeout: Duration,
    reading: Reading,
    /// When the present read must be over.
    read_deadline: Instant,
    /// Wakes the task at that time or before. It is set only when the task waits, and not anew for
    /// each request.
    read_alarm: Pin<Box<Sleep>>,
    /// Runs from the moment that the client stops reading until everything is written.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing of the next request has come.
    Idle,
    /// Some of its headers have.
    Head,
    /// The request has begun, and has deadlines of its own.
    Body,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, seat: Arc<Seat>, idle_timeout: Duration) -> Self {
        // A new connection has less time for its first request than an old one between two
        // requests.
        let read_alarm = Box::pin(tokio::time::sleep(HEAD_TIMEOUT));
        let reading = Reading::Head;
        Self {
            stream,
            turns: seat.turns(),
            seat,
            idle_timeout,
            reading,
            read_deadline: read_alarm.deadline(),
            read_alarm,
            write_deadline: None,
        }
    }

    fn turn_to(&mut self, reading: Reading, timeout: Option<Duration>) {
        self.reading = reading;
        if let Some(deadline) = timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            self.read_deadline = deadline;
        }
    }

    /// Updates the deadlines by what has happened to the request, before the server waits for the
    /// client. A request that was answered at once has begun and ended since the last time.
    fn update(&mut self) {
        let turns = self.seat.turns();
        if turns == self.turns {
            return;
        }
        self.turns = turns;
        match turns.is_multiple_of(2) {
            true => self.turn_to(Reading::Idle, Some(self.idle_timeout)),
            false => self.turn_to(Reading::Body, None),
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.reading == Reading::Body {
            return Poll::Pending;
        }
        if self.read_alarm.deadline() > self.read_deadline {
            self.read_alarm.as_mut().reset(self.read_deadline);
        }
        loop {
            ready!(self.read_alarm.as_mut().poll(cx));
            if self.read_alarm.deadline() >= self.read_deadline {
                break;
            }
            // It was set for an earlier request.
            self.read_alarm.as_mut().reset(self.read_deadline);
        }
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client sent no whole request",
        ))
    }

    /// Starts the deadline if a write can't go on. A write that goes on slowly doesn't end the
    /// deadline.
    fn poll_stuck<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let start = || Box::pin(tokio::time::sleep(WRITE_TIMEOUT));
        ready!(
            self.write_deadline
                .get_or_insert_with(start)
                .as_mut()
                .poll(cx)
        );
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read",
        )))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.update();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() {
            if this.reading == Reading::Idle && buffer.filled().len() > before {
                this.turn_to(Reading::Head, Some(HEAD_TIMEOUT));
                this.seat.wait();
            }
            return read;
        }
        this.poll_late(cx).map(Err)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.poll_stuck(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.poll_stuck(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The server flushes once it has nothing left to write, and may not read until something
        // comes. A late client is told so when it reads.
        this.write_deadline = None;
        this.update();
        let _ = this.poll_late(cx);
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
