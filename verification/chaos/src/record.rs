//! The history while clients, targets and the maker of the faults write it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::history::{Arrival, Engine, Fate, Fault, History, Millis, Number, Request, Told};

/// The history, and the clock that gives it its times.
pub struct Record {
    start: Instant,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    history: History,
    /// How often each call has arrived.
    arrivals: BTreeMap<Number, u32>,
    accepted: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            written: Mutex::default(),
        }
    }
}

impl Record {
    /// Returns an empty history of a run on this engine.
    #[must_use]
    pub fn on(engine: Engine) -> Self {
        let record = Self::default();
        record.written().history.engine = engine;
        record
    }

    /// Returns the milliseconds since the run began.
    #[must_use]
    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Returns how many calls were accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.written().accepted
    }

    /// Returns how many calls and replies targets have taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        let written = self.written();
        let arrivals = written.history.arrivals.iter();
        arrivals
            .filter(|arrival| arrival.fate == Fate::Taken)
            .count()
    }

    /// Adds a request whose client has got its answer.
    pub fn request(&self, request: Request) {
        let mut written = self.written();
        written.accepted += usize::from(matches!(request.told, Told::Accepted(_)));
        written.history.requests.push(request);
    }

    /// Notes that a call has arrived. Returns how often it had arrived before.
    pub fn count(&self, number: Number) -> u32 {
        let mut written = self.written();
        let count = written.arrivals.entry(number).or_default();
        let before = *count;
        *count = before.saturating_add(1);
        before
    }

    /// Adds an arrival. Returns its place in the history.
    pub fn arrival(&self, arrival: Arrival) -> usize {
        let mut written = self.written();
        written.history.arrivals.push(arrival);
        written.history.arrivals.len().saturating_sub(1)
    }

    /// Notes that the answer of this arrival is about to be sent.
    pub fn answered(&self, place: usize) {
        let now = self.now();
        if let Some(arrival) = self.written().history.arrivals.get_mut(place) {
            arrival.end = now;
        }
    }

    /// Adds a fault that is over.
    pub fn fault(&self, fault: Fault) {
        self.written().history.faults.push(fault);
    }

    /// Returns the history so far.
    #[must_use]
    pub fn history(&self) -> History {
        let mut history = self.written().history.clone();
        history.faults.sort_by_key(|fault| fault.from);
        history
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the wall clock in Unix milliseconds.
#[must_use]
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}
