//! The load: clients that send marked requests at a certain pace, and note what they are told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use testkit::http1::{Connection, Request as Message, Response};

use crate::history::{Gateway, Number, Request, Told, Wish};
use crate::plan::{GATEWAYS, ORDER_KEYS, SHORT_TIMEOUT, Script, script, wish};
use crate::record::{Record, unix_now};
use crate::target::{CALLS, REPLIES};

/// Clients without an order key.
const FREE_CLIENTS: usize = 6;

/// The mean pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// The mean pause of clients with an order key. Their calls are made one at a time, failures
/// included. If they sent more than that, a backlog would hold back commits.
const ORDERED_PAUSE: Duration = Duration::from_millis(800);

/// What the clients share.
struct Shared {
    seed: u64,
    ports: [u16; GATEWAYS],
    record: Arc<Record>,
    next: AtomicU64,
    calls: u64,
    is_over: AtomicBool,
}

/// The running clients.
pub struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts clients of gateways on these ports, which send up to so many requests.
    #[must_use]
    pub fn start(seed: u64, ports: [u16; GATEWAYS], calls: u64, record: Arc<Record>) -> Self {
        let shared = Arc::new(Shared {
            seed,
            ports,
            record,
            next: AtomicU64::new(1),
            calls,
            is_over: AtomicBool::new(false),
        });
        let keys = (0..ORDER_KEYS).map(Some);
        let keys = keys.chain((0..FREE_CLIENTS).map(|_| None));
        let threads = keys.enumerate().map(|(client, order_key)| {
            let shared = shared.clone();
            thread::spawn(move || send(&shared, client, order_key))
        });
        Self {
            threads: threads.collect(),
            shared,
        }
    }

    /// Returns whether all requests were sent.
    #[must_use]
    pub fn are_done(&self) -> bool {
        self.shared.next.load(Ordering::SeqCst) > self.shared.calls
    }

    /// Asks them to end, each after its current request.
    pub fn stop(&self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }

    /// Waits until they have ended.
    pub fn join(self) {
        self.stop();
        for thread in self.threads {
            // A thread that has panicked has already said so.
            let _ended = thread.join();
        }
    }
}

fn send(shared: &Shared, client: usize, order_key: Option<usize>) {
    let mut rng = Rng::with_seed(shared.seed.wrapping_add(client as u64));
    let mut connections = [const { None }; GATEWAYS];
    while !shared.is_over.load(Ordering::SeqCst) {
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        if number > shared.calls {
            return;
        }
        let gateway = rng.usize(..GATEWAYS);
        let wish = wish(shared.seed, number, order_key);
        let Some(connection) = connections.get_mut(gateway) else {
            return;
        };
        let request = ask(shared, connection, gateway, number, wish);
        shared.record.request(request);
        let pause = order_key.map_or(PAUSE, |_| ORDERED_PAUSE);
        thread::sleep(pause.mul_f64(rng.f64() * 2.0));
    }
}

fn ask(
    shared: &Shared,
    connection: &mut Option<Connection>,
    gateway: Gateway,
    number: Number,
    wish: Wish,
) -> Request {
    let port = shared.ports.get(gateway).copied().unwrap_or_default();
    let record = &shared.record;
    let due_unix = wish.delay.map(|delay| unix_now().saturating_add(delay));
    let message = message(shared.seed, number, &wish, due_unix);
    let at = record.now();
    let told = told(connection, port, &message);
    let answered = record.now();
    let is_accepted = matches!(told, Told::Accepted(_));
    let again = (wish.is_keyed && is_accepted).then(|| {
        let at = record.now();
        let told = self::told(connection, port, &message);
        (at, record.now(), told)
    });
    Request {
        number,
        gateway,
        wish,
        at,
        due_unix,
        answered,
        told,
        again,
    }
}

fn message(seed: u64, number: Number, wish: &Wish, due_unix: Option<u64>) -> Message {
    let path = format!("/t{}/{CALLS}/{number}", wish.target);
    let mut message = Message::new("POST", &path).marked();
    if let Some(due) = due_unix {
        let (seconds, millis) = (due / 1_000, due % 1_000);
        message = message.field("Async-Deliver-At", format!("{seconds}.{millis:03}"));
    }
    if let Some(key) = wish.order_key {
        message = message.field("Async-Order-Key", format!("key-{key}"));
    }
    if wish.reply {
        message = message.field("Async-Reply-To", format!("/t0/{REPLIES}/{number}"));
    }
    if wish.is_keyed {
        message = message.field("Idempotency-Key", format!("request-{number}"));
    }
    if script(seed, number) == Script::Hang {
        message = message.field("Async-Timeout", format!("{SHORT_TIMEOUT}ms"));
    }
    message.body(&path)
}

/// Sends a request on the present connection, or on a new one.
fn told(connection: &mut Option<Connection>, port: u16, message: &Message) -> Told {
    let open = connection.take();
    let Ok(mut open) = open.map_or_else(|| Connection::open(port), Ok) else {
        return Told::NotSent;
    };
    let answer: io::Result<Response> = open.exchange(message);
    let Ok(answer) = answer else {
        return Told::Unknown;
    };
    *connection = Some(open);
    match answer.status {
        202 => Told::Accepted(answer.message.text("async-call-id")),
        503 if is_not_stored(&answer) => Told::Refused(503),
        500.. => Told::Unknown,
        status => Told::Refused(status),
    }
}

/// Returns whether the answer says that nothing was stored. If a gateway doesn't know, it says
/// that, and Envoy's own answers don't say anything about it.
fn is_not_stored(answer: &Response) -> bool {
    let problem = serde_json::from_slice(&answer.message.body);
    let problem: Value = problem.unwrap_or_default();
    problem.get("stored").and_then(Value::as_str) == Some("no")
}
