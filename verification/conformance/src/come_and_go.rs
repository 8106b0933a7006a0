//! Servers that are killed, ended and started again while clients use them.
//!
//! No request is under way when a server goes: clients that see one lost would have to find out
//! what became of it, and Oracle's don't. (`kafka-cluster`'s tests have a client that does.) What
//! is tried is everything that lasts longer than a request: streams, cursors, the control plane's
//! owner.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use local_gateway::http;
use local_gateway::process::{Process, Program};
use testkit::wait;

/// How long a server may take to end or to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests between two deaths.
const REQUESTS: usize = 3;

/// What requests and deaths agree by.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Held by requests to read and by deaths to write.
    pub(crate) door: RwLock<()>,
    /// Requests that were answered.
    pub(crate) answered: AtomicUsize,
    is_over: AtomicBool,
}

impl Gate {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A server that may go, and the port that it comes back on.
pub(crate) struct Mortal {
    pub(crate) program: Program,
    pub(crate) process: Process,
    pub(crate) port: u16,
}

/// Lets servers come and go until it is dropped.
#[derive(Debug)]
pub(crate) struct ComeAndGo {
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl ComeAndGo {
    pub(crate) fn start(mut servers: Vec<Mortal>, gate: Arc<Gate>) -> Self {
        let shared = Arc::clone(&gate);
        let thread = std::thread::spawn(move || {
            for round in 0.. {
                if shared.is_over() {
                    return;
                }
                let count = servers.len().max(1);
                let Some(server) = servers.get_mut(round % count) else {
                    return;
                };
                if let Err(error) = server.die_and_live(round, &shared) {
                    // The clients see that it is gone.
                    eprintln!("a server doesn't come back: {error:#}");
                    return;
                }
            }
        });
        let thread = Some(thread);
        Self { gate, thread }
    }
}

impl Drop for ComeAndGo {
    fn drop(&mut self) {
        self.gate.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        drop(ended);
    }
}

impl Mortal {
    fn die_and_live(&mut self, round: usize, gate: &Gate) -> Result<()> {
        let before = gate.answered.load(Ordering::Relaxed);
        wait::until(PATIENCE, || {
            let answered = gate.answered.load(Ordering::Relaxed);
            gate.is_over() || answered >= before.saturating_add(REQUESTS)
        });
        let closed = gate.door.write().unwrap_or_else(PoisonError::into_inner);
        match round / 2 % 2 {
            0 => self.process.kill9()?,
            _ => self.process.terminate(PATIENCE)?,
        }
        drop(closed);
        self.process = Process::start(&self.program)?;
        let health = format!("http://127.0.0.1:{}/health", self.port);
        self.process
            .wait_until(PATIENCE, "answer to GET /health", || {
                gate.is_over() || http::get(&health).is_ok_and(|answer| answer.status == 200)
            })
    }
}
