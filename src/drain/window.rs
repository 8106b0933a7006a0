//! The records held in memory, from their fetch to their commit. Containers and their book-keeping;
//! what becomes of a record is decided in [`crate::drain::fate`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::drain::commit::FetchNumber;
use crate::drain::config::DrainConfig;
use crate::drain::held::{Held, LastAttempt, State};
use crate::drain::hops::RememberedHops;
use crate::drain::line::{Lines, Waiting};
use crate::http::list_bytes;
use crate::id::{RecordId, Source};
use crate::limits::UNDERSTOOD_BYTES_MAX;
use crate::record::{self, Call, RecordError};
use crate::stream::consume::Message;
use crate::time::Steady;

/// What is held of one stream in its present session. What lost sessions have left takes no room:
/// it would keep the drain from reading just these records again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldCount {
    pub(super) records: usize,
    pub(super) unsettled: usize,
    pub(super) bytes: usize,
}

impl HeldCount {
    fn add(&mut self, held: &Held) {
        let takes_room = usize::from(!held.is_note);
        let is_unsettled = usize::from(held.is_unsettled());
        self.records = self.records.saturating_add(takes_room);
        self.unsettled = self.unsettled.saturating_add(is_unsettled);
        self.bytes = self.bytes.saturating_add(held.bytes);
    }

    fn remove(&mut self, held: &Held) {
        let takes_room = usize::from(!held.is_note);
        let is_unsettled = usize::from(held.is_unsettled());
        self.records = self.records.saturating_sub(takes_room);
        self.unsettled = self.unsettled.saturating_sub(is_unsettled);
        self.bytes = self.bytes.saturating_sub(held.bytes);
    }
}

/// All records held.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) held: BTreeMap<RecordId, Held>,
    pub(super) counts: BTreeMap<Source, HeldCount>,
    pub(super) lines: Lines,
    /// Calls with the same order key, in their order; the first one may be made.
    pub(super) order: BTreeMap<Rc<str>, VecDeque<RecordId>>,
    /// Some of them perhaps wait for others of their key.
    pub(super) is_any_behind: bool,
    pub(super) timers: BTreeSet<(Steady, RecordId)>,
    pub(super) in_flight: usize,
    /// Bytes of the records whose calls are kept too.
    understood_bytes: usize,
    hops: RememberedHops,
    /// When records of lost sessions are looked through next.
    pub(super) next_forgetting: Option<Steady>,
}

/// Lines whose calls in flight leave half of the window's bytes to what waits.
fn lines(config: &DrainConfig) -> Lines {
    let window = &config.window;
    Lines::new(config.limits.clone(), window.patience, window.bytes_max / 2)
}

/// What a fetched record is to the window.
pub(super) enum Taken {
    New,
    /// A lost session's record comes again.
    Again,
    /// This session has brought it already.
    Twice,
}

impl Window {
    /// An empty window.
    pub(super) fn new(config: &DrainConfig) -> Self {
        Self {
            held: BTreeMap::new(),
            counts: BTreeMap::new(),
            lines: lines(config),
            order: BTreeMap::new(),
            is_any_behind: false,
            timers: BTreeSet::new(),
            in_flight: 0,
            understood_bytes: 0,
            hops: RememberedHops::default(),
            next_forgetting: None,
        }
    }

    pub(super) fn count(&self, source: Source) -> HeldCount {
        self.counts.get(&source).copied().unwrap_or_default()
    }

    pub(super) fn get(&self, id: RecordId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: RecordId) -> Option<&mut Held> {
        self.held.get_mut(&id)
    }

    /// Takes in a fetched record.
    pub(super) fn take_in(&mut self, id: RecordId, message: Message, fetch: FetchNumber) -> Taken {
        match self.held.get_mut(&id) {
            Some(held) if held.fetch.is_some() => Taken::Twice,
            Some(held) => {
                held.fetch = Some(fetch);
                self.counts.entry(id.source).or_default().add(held);
                Taken::Again
            }
            None => {
                let held = Held::new(message, fetch);
                self.counts.entry(id.source).or_default().add(&held);
                self.held.insert(id, held);
                Taken::New
            }
        }
    }

    /// Keeps what a record says until its first attempt, unless that is too much: then it is read
    /// once more.
    pub(super) fn keep(&mut self, id: RecordId, call: Call) {
        if let Some(held) = self.held.get_mut(&id) {
            let bytes = self.understood_bytes.saturating_add(held.record.len());
            if bytes <= UNDERSTOOD_BYTES_MAX {
                self.understood_bytes = bytes;
                held.call = Some(Box::new(call));
            }
        }
    }

    /// What a record says, for an attempt.
    ///
    /// # Errors
    /// Why it can't be understood.
    pub(super) fn understand(&mut self, id: RecordId) -> Result<Call, RecordError> {
        let Some(held) = self.held.get_mut(&id) else {
            return Err(RecordError("the record is gone".to_owned()));
        };
        match held.let_go() {
            Some((bytes, call)) => {
                self.understood_bytes = self.understood_bytes.saturating_sub(bytes);
                Ok(*call)
            }
            None => record::decode(&held.record),
        }
    }

    /// Lets go of the record itself: nothing more is to be read in it.
    pub(super) fn drop_record(&mut self, id: RecordId) {
        if let Some(held) = self.held.get_mut(&id) {
            if let Some((bytes, _)) = held.let_go() {
                self.understood_bytes = self.understood_bytes.saturating_sub(bytes);
            }
            held.record = Rc::default();
        }
    }

    /// Keeps what a call's last attempt came to, which takes room like a record.
    pub(super) fn keep_last(&mut self, id: RecordId, last: LastAttempt) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let answer = last.answer.as_ref();
        let bytes = answer.map_or(0, |answer| {
            list_bytes(&answer.headers).saturating_add(answer.body.len())
        });
        let mut count = self.counts.get_mut(&id.source);
        let mut count = count.as_mut().filter(|_| held.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(held);
        }
        held.bytes = held.record.len().saturating_add(bytes);
        held.last = Some(Box::new(last));
        if let Some(count) = count {
            count.add(held);
        }
    }

    /// Whether another record has brought this call at this point of its way already.
    pub(super) fn is_repeated_hop(&mut self, id: RecordId) -> bool {
        let Some(held) = self.held.get(&id).filter(|held| held.progress.hops > 0) else {
            return false;
        };
        let Some(plan) = &held.plan else {
            return false;
        };
        let hop = (plan.id.clone(), held.progress.hops, held.progress.redrives);
        self.hops.is_repeated(hop, id)
    }

    /// Waits until a moment.
    pub(super) fn wait(&mut self, id: RecordId, until: Steady) {
        if let Some(held) = self.held.get_mut(&id) {
            held.state = State::Waiting { until };
            self.timers.insert((until, id));
        }
    }

    /// A record is a note: there are few of them, and they take no room from calls, which they have
    /// to wait for.
    pub(super) fn is_a_note(&mut self, id: RecordId) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let count = self.counts.get_mut(&id.source);
        let mut count = count.filter(|_| held.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(held);
        }
        held.is_note = true;
        if let Some(count) = count {
            count.add(held);
        }
        held.state = State::Behind;
    }

    /// When the next wait ends.
    pub(super) fn next_timer(&self) -> Option<Steady> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// A record whose wait is over.
    pub(super) fn pop_timer(&mut self, now: Steady) -> Option<RecordId> {
        while let Some((until, id)) = self.timers.first().copied() {
            if until > now {
                return None;
            }
            self.timers.pop_first();
            // What has moved on meanwhile has another timer, or none.
            let state = self.held.get(&id).map(|held| held.state);
            let waits = state == Some(State::Waiting { until });
            if waits || state == Some(State::Behind) {
                return Some(id);
            }
        }
        None
    }

    /// Takes up to `count` calls out of lines that are too slow for what comes in, the firsts of
    /// their callers only where they are asked for.
    pub(super) fn take_slow(
        &mut self,
        count: usize,
        firsts: bool,
        away_max: Duration,
        now: Steady,
    ) -> Vec<(RecordId, Option<Duration>)> {
        let held = &self.held;
        let may_leave = |id| held.get(&id).is_some_and(Held::may_leave);
        self.lines
            .take_slow(count, firsts, away_max, now, may_leave)
    }

    /// Takes at least `least` and up to `count` calls that wait in memory for their next attempt,
    /// or none. Those with the longest waits come first; gives until when each would have waited.
    pub(super) fn take_resting(&mut self, least: usize, count: usize) -> Vec<(Steady, RecordId)> {
        let rests = |id: &RecordId| {
            let held = self.held.get(id);
            held.is_some_and(|held| {
                matches!(held.state, State::Waiting { .. })
                    && held.progress.attempts > 0
                    && held.may_leave()
            })
        };
        let resting = self.timers.iter().rev();
        let resting = resting.filter(|(_, id)| id.source == Source::Calls && rests(id));
        let resting: Vec<_> = resting.take(count).copied().collect();
        if resting.len() < least {
            return Vec::new();
        }
        for timer in &resting {
            self.timers.remove(timer);
        }
        resting
    }

    /// Stands a call in its target's line.
    pub(super) fn line_up(&mut self, id: RecordId, now: Steady) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let Some(plan) = held.plan.as_ref() else {
            return;
        };
        held.state = State::Ready;
        let call = Waiting {
            record: id,
            caller: plan.caller,
            bytes: held.record.len(),
            aside: held.progress.aside,
        };
        self.lines.add(&plan.target, call, now);
    }

    /// A call whose session was lost waits to be read again, and then until this moment.
    pub(super) fn suspend(&mut self, id: RecordId, until: Steady, now: Steady) {
        if let Some(held) = self.held.get_mut(&id) {
            held.state = State::Suspended { until, since: now };
        }
    }

    /// Nothing more is to be done for this record but its commit. Gives its fetch.
    pub(super) fn settle(&mut self, id: RecordId, now: Steady) -> Option<FetchNumber> {
        self.drop_record(id);
        let held = self.held.get_mut(&id)?;
        let mut count = self.counts.get_mut(&id.source);
        let mut count = count.as_mut().filter(|_| held.fetch.is_some());
        if let Some(count) = &mut count {
            count.remove(held);
        }
        held.state = State::Settled { at: now };
        held.bytes = 0;
        held.progress.history = Vec::new();
        held.last = None;
        held.plan = None;
        if let Some(count) = count {
            count.add(held);
        }
        held.fetch
    }

    /// Forgets records whose commit is done.
    pub(super) fn committed(&mut self, records: &[RecordId]) {
        for id in records {
            self.forget(*id);
        }
    }

    /// Forgets a record, and gives whether it was unsettled.
    pub(super) fn forget(&mut self, id: RecordId) -> bool {
        self.drop_record(id);
        let Some(held) = self.held.remove(&id) else {
            return false;
        };
        let count = self.counts.get_mut(&id.source);
        if let Some(count) = count.filter(|_| held.fetch.is_some()) {
            count.remove(&held);
        }
        held.is_unsettled()
    }
}
