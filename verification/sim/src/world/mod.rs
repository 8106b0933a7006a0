//! The event loop: one queue of events, ordered by time and then at random, and what each event
//! does.

mod clients;
pub mod network;
pub mod network_fault;
mod process_faults;
mod sessions;
mod signing;
mod stream_endpoint;
mod worker;

use std::collections::BTreeMap;

use sluice::accept::config::AcceptConfig;
use sluice::config::Document;
use sluice::drain::config::DrainConfig;
use sluice::idempotency::KeyHolder;
use sluice::time::{Now, Steady, Wall};

use crate::fault_counts::{FaultCounts, FaultKind};
use crate::invariants::keys::{Keys, Process};
use crate::invariants::{self, Violation};
use crate::ledger::{EPOCH_MS, Ledger};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::snapshot::{Backlog, Snapshot};
use crate::stream::Stream;
use crate::trace::Trace;
use clients::Client;
use network::Exchange;
use worker::Worker;

/// Every engine's steady clock starts here.
const STEADY_START_MS: u64 = 1_000;
/// How often Envoy's health check comes.
const HEALTH_CHECK_MS: u64 = 1_000;
/// The most events of a run. If there are more, something runs in circles.
const EVENTS_MAX: u64 = 1_000_000;

/// Something that happens at a moment.
#[derive(Clone, Debug)]
enum Event {
    Request(usize),
    Body(usize),
    Leave(usize),
    Turn(usize, u32),
    Tick(usize, u32),
    RecordsAvailable(usize),
    HealthCheck(usize),
    Released(usize, KeyHolder),
    Arrive(u64),
    Done(u64),
    Deadline(u64),
    ProcessFault(usize),
    Rise(usize),
    ClockSet(usize, i64),
    Calm,
    Look,
}

/// One Envoy.
struct Gateway {
    is_up: bool,
    stopped_until: u64,
    /// Set while its health checks fail, because it is to end: for how many milliseconds it is
    /// away then.
    retires: Option<u64>,
    /// By how many milliseconds its wall clock is ahead.
    skew: i64,
    /// The latest time that its wall clock has shown.
    latest_wall: u64,
    /// Which of its drain workers gets the health checks.
    checked: usize,
    /// Envoy's shared data: the table of idempotency keys.
    slots: BTreeMap<u32, (Vec<u8>, u32)>,
    /// How often the process was started anew.
    life: u32,
}

/// The whole world.
pub struct World {
    now: u64,
    plan: Plan,
    rng: Rng,
    accept: AcceptConfig,
    drain: DrainConfig,
    stream: Stream,
    stream_away_until: u64,
    gateways: Vec<Gateway>,
    workers: Vec<Worker>,
    clients: Vec<Client>,
    exchanges: BTreeMap<u64, Exchange>,
    next_exchange: u64,
    queue: BTreeMap<(u64, u64, u64), Event>,
    sequence: u64,
    is_calm: bool,
    keys: Keys,
    /// What is true.
    pub ledger: Ledger,
    /// What happened.
    pub trace: Trace,
    /// What went wrong.
    pub fault_counts: FaultCounts,
    /// Inputs that engines were given.
    pub inputs: u64,
}

impl World {
    /// Returns a world at its start.
    ///
    /// # Errors
    /// If the plan's configuration is refused.
    pub fn new(plan: Plan, mut rng: Rng) -> Result<Self, Violation> {
        let refused = |error: sluice::config::ConfigError| {
            Violation::new("configuration", "", error.to_string())
        };
        let accept = AcceptConfig::from_json(plan.accept.to_string().as_bytes());
        let drain = DrainConfig::from_json(plan.drain.to_string().as_bytes());
        let gateway = |_| Gateway {
            is_up: true,
            stopped_until: 0,
            retires: None,
            skew: 0,
            latest_wall: 0,
            checked: 0,
            slots: BTreeMap::new(),
            life: 0,
        };
        let mut world = Self {
            now: 0,
            accept: accept.map_err(refused)?,
            drain: drain.map_err(refused)?,
            stream: Stream::start(rng.fork(), &plan.streams),
            stream_away_until: 0,
            gateways: (0..plan.gateways).map(gateway).collect(),
            workers: Vec::new(),
            clients: Vec::new(),
            exchanges: BTreeMap::new(),
            next_exchange: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            is_calm: false,
            ledger: Ledger {
                is_rolling: plan.is_rolling,
                ..Ledger::default()
            },
            trace: Trace::default(),
            fault_counts: FaultCounts::default(),
            keys: Keys::default(),
            inputs: 0,
            plan,
            rng,
        };
        world.note("everybody", format!("accept {}", world.plan.accept));
        world.note("everybody", format!("drain {}", world.plan.drain));
        world.note("everybody", format!("{:?}", world.plan.faults));
        world.set_up();
        Ok(world)
    }

    fn set_up(&mut self) {
        for gateway in 0..self.plan.gateways {
            for number in 0..self.plan.workers.saturating_mul(2) {
                let worker = self.new_worker(gateway, number >= self.plan.workers);
                self.workers.push(worker);
            }
            let offset = self.rng.below(HEALTH_CHECK_MS);
            self.at(offset, Event::HealthCheck(gateway));
        }
        self.set_up_clients();
        for (number, (at, _)) in self.plan.process_faults.clone().into_iter().enumerate() {
            self.at(at, Event::ProcessFault(number));
        }
        self.at(self.plan.calm_at, Event::Calm);
    }

    /// Runs until everything is done, or a guarantee breaks.
    ///
    /// # Errors
    /// The first guarantee that doesn't hold.
    pub fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..EVENTS_MAX {
            let Some(((at, _, _), event)) = self.queue.pop_first() else {
                return Err(Violation::new("liveness", "", "nothing happens any more"));
            };
            self.now = self.now.max(at);
            if matches!(event, Event::Look) {
                let snapshot = self.snapshot();
                let is_done = invariants::g2_ends::is_done(&snapshot);
                if is_done && snapshot.busy_engine.is_none() {
                    return invariants::at_the_end(&self.ledger, &snapshot);
                }
                let is_late = !is_done && self.now > self.plan.done_at;
                if is_late || self.now > self.plan.idle_at {
                    return Err(invariants::g2_ends::what_is_missing(
                        &self.ledger,
                        &snapshot,
                    ));
                }
                self.after(500, Event::Look);
                continue;
            }
            self.happen(event)?;
        }
        Err(Violation::new("liveness", "", "it goes round in circles"))
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        if let Some(until) = self.stopped(&event) {
            self.at(until, event);
            return Ok(());
        }
        match event {
            Event::Request(client) => self.request(client),
            Event::Body(client) => self.body(client),
            Event::Leave(client) => self.leave(client),
            Event::Turn(worker, life) => self.turn(worker, life),
            Event::Tick(worker, life) => self.tick(worker, life),
            Event::RecordsAvailable(gateway) => self.news(gateway),
            Event::HealthCheck(gateway) => self.health_check(gateway),
            Event::Released(gateway, holder) => self.released(gateway, holder),
            Event::Arrive(exchange) => self.arrive(exchange),
            Event::Done(exchange) => self.done(exchange, false),
            Event::Deadline(exchange) => self.done(exchange, true),
            Event::ProcessFault(number) => self.process_fault(number),
            Event::Rise(gateway) => {
                self.rise(gateway);
                Ok(())
            }
            Event::ClockSet(gateway, millis) => {
                self.set_clock(gateway, millis);
                Ok(())
            }
            Event::Calm => {
                self.calm();
                Ok(())
            }
            Event::Look => Ok(()),
        }
    }

    /// Returns until when an event has to wait because its gateway is stopped.
    fn stopped(&self, event: &Event) -> Option<u64> {
        let gateway = match event {
            Event::Turn(worker, _) | Event::Tick(worker, _) => self.workers.get(*worker)?.gateway,
            Event::Done(exchange) | Event::Deadline(exchange) => {
                let by = self.exchanges.get(exchange)?.by;
                self.workers.get(by.worker)?.gateway
            }
            Event::RecordsAvailable(gateway)
            | Event::HealthCheck(gateway)
            | Event::Released(gateway, _) => *gateway,
            Event::Body(client) | Event::Leave(client) => {
                let worker = self.clients.get(*client)?.worker?.worker;
                self.workers.get(worker)?.gateway
            }
            Event::Request(_)
            | Event::Arrive(_)
            | Event::ProcessFault(_)
            | Event::Rise(_)
            | Event::ClockSet(..)
            | Event::Calm
            | Event::Look => return None,
        };
        let until = self.gateways.get(gateway)?.stopped_until;
        (until > self.now).then_some(until)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence = self.sequence.saturating_add(1);
        // Events of the same millisecond may happen in any order. But what the same engine has
        // asked for keeps its order if Envoy keeps it, by the time that it is given.
        let order = self.rng.below(4);
        self.queue
            .insert((at.max(self.now), order, self.sequence), event);
    }

    fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now.saturating_add(millis), event);
    }

    fn count_fault(&mut self, what: FaultKind) {
        self.fault_counts.add(what);
    }

    /// Returns the process that a worker is part of.
    fn process(&self, worker: usize) -> Process {
        let gateway = self.workers.get(worker).map_or(0, |found| found.gateway);
        let life = self.gateways.get(gateway).map_or(0, |found| found.life);
        (gateway, life)
    }

    fn note(&mut self, who: impl Into<String>, what: impl Into<String>) {
        self.trace.note(self.now, who, what);
    }

    /// Returns the time at a gateway.
    fn clock(&mut self, gateway: usize) -> Now {
        let wall = EPOCH_MS.saturating_add(self.now);
        let gateway = self.gateways.get_mut(gateway);
        let wall = gateway.map_or(wall, |gateway| {
            let wall = wall.saturating_add_signed(gateway.skew);
            gateway.latest_wall = gateway.latest_wall.max(wall);
            wall
        });
        Now {
            steady: Steady(STEADY_START_MS.saturating_add(self.now)),
            wall: Wall(wall),
        }
    }

    /// Returns the number of a stream in the plan, by its OCID.
    fn stream_number(&self, ocid: &str) -> usize {
        let mut streams = self.plan.streams.iter();
        let found = streams.position(|(name, _)| crate::stream::ocid(name) == ocid);
        found.unwrap_or(usize::MAX)
    }

    /// Returns the plan of this world.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the drain role's configuration.
    #[must_use]
    pub fn drain_config(&self) -> &DrainConfig {
        &self.drain
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            backlog: self.backlog(),
            waiting_clients: self.clients.iter().filter(|c| c.is_waiting()).count(),
            busy_engine: self.busy_engine(),
        }
    }

    fn backlog(&self) -> Vec<Backlog> {
        let streams = self.plan.streams.iter().filter(|(name, _)| name != "dead");
        let of_stream = |(stream, _): &(String, _)| {
            let partitions = self.stream.memory.backlog(&crate::stream::ocid(stream));
            let name = stream.clone();
            let of_partition = move |(partition, (written, committed))| Backlog {
                stream: name.clone(),
                partition,
                written,
                committed,
            };
            partitions.into_iter().map(of_partition)
        };
        streams.flat_map(of_stream).collect()
    }
}
