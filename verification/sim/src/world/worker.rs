//! Workers: engines, and what Envoy does for them.

use sluice::accept::{AcceptEngine, Input as AcceptInput};
use sluice::caller::CallerSecret;
use sluice::drain::route::ReplySecrets;
use sluice::drain::{DrainEngine, Input as DrainInput};
use sluice::engine::{Level, Output};
use sluice::http::CalloutResult;
use sluice::id::{Entropy, Ticket};
use sluice::idempotency::KeyHolder;
use sluice::metric::Metric;
use sluice::time::Wall;

use super::{Event, HEALTH_CHECK_MS, World};
use crate::fault_counts::FaultKind;
use crate::invariants::{Violation, g9_bounds};
use crate::ledger::Engine;

/// The most outputs after one input. The largest bound of a plan is far below.
const OUTPUTS_MAX: usize = 100_000;

/// The engine of a worker's VM.
pub(super) enum Vm {
    Accept(Box<AcceptEngine>),
    Drain(Box<DrainEngine>),
}

/// A worker of a gateway.
pub(super) struct Worker {
    pub(super) gateway: usize,
    pub(super) is_drain: bool,
    /// How often its VM was started anew.
    pub(super) life: u32,
    /// The engine; absent while it handles an input.
    vm: Option<Vm>,
    /// It ends within a callback, after so many outputs.
    pub(super) traps_after: Option<u64>,
    /// When Envoy's timer rings.
    alarm: Option<u64>,
    /// When it last got a health check.
    pub(super) checked_at: u64,
    pub(super) gauges: g9_bounds::Gauges,
}

/// An input for either role.
enum Input {
    Accept(AcceptInput),
    Drain(DrainInput),
}

impl World {
    pub(super) fn new_worker(&mut self, gateway: usize, is_drain: bool) -> Worker {
        let entropy = Entropy::from_seed(self.rng.seed());
        let vm = if is_drain {
            let engine = DrainEngine::new(self.drain.clone(), ReplySecrets::default(), entropy);
            Vm::Drain(Box::new(engine.signed_by(self.signer())))
        } else {
            let engine = AcceptEngine::new(self.accept.clone(), entropy);
            // All gateways have the same secret, as an operator may configure it.
            let engine = engine.keyed_by(CallerSecret::of(b"simulated"));
            Vm::Accept(Box::new(engine.signed_by(self.signer())))
        };
        Worker {
            gateway,
            is_drain,
            life: 0,
            vm: Some(vm),
            alarm: None,
            traps_after: None,
            checked_at: self.now,
            gauges: g9_bounds::Gauges::default(),
        }
    }

    /// Returns the time, and what an engine is told of it.
    pub(super) fn told_at(&mut self, by: Engine) -> (u64, Wall) {
        let gateway = self.process(by.worker).0;
        (self.now, self.clock(gateway).wall)
    }

    /// Returns the worker's name in the timeline.
    pub(super) fn name(&self, worker: usize) -> String {
        let found = self.workers.get(worker);
        found.map_or_else(String::new, |w| {
            let role = if w.is_drain { "drain" } else { "accept" };
            format!("{role} {}.{worker}/{}", w.gateway, w.life)
        })
    }

    pub(super) fn turn(&mut self, worker: usize, life: u32) -> Result<(), Violation> {
        let by = Engine { worker, life };
        match self.is_drain(worker) {
            true => self.drain_input(by, DrainInput::Wake),
            false => self.accept_input(by, AcceptInput::Wake),
        }
    }

    pub(super) fn tick(&mut self, worker: usize, life: u32) -> Result<(), Violation> {
        let by = Engine { worker, life };
        let now = self.now;
        match self.workers.get_mut(worker) {
            Some(found) if found.life == life && found.alarm.is_some_and(|at| at <= now) => {
                found.alarm = None;
            }
            _ => return Ok(()),
        }
        match self.is_drain(worker) {
            true => self.drain_input(by, DrainInput::Tick),
            false => self.accept_input(by, AcceptInput::Tick),
        }
    }

    pub(super) fn news(&mut self, gateway: usize) -> Result<(), Violation> {
        match self.checked_worker(gateway) {
            Some(by) => self.drain_input(by, DrainInput::RecordsAvailable),
            None => Ok(()),
        }
    }

    pub(super) fn health_check(&mut self, gateway: usize) -> Result<(), Violation> {
        let jitter = self.rng.below(200);
        self.after(
            HEALTH_CHECK_MS.saturating_add(jitter),
            Event::HealthCheck(gateway),
        );
        if let Some(millis) = self.gateways.get(gateway).and_then(|found| found.retires) {
            self.retire(gateway, millis);
            return Ok(());
        }
        match self.checked_worker(gateway) {
            Some(by) => {
                self.note_check(by);
                self.drain_input(by, DrainInput::HealthCheck)
            }
            None => Ok(()),
        }
    }

    /// Tells one of the accept workers that a drain has freed a key.
    pub(super) fn released(&mut self, gateway: usize, holder: KeyHolder) -> Result<(), Violation> {
        let mut workers = self.workers.iter().enumerate();
        let found = workers.find(|(_, worker)| worker.gateway == gateway && !worker.is_drain);
        match found {
            Some((worker, found)) => {
                let life = found.life;
                self.accept_input(Engine { worker, life }, AcceptInput::KeyReleased(holder))
            }
            None => Ok(()),
        }
    }

    /// Returns the drain worker of a gateway that gets its health checks.
    fn checked_worker(&self, gateway: usize) -> Option<Engine> {
        let found = self.gateways.get(gateway).filter(|found| found.is_up)?;
        let mut workers = self.workers.iter().enumerate();
        let own = |(_, worker): &(usize, &Worker)| worker.gateway == gateway && worker.is_drain;
        let (worker, found) = workers.by_ref().filter(own).nth(found.checked)?;
        let life = found.life;
        Some(Engine { worker, life })
    }

    /// Returns an engine whose gauges say that it still has something to do, and what that is.
    #[must_use]
    pub(super) fn busy_engine(&self) -> Option<String> {
        let gauges = [Metric::Held, Metric::InFlight, Metric::WaitingRequests];
        for (number, worker) in self.workers.iter().enumerate() {
            let busy = gauges
                .iter()
                .find(|gauge| worker.gauges.value(**gauge) != 0);
            if let Some(gauge) = busy {
                let value = worker.gauges.value(*gauge);
                return Some(format!("{}: {gauge:?} is {value}", self.name(number)));
            }
        }
        None
    }

    fn is_drain(&self, worker: usize) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|worker| worker.is_drain)
    }

    pub(super) fn accept_input(&mut self, by: Engine, input: AcceptInput) -> Result<(), Violation> {
        self.drive(by, Input::Accept(input))
    }

    pub(super) fn drain_input(&mut self, by: Engine, input: DrainInput) -> Result<(), Violation> {
        self.drive(by, Input::Drain(input))
    }

    pub(super) fn callout_done(
        &mut self,
        by: Engine,
        ticket: Ticket,
        result: CalloutResult,
    ) -> Result<(), Violation> {
        match self.is_drain(by.worker) {
            true => self.drain_input(by, DrainInput::CalloutDone(ticket, result)),
            false => self.accept_input(by, AcceptInput::CalloutDone(ticket, result)),
        }
    }

    /// Passes an input to an engine and performs its outputs, as the contract says.
    fn drive(&mut self, by: Engine, input: Input) -> Result<(), Violation> {
        let Some(worker) = self
            .workers
            .get_mut(by.worker)
            .filter(|w| w.life == by.life)
        else {
            return Ok(());
        };
        let gateway = worker.gateway;
        if !self
            .gateways
            .get(gateway)
            .is_some_and(|gateway| gateway.is_up)
        {
            return Ok(());
        }
        let Some(mut vm) = worker.vm.take() else {
            return Ok(());
        };
        let done = self.drive_vm(by, gateway, &mut vm, input);
        if self
            .workers
            .get(by.worker)
            .is_some_and(|w| w.traps_after == Some(0))
        {
            return done.map(|()| self.trap(by));
        }
        if let Some(worker) = self.workers.get_mut(by.worker) {
            worker.vm = Some(vm);
        }
        done?;
        self.set_alarm(by, gateway);
        Ok(())
    }

    fn drive_vm(
        &mut self,
        by: Engine,
        gateway: usize,
        vm: &mut Vm,
        input: Input,
    ) -> Result<(), Violation> {
        let mut next = Some(input);
        for _ in 0..OUTPUTS_MAX {
            let now = self.clock(gateway);
            if let Some(input) = next.take() {
                self.inputs = self.inputs.saturating_add(1);
                match (&mut *vm, input) {
                    (Vm::Accept(engine), Input::Accept(input)) => engine.handle(input, now),
                    (Vm::Drain(engine), Input::Drain(input)) => {
                        engine.handle(input, now);
                        let agrees = engine.check_invariants();
                        agrees.map_err(|what| Violation::new("lifecycle", "", what))?;
                    }
                    (Vm::Accept(_), Input::Drain(_)) | (Vm::Drain(_), Input::Accept(_)) => {}
                }
            }
            let output = match vm {
                Vm::Accept(engine) => engine.poll_output(),
                Vm::Drain(engine) => engine.poll_output(),
            };
            let Some(output) = output else {
                return Ok(());
            };
            if self.is_trapping(by.worker) {
                return Ok(());
            }
            next = self.perform(by, gateway, output)?;
        }
        Err(Violation::new(
            "G10",
            "",
            format!("{} never ends", self.name(by.worker)),
        ))
    }

    /// Returns the answer to a callout that isn't sent.
    fn not_sent(&self, by: Engine, ticket: Ticket) -> Input {
        let result = CalloutResult::NotSent;
        match self.is_drain(by.worker) {
            true => Input::Drain(DrainInput::CalloutDone(ticket, result)),
            false => Input::Accept(AcceptInput::CalloutDone(ticket, result)),
        }
    }

    /// Performs an output. Returns the input that answers it at once, if there is one.
    fn perform(
        &mut self,
        by: Engine,
        gateway: usize,
        output: Output,
    ) -> Result<Option<Input>, Violation> {
        match output {
            Output::Wake => {
                let after = self.rng.below(3);
                self.after(after, Event::Turn(by.worker, by.life));
            }
            Output::WakeDrain => {
                let after = self.rng.below(3);
                self.after(after, Event::RecordsAvailable(gateway));
            }
            Output::ReadBody(request) => {
                let body = self.body_of(request);
                return Ok(Some(Input::Accept(AcceptInput::Body(request, body))));
            }
            Output::Callout(callout) => {
                let ticket = callout.ticket;
                if self.send_callout(by, callout)? {
                    return Ok(None);
                }
                return Ok(Some(self.not_sent(by, ticket)));
            }
            Output::Unsigned(ticket) => return Ok(Some(self.not_sent(by, ticket))),
            Output::ReadSlot(slot) => {
                let found = self.gateways.get(gateway).and_then(|g| g.slots.get(&slot));
                let (bytes, version) = found.cloned().unwrap_or_default();
                return Ok(Some(Input::Accept(AcceptInput::SlotRead(
                    Some(bytes),
                    version,
                ))));
            }
            Output::WriteSlot {
                slot,
                bytes,
                version,
            } => {
                let is_written = self.write_slot(gateway, slot, bytes, version);
                return Ok(Some(Input::Accept(AcceptInput::SlotWritten(is_written))));
            }
            Output::ReleaseKey(holder) => {
                self.keys.released(self.process(by.worker), &holder);
                self.after(1, Event::Released(gateway, holder));
            }
            Output::Respond(request, response) => self.respond(by, request, &response)?,
            Output::Count(metric, change) => {
                if metric == Metric::Sessions {
                    self.ledger.joins.entry(by).or_default().push(self.now);
                }
                if metric == Metric::LeftAttempts {
                    self.leave_attempts(by)?;
                }
                let (drain, accept) = (&self.drain, &self.accept);
                if let Some(worker) = self.workers.get_mut(by.worker) {
                    worker.gauges.count(metric, change, drain, accept)?;
                }
            }
            Output::Observe(..) => {}
            Output::Log(level, line) => {
                if level != Level::Debug {
                    self.note(self.name(by.worker), line);
                }
            }
        }
        Ok(None)
    }

    /// Another worker may have written the slot meanwhile.
    fn write_slot(&mut self, gateway: usize, slot: u32, bytes: Vec<u8>, version: u32) -> bool {
        let is_late = !self.is_calm && self.rng.per_mille(50);
        let Some(gateway) = self.gateways.get_mut(gateway) else {
            return false;
        };
        let found = gateway.slots.entry(slot).or_default();
        if is_late || found.1 != version {
            self.fault_counts.add(FaultKind::SlotTaken);
            found.1 = found.1.wrapping_add(u32::from(is_late));
            return false;
        }
        *found = (bytes, version.wrapping_add(1));
        true
    }

    fn set_alarm(&mut self, by: Engine, gateway: usize) {
        let now = self.clock(gateway).steady;
        let Some(worker) = self.workers.get_mut(by.worker) else {
            return;
        };
        let due = match &worker.vm {
            Some(Vm::Accept(engine)) => engine.tick_period().map(|period| now.plus(period)),
            Some(Vm::Drain(engine)) => engine.wakeup(now),
            None => None,
        };
        let Some(due) = due else { return };
        let wait = due.since(now).as_millis();
        let at = self
            .now
            .saturating_add(u64::try_from(wait).unwrap_or(u64::MAX).max(1));
        if worker.alarm.is_some_and(|alarm| alarm <= at) {
            return;
        }
        worker.alarm = Some(at);
        self.at(at, Event::Tick(by.worker, by.life));
    }
}
