//! The event loop: one queue of events, ordered by time and then at random.

mod checks;
mod clients;
mod coordination;
mod hand_over;
mod op;
mod processes;
mod service;
mod wire;

use std::collections::{BTreeMap, VecDeque};

use sim::invariants::Violation;
use sim::rng::Rng;
use sim::trace::Trace;
use stream_coordination::io::{AppendResult, Input, LogId};

use crate::cluster::{Life, Log, name};
use crate::front::Front;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::troubles::{Counts, Kind};
use clients::Client;
use op::{Op, Outcome};
use service::Reading;
use wire::Append;

/// The most events of a run. If there are more, something runs in circles.
const EVENTS_MAX: u64 = 400_000;
/// How long after the last trouble everything has to be well again: late records, a stuck owner,
/// and a hand-over.
const RECOVERY_MS: u64 = 60_000;
/// How long a run goes on then.
const HEALTHY_MS: u64 = 15_000;
/// The longest time without anybody who serves a slot while all is well.
const UNSERVED_MS_MAX: u64 = 3_000;

/// Something that happens at a moment.
#[derive(Debug)]
enum Event {
    /// A part of an append reaches the log.
    Land {
        append: u64,
        from: usize,
        to: usize,
        is_copy: bool,
    },
    /// A front learns what came of its append.
    Result(Life, u64, AppendResult),
    TimedOut(u64),
    Fetch(Life, LogId, u64),
    Deliver(Life, LogId, u64, Fetched),
    Bounds(Life, LogId),
    BoundsTold(Life, LogId, u64, u64),
    Delete(u32, u64),
    Wake(Life),
    Start(usize),
    Trouble(usize),
    /// A front is told to end.
    Leave(Life),
    ClientTurn(usize),
    /// A client's request reaches a front, perhaps from another one that names the ownership.
    Arrive(u64, usize, Option<u64>),
    ReadDone(Life, u64, Box<Reading>),
    Answered(u64, Outcome),
    Produce,
    Calm,
    Look,
}

/// What was read of a log: the offset from which, the records, and where to go on.
#[derive(Debug)]
struct Fetched {
    from: u64,
    records: Vec<(u64, Vec<u8>)>,
    next: u64,
}

/// The whole world.
pub struct World {
    now: u64,
    plan: Plan,
    rng: Rng,
    logs: BTreeMap<LogId, Log>,
    fronts: Vec<Front>,
    appends: BTreeMap<u64, Append>,
    clients: Vec<Client>,
    ops: BTreeMap<u64, Op>,
    /// Messages of each stream: the next offset of each partition.
    data: BTreeMap<u64, Vec<u64>>,
    /// Inputs that fronts are given before anything else happens.
    inputs: VecDeque<(Life, Input)>,
    queue: BTreeMap<(u64, u64, u64), Event>,
    sequence: u64,
    numbers: u64,
    is_calm: bool,
    /// Up to where each front's folds were checked.
    checked: BTreeMap<(usize, u32), u64>,
    /// Since when nobody serves a slot.
    unserved: BTreeMap<u32, u64>,
    /// When a front has last gone on after a pause, by front.
    resumed: BTreeMap<usize, u64>,
    /// What was promised.
    pub ledger: Ledger,
    /// What happened.
    pub trace: Trace,
    /// What went wrong.
    pub counts: Counts,
    /// Inputs that fronts were given.
    pub told: u64,
    /// Messages that clients were given.
    pub delivered: u64,
}

impl World {
    /// Returns a world at its start.
    #[must_use]
    pub fn new(plan: Plan, mut rng: Rng) -> Self {
        let slots = (0..plan.slots).map(LogId::Slot);
        let logs = [LogId::Members].into_iter().chain(slots);
        let logs = logs.map(|log| (log, Log::new(log))).collect();
        let fronts = plan.rates.iter();
        let fronts = fronts.map(|rate| Front::new(*rate, &mut rng)).collect();
        let mut world = Self {
            now: 0,
            logs,
            fronts,
            appends: BTreeMap::new(),
            clients: Vec::new(),
            ops: BTreeMap::new(),
            data: BTreeMap::new(),
            inputs: VecDeque::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            numbers: 0,
            is_calm: false,
            checked: BTreeMap::new(),
            unserved: BTreeMap::new(),
            resumed: BTreeMap::new(),
            ledger: Ledger::default(),
            trace: Trace::default(),
            counts: Counts::default(),
            told: 0,
            delivered: 0,
            plan,
            rng,
        };
        world.note("everybody", format!("{:?}", world.plan));
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        for front in 0..self.plan.fronts {
            let at = self.rng.below(3_000);
            self.at(at, Event::Start(front));
        }
        for client in 0..self.plan.clients {
            let drawn = self.new_client(client);
            self.clients.push(drawn);
            self.at(1_000, Event::ClientTurn(client));
        }
        for number in 0..self.plan.troubles.len() {
            let at = self.plan.troubles.get(number).map_or(0, |(at, _)| *at);
            self.at(at, Event::Trouble(number));
        }
        self.at(500, Event::Produce);
        self.at(self.plan.calm_at, Event::Calm);
        self.at(1_000, Event::Look);
    }

    /// Runs to the end, or until an invariant breaks.
    ///
    /// # Errors
    /// The first invariant that doesn't hold.
    pub fn run(&mut self) -> Result<(), Violation> {
        let end = self.plan.calm_at + RECOVERY_MS + HEALTHY_MS;
        for _ in 0..EVENTS_MAX {
            let Some(((at, _, _), event)) = self.queue.pop_first() else {
                return Err(Violation::new("K8", "", "nothing happens any more"));
            };
            self.now = self.now.max(at);
            if self.now > end {
                return self.check_end();
            }
            self.happen(event)?;
            self.tell_all()?;
            self.check_leases()?;
        }
        Err(Violation::new("K10", "", "it goes round in circles"))
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        if let Some(life) = concerned(&event) {
            if !self.is_there(life) {
                return Ok(());
            }
            let paused_until = self.front(life.0).map_or(0, |front| front.paused_until);
            if paused_until > self.now {
                let at = paused_until + self.rng.below(300);
                self.at(at, event);
                return Ok(());
            }
        }
        match event {
            Event::Land {
                append,
                from,
                to,
                is_copy,
            } => self.land(append, (from, to), is_copy)?,
            Event::Result(life, ticket, result) => self.result(life, ticket, result),
            Event::TimedOut(append) => self.timed_out(append),
            Event::Fetch(life, log, generation) => self.fetch(life, log, generation),
            Event::Deliver(life, log, generation, fetched) => {
                self.deliver(life, log, generation, fetched);
            }
            Event::Bounds(life, log) => self.bounds(life, log),
            Event::BoundsTold(life, log, oldest, end) => {
                self.tell(life, Input::Opened { log, oldest, end });
            }
            Event::Delete(slot, offset) => self.delete(slot, offset)?,
            Event::Wake(life) => {
                if let Some(front) = self.fronts.get_mut(life.0) {
                    front.wakes_at = None;
                }
                self.tell(life, Input::Tick);
            }
            Event::Start(front) => self.start(front)?,
            Event::Trouble(number) => self.trouble(number)?,
            Event::Leave(life) => {
                let back_after = self.rng.between(300, 10_000);
                self.leave(life, back_after);
            }
            Event::ClientTurn(client) => self.client_turn(client),
            Event::Arrive(op, front, epoch) => self.arrive(op, front, epoch)?,
            Event::ReadDone(life, op, reading) => self.read_done(life, op, *reading),
            Event::Answered(op, outcome) => self.answered(op, outcome),
            Event::Produce => self.produce(),
            Event::Calm => self.calm(),
            Event::Look => self.look()?,
        }
        Ok(())
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence = self.sequence.saturating_add(1);
        let order = self.rng.below(4);
        self.queue
            .insert((at.max(self.now), order, self.sequence), event);
    }

    fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now.saturating_add(millis), event);
    }

    /// Has something happen soon: within so many milliseconds.
    fn soon(&mut self, most: u64, event: Event) {
        let millis = self.rng.between(1, most);
        self.after(millis, event);
    }

    fn number(&mut self) -> u64 {
        self.numbers = self.numbers.saturating_add(1);
        self.numbers
    }

    fn front(&self, front: usize) -> Option<&Front> {
        self.fronts.get(front)
    }

    fn log(&self, log: LogId) -> Option<&Log> {
        self.logs.get(&log)
    }

    fn is_there(&self, (front, life): Life) -> bool {
        let front = self.front(front);
        front.is_some_and(|front| front.life == life && front.coordinator.is_some())
    }

    fn life(&self, front: usize) -> Life {
        (front, self.front(front).map_or(0, |front| front.life))
    }

    fn is_cut(&self, front: usize) -> bool {
        self.front(front)
            .is_some_and(|front| front.cut_until > self.now)
    }

    fn note(&mut self, who: impl Into<String>, what: impl Into<String>) {
        self.trace.note(self.now, who, what);
    }

    fn note_front(&mut self, life: Life, what: impl Into<String>) {
        self.note(name(life), what);
    }

    fn count(&mut self, kind: Kind) {
        self.counts.add(kind);
    }

    /// Returns whether something goes wrong on the wire now, at a rate in a thousand.
    fn strikes(&mut self, rate: u64) -> bool {
        !self.is_calm && self.rng.per_mille(rate)
    }

    fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.plan.slots
    }

    /// Returns whether all is well, and has been for long enough.
    fn is_healthy(&self) -> bool {
        self.now > self.plan.calm_at + RECOVERY_MS
    }
}

/// Returns the life of the front that an event concerns.
fn concerned(event: &Event) -> Option<Life> {
    match event {
        Event::Result(life, ..)
        | Event::Fetch(life, ..)
        | Event::Deliver(life, ..)
        | Event::Bounds(life, ..)
        | Event::BoundsTold(life, ..)
        | Event::Wake(life)
        | Event::Leave(life)
        | Event::ReadDone(life, ..) => Some(*life),
        Event::Land { .. }
        | Event::TimedOut(_)
        | Event::Delete(..)
        | Event::Start(_)
        | Event::Trouble(_)
        | Event::ClientTurn(_)
        | Event::Arrive(..)
        | Event::Answered(..)
        | Event::Produce
        | Event::Calm
        | Event::Look => None,
    }
}
