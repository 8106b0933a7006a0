//! The recording target: the gateway calls it like somebody's function.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use testkit::Field;
use testkit::http1::Message;
use testkit::server::{Answer, Server};

/// A request that the target got.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of this request among those to its path (without the query), from 1.
    pub nth: usize,
    /// The connection that brought it.
    pub connection: u64,
    /// The request, byte for byte.
    pub message: Message,
}

impl Seen {
    /// Returns its path and query.
    #[must_use]
    pub fn target(&self) -> String {
        self.message.word(1)
    }

    /// Returns its path without the query.
    #[must_use]
    pub fn path(&self) -> String {
        let target = self.target();
        let path = target.split('?').next();
        path.unwrap_or_default().to_owned()
    }

    /// Returns the call that the request belongs to; empty if it is not a call.
    #[must_use]
    pub fn call_id(&self) -> String {
        self.message.text("async-call-id")
    }

    /// Returns the number of the attempt; empty if it is not a call.
    #[must_use]
    pub fn attempt(&self) -> String {
        self.message.text("async-attempt")
    }

    /// Returns whether its path has dot segments with parameters, such as `/..;x/`, which Envoys
    /// without a patch leave (CVE-2026-73551). Such a request is no call: other Envoys change its
    /// path.
    #[must_use]
    pub fn has_dots_with_parameters(&self) -> bool {
        let path = self.path();
        path.contains("/..;") || path.contains("/.;")
    }

    /// Returns the field lines with these names taken out.
    #[must_use]
    pub fn fields_without(&self, names: &[&str]) -> Vec<Field> {
        let mut fields = self.message.fields.clone();
        let is_left_out = |field: &[u8]| {
            let mut names = names.iter();
            names.any(|name| field.eq_ignore_ascii_case(name.as_bytes()))
        };
        fields.retain(|(name, _)| !is_left_out(name));
        fields
    }
}

/// What the target answers. It may block: only its own connection waits.
type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

/// The target. Dropping it kills it.
pub struct Target {
    server: Server,
    records: Arc<Mutex<Records>>,
}

#[derive(Default)]
struct Records {
    seen: Vec<Seen>,
    by_path: BTreeMap<String, usize>,
}

impl Target {
    /// Returns a target that answers everything with 200.
    #[must_use]
    pub fn start() -> Self {
        Self::scripted(|_| Answer::status(200))
    }

    /// Returns a target that answers by a script.
    #[must_use]
    pub fn scripted(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let records = Arc::new(Mutex::new(Records::default()));
        let record = records.clone();
        let server = Server::start(Arc::new(move |incoming| {
            let mut seen = Seen {
                nth: 0,
                connection: incoming.connection,
                message: incoming.message,
            };
            let mut records = lock(&record);
            let nth = records.by_path.entry(seen.path()).or_default();
            *nth += 1;
            seen.nth = *nth;
            records.seen.push(seen.clone());
            drop(records);
            script(&seen)
        }));
        Self { server, records }
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns everything that it got, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.records).seen.clone()
    }

    /// Returns how many requests it got.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.records).seen.len()
    }

    /// Returns the requests that it got for this path, in order.
    #[must_use]
    pub fn of(&self, path: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.path() == path);
        seen
    }

    /// Returns how often each call has arrived, by its id.
    #[must_use]
    pub fn arrivals(&self) -> BTreeMap<String, usize> {
        let mut arrivals = BTreeMap::new();
        for seen in &lock(&self.records).seen {
            *arrivals.entry(seen.call_id()).or_default() += 1;
        }
        arrivals
    }

    /// Closes the listener and every connection, as `kill -9` would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Listens again on the same port.
    pub fn restart(&mut self) {
        self.server.restart();
    }
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}
