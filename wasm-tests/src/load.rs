//! Many clients that send marked requests without a pause, and keep a ledger of every `202`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::target::Seen;
use testkit::http1::{Connection, Request};

/// How long a client waits before it tries again to reach a gateway that is gone.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// The answers to the clients.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The ids of the calls that got their `202`: they have to arrive.
    pub promised: Vec<String>,
    /// How often each other status came.
    pub refused: BTreeMap<u16, usize>,
    /// Connections that broke or could not be made.
    pub broken: usize,
    /// Requests without an answer although their connection stayed.
    pub hung: usize,
}

/// The running clients.
pub struct Load {
    is_over: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients of the gateway on this port.
    #[must_use]
    pub fn start(port: u16, clients: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let clients = (0..clients).map(|client| {
            let (is_over, ledger) = (is_over.clone(), ledger.clone());
            thread::spawn(move || send(port, client, &is_over, &ledger))
        });
        Self {
            clients: clients.collect(),
            is_over,
            ledger,
        }
    }

    /// Returns how many calls got their `202` so far.
    #[must_use]
    pub fn promised(&self) -> usize {
        lock(&self.ledger).promised.len()
    }

    /// Returns how many requests failed so far, one way or another.
    #[must_use]
    pub fn failed(&self) -> usize {
        let ledger = lock(&self.ledger);
        ledger.refused.values().sum::<usize>() + ledger.broken + ledger.hung
    }

    /// Ends the clients, each after its current request.
    #[must_use]
    pub fn end(self) -> Ledger {
        self.is_over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("a client");
        }
        lock(&self.ledger).clone()
    }
}

/// Returns whether an arrived request is one that a client has sent, and not a mixture of two.
#[must_use]
pub fn is_whole(seen: &Seen) -> bool {
    seen.message.body == seen.target().as_bytes()
}

fn send(port: u16, client: usize, is_over: &AtomicBool, ledger: &Mutex<Ledger>) {
    let mut open = None;
    let mut number = 0_u64;
    while !is_over.load(Ordering::SeqCst) {
        let connection = open.take().map_or_else(|| Connection::open(port), Ok);
        number += 1;
        let path = format!("/load?client={client}&number={number}");
        let request = Request::new("POST", &path).marked().body(&path);
        let response = connection.and_then(|mut connection| {
            let response = connection.exchange(&request)?;
            open = Some(connection);
            Ok(response)
        });
        let mut told = lock(ledger);
        match response {
            Ok(response) if response.status == 202 => {
                told.promised.push(response.message.text("async-call-id"));
                continue;
            }
            Ok(response) => *told.refused.entry(response.status).or_default() += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                told.hung += 1;
            }
            Err(_) => told.broken += 1,
        }
        drop(told);
        thread::sleep(RECONNECT_PAUSE);
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
