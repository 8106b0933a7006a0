//! Spreads requests over several servers, each to any of them, as clients find it behind a load
//! balancer.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use testkit::http1::{Connection, Message};
use testkit::server::{After, Answer, Server};
use testkit::wait;

use crate::come_and_go::Gate;

/// How long a request that no server takes is sent to one after the other.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// A proxy. Dropping it ends it.
pub(crate) struct Spread(Server);

impl fmt::Debug for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Spread({})", self.0.port())
    }
}

impl Spread {
    /// Starts one on a free port, in front of these ports. With a gate the servers come and go:
    /// what isn't taken (no connection, or 503) goes to another one.
    pub(crate) fn start(ports: Vec<u16>, gate: Option<Arc<Gate>>) -> Self {
        let next = AtomicUsize::new(0);
        Self(Server::start(Arc::new(move |incoming| {
            // Every server gets the rules of faults.
            if incoming.message.word(1) == "/faults" {
                let pass_on = |port: &u16| passed_on(*port, &incoming.message);
                let mut all: Vec<_> = ports.iter().map(pass_on).collect();
                return match all.pop() {
                    Some(Ok(bytes)) => Answer::Raw(bytes, After::Next),
                    Some(Err(_)) | None => Answer::Close,
                };
            }
            let to_any = || {
                let place = next.fetch_add(1, Ordering::Relaxed) % ports.len().max(1);
                passed_on(
                    ports.get(place).copied().unwrap_or_default(),
                    &incoming.message,
                )
            };
            let answer = match &gate {
                None => to_any(),
                Some(gate) => taken(gate, to_any),
            };
            match answer {
                Ok(bytes) => Answer::Raw(bytes, After::Next),
                Err(_) => Answer::Close,
            }
        })))
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }
}

/// Tries until a server takes the request.
fn taken(gate: &Gate, to_any: impl Fn() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut last = Err(io::ErrorKind::TimedOut.into());
    wait::until_some(PATIENCE, PAUSE, || {
        let open = gate.door.read().unwrap_or_else(PoisonError::into_inner);
        last = to_any();
        drop(open);
        let is_taken = last
            .as_ref()
            .is_ok_and(|bytes| !bytes.starts_with(b"HTTP/1.1 503"));
        is_taken.then_some(())
    });
    gate.answered.fetch_add(1, Ordering::Relaxed);
    last
}

/// Has a server answer a request.
fn passed_on(port: u16, request: &Message) -> io::Result<Vec<u8>> {
    let mut connection = Connection::open(port)?;
    connection.send(&bytes(request))?;
    let response = connection.receive(request.word(0) == "HEAD")?;
    Ok(bytes(&response.message))
}

/// Returns a message as it goes on the wire. Chunks have been joined.
fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = message.start.clone();
    let is_chunked = |name: &[u8]| name.eq_ignore_ascii_case(b"transfer-encoding");
    for (name, value) in &message.fields {
        if is_chunked(name) {
            let length = format!("\r\ncontent-length: {}", message.body.len());
            bytes.extend_from_slice(length.as_bytes());
            continue;
        }
        for part in [&b"\r\n"[..], name, b": ", value] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(&message.body);
    bytes
}
