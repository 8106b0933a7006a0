//! A link between two parts that can be cut: a small TCP proxy that forwards, refuses or drops.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

/// Bytes that one connection buffers in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// If there are more connections than this, new ones are closed at once.
const CONNECTIONS_MAX: usize = 1024;

/// What a link does with connections and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Forwards it.
    #[default]
    Forward,
    /// Resets connections and takes no new ones.
    Refuse,
    /// Takes everything and lets nothing through. What it has taken is never delivered.
    Drop,
    /// Is gone.
    End,
}

/// The proxy. Dropping it ends it.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    manner: Manner,
    next: u64,
    open: BTreeMap<u64, [TcpStream; 2]>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the link no longer drops. Returns whether it was free all the time.
    fn pass(&self) -> bool {
        let state = self.state();
        if state.manner == Manner::Forward {
            return true;
        }
        let dropping = |state: &mut State| state.manner == Manner::Drop;
        let _over = self.changed.wait_while(state, dropping);
        false
    }
}

impl Link {
    /// Starts a proxy on a free port, to a port of this machine.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn to(port: u16) -> Result<Self> {
        let own = local_gateway::ports::free()?;
        Self::at((Ipv4Addr::LOCALHOST, own).into(), port)
    }

    /// Starts a proxy at an address of the loopback interface, to a port of this machine.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn at(address: SocketAddr, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(address);
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        let shared = Arc::new(Shared::default());
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared, port))
        };
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets what the link does from now on.
    pub fn set(&self, manner: Manner) {
        let mut state = self.shared.state();
        state.manner = manner;
        if matches!(manner, Manner::Refuse | Manner::End) {
            for ends in state.open.values() {
                close(ends);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Manner::End);
        // Ends the wait for the next connection.
        let _woken = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, to: u16) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        let manner = {
            let state = shared.state();
            if state.open.len() >= CONNECTIONS_MAX {
                Manner::Refuse
            } else {
                state.manner
            }
        };
        match manner {
            Manner::End => return,
            Manner::Refuse => drop(client),
            Manner::Forward | Manner::Drop => {
                let shared = shared.clone();
                thread::spawn(move || serve(client, &shared, to));
            }
        }
    }
}

/// Carries one connection from its beginning to its end.
fn serve(client: TcpStream, shared: &Shared, to: u16) {
    if !shared.pass() {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
        return;
    };
    let (Ok(a), Ok(b)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let _quick = (client.set_nodelay(true), server.set_nodelay(true));
    let number = {
        let mut state = shared.state();
        state.next = state.next.wrapping_add(1);
        let number = state.next;
        state.open.insert(number, [a, b]);
        number
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(&client, &server, shared));
        pump(&server, &client, shared);
    });
    shared.state().open.remove(&number);
}

/// Carries bytes one way until the connection ends or has met a cut.
fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).unwrap_or_default();
        // An end is information too, which a cut keeps from the other side.
        if !shared.pass() {
            break;
        }
        match buffer.get(..length) {
            Some(bytes) if !bytes.is_empty() => {
                if to.write_all(bytes).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    let _closed = from.shutdown(Shutdown::Both);
    let _closed = to.shutdown(Shutdown::Both);
}

fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        // It may already be closed.
        let _closed = end.shutdown(Shutdown::Both);
    }
}
