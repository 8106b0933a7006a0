//! A server in this process that can be killed and restarted on its port, as a process can.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http1::Message;
use crate::http1::framing::Kind;
use crate::wait;

/// The most bytes that are read at a time.
const READ_BYTES: usize = 65_536;

/// A request with the number of the connection that brought it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The number of the connection, from 0, never reused.
    pub connection: u64,
    /// The request.
    pub message: Message,
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers it.
    Reply {
        /// The status code.
        status: u16,
        /// Fields; `content-length` is added.
        fields: Vec<(String, String)>,
        /// The content.
        body: Vec<u8>,
    },
    /// Sends these bytes, whatever they mean.
    Raw(Vec<u8>, After),
    /// Never answers, until the other side gives up.
    Hang,
    /// Closes the connection without a word.
    Close,
}

/// What follows after bytes that were sent as they are.
#[derive(Clone, Debug)]
pub enum After {
    /// The next request of the connection.
    Next,
    /// The connection is closed.
    Close,
    /// Nothing, until the other side gives up.
    Hang,
    /// The same bytes again and again, until the other side gives up.
    Repeat(Vec<u8>),
    /// The same, with a pause before each.
    Drip(Vec<u8>, Duration),
}

impl Answer {
    /// Returns an answer without content.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply {
            status,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Returns an answer with JSON.
    #[must_use]
    pub fn json(status: u16, json: &serde_json::Value) -> Self {
        Self::Reply {
            status,
            fields: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: json.to_string().into_bytes(),
        }
    }

    /// Adds a field to an answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply { fields, .. } = &mut self {
            fields.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// What a server does, in a thread for each connection.
pub type Handler = Arc<dyn Fn(Incoming) -> Answer + Send + Sync>;

/// The server. Dropping it kills it.
pub struct Server {
    port: u16,
    handler: Handler,
    running: Option<Running>,
}

struct Running {
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

/// What the threads of one life of the server share.
#[derive(Default)]
struct Shared {
    is_dead: AtomicBool,
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(handler: Handler) -> Self {
        let port = local_gateway::ports::free().expect("a free port");
        let mut server = Self {
            port,
            handler,
            running: None,
        };
        server.restart();
        server
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes the listener and every connection at once, whatever is under way on it.
    pub fn kill(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.shared.is_dead.store(true, Ordering::SeqCst);
        // Ends the wait for the next connection.
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ended = running.acceptor.join();
        for stream in running.shared.open().values() {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Starts again, with the same port.
    ///
    /// # Panics
    /// When somebody else has taken the port.
    pub fn restart(&mut self) {
        self.kill();
        let listener = bind(self.port).expect("our port");
        let shared = Arc::new(Shared::default());
        let handler = self.handler.clone();
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared, &handler))
        };
        self.running = Some(Running { shared, acceptor });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Listens on a port that is known to be free. A process that another test starts at this moment
/// has a copy of every socket of this process between its fork and its exec, including closed ones.
/// So the error "in use" may pass by itself.
fn bind(port: u16) -> io::Result<TcpListener> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut result = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    wait::until(PATIENCE, || {
        let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        if result.as_ref().is_err_and(in_use) {
            result = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        }
        !result.as_ref().is_err_and(in_use)
    });
    result
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, handler: &Handler) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for stream in listener.incoming() {
        if shared.is_dead.load(Ordering::SeqCst) {
            return;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        shared.open().insert(number, handle);
        let (shared, handler) = (shared.clone(), handler.clone());
        thread::spawn(move || {
            // An error ends the connection, as intended.
            let _broken = serve(stream, number, &shared, &handler);
            shared.open().remove(&number);
        });
    }
}

fn serve(mut stream: TcpStream, number: u64, shared: &Shared, handler: &Handler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(message) = read(&mut stream, &mut received)? {
        let to_head = message.word(0) == "HEAD";
        let answer = handler(Incoming {
            connection: number,
            message,
        });
        if shared.is_dead.load(Ordering::SeqCst) {
            break;
        }
        match answer {
            Answer::Reply {
                status,
                fields,
                body,
            } => {
                let head = response_head(status, &fields, body.len());
                let body = if to_head { Vec::new() } else { body };
                stream.write_all(&[head, body].concat())?;
            }
            Answer::Raw(bytes, after) => {
                stream.write_all(&bytes)?;
                if !go_on(&mut stream, after)? {
                    break;
                }
            }
            Answer::Hang => {
                stream.read_to_end(&mut Vec::new())?;
                break;
            }
            Answer::Close => break,
        }
    }
    stream.shutdown(Shutdown::Both)
}

/// Returns the next request; `None` if the other side has closed the connection instead.
fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Message>> {
    let mut buffer = [0; READ_BYTES];
    loop {
        if let Some(message) = Message::take(Kind::Request, received, false)? {
            return Ok(Some(message));
        }
        match stream.read(&mut buffer)? {
            0 if received.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => received.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Returns whether the connection goes on to its next request.
fn go_on(stream: &mut TcpStream, after: After) -> io::Result<bool> {
    match after {
        After::Next => return Ok(true),
        After::Close => {}
        After::Hang => {
            stream.read_to_end(&mut Vec::new())?;
        }
        After::Repeat(bytes) => loop {
            stream.write_all(&bytes)?;
        },
        After::Drip(bytes, pause) => loop {
            thread::sleep(pause);
            stream.write_all(&bytes)?;
        },
    }
    Ok(false)
}

fn response_head(status: u16, fields: &[(String, String)], length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Returns a port where nobody listens: the former port of a server that is gone.
#[must_use]
pub fn deserted_port() -> u16 {
    Server::start(Arc::new(|_| Answer::Close)).port()
}
