//! Faults of whole machines.

use sluice::metric::Metric;
use sluice::time::Wall;

use super::{Event, World};
use crate::fault_counts::FaultKind;
use crate::invariants::{Violation, g3_repeats};
use crate::ledger::Engine;
use crate::plan::{Faults, ProcessFault};

impl World {
    pub(super) fn process_fault(&mut self, number: usize) -> Result<(), Violation> {
        let Some((_, process_fault)) = self.plan.process_faults.get(number).copied() else {
            return Ok(());
        };
        self.note("everybody", format!("{process_fault:?}"));
        match process_fault {
            ProcessFault::Restart(worker) => {
                self.count_fault(FaultKind::VmEnded);
                self.restart(worker);
            }
            ProcessFault::Trap(worker, outputs) => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.traps_after = Some(outputs);
                }
            }
            ProcessFault::Die(gateway, millis) => {
                self.die(gateway, millis, FaultKind::GatewayDied);
            }
            ProcessFault::Retire(gateway, millis) => {
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.retires = Some(millis);
                }
            }
            ProcessFault::Stop(gateway, millis) => {
                let until = self.now.saturating_add(millis);
                self.count_fault(FaultKind::GatewayStopped);
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.stopped_until = until;
                }
            }
            ProcessFault::Jump(gateway, millis) => self.set_clock(gateway, millis),
            ProcessFault::WrongClock(gateway, by, millis) => {
                self.set_clock(gateway, by);
                self.after(millis, Event::ClockSet(gateway, by.saturating_neg()));
            }
            ProcessFault::Elsewhere(gateway) => {
                let workers = self.plan.workers.max(1);
                if workers > 1 {
                    self.count_fault(FaultKind::HealthElsewhere);
                }
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.checked = gateway.checked.saturating_add(1) % workers;
                }
            }
            ProcessFault::StreamRestart => {
                self.count_fault(FaultKind::StreamRestarted);
                self.stream.restart();
            }
            ProcessFault::StreamAway(millis) => {
                self.stream_away_until = self.now.saturating_add(millis);
            }
        }
        Ok(())
    }

    pub(super) fn set_clock(&mut self, number: usize, millis: i64) {
        self.count_fault(match millis < 0 {
            true => FaultKind::ClockBack,
            false => FaultKind::ClockForward,
        });
        if let Some(gateway) = self.gateways.get_mut(number) {
            gateway.skew = gateway.skew.saturating_add(millis);
        }
    }

    /// Counts down to a worker's trap, if one is planned. Returns true when it happens.
    pub(super) fn is_trapping(&mut self, worker: usize) -> bool {
        let worker = self.workers.get_mut(worker);
        let Some(left) = worker.and_then(|worker| worker.traps_after.as_mut()) else {
            return false;
        };
        let is_now = *left == 0;
        *left = left.saturating_sub(1);
        is_now
    }

    /// Traps a VM: what it has asked for so far is done, and nothing else.
    pub(super) fn trap(&mut self, by: Engine) {
        self.note(self.name(by.worker), "traps");
        self.count_fault(FaultKind::VmTrapped);
        let gateway = self.process(by.worker).0;
        let latest = self.gateways.get(gateway).map(|found| found.latest_wall);
        self.keys.trapped(by, Wall(latest.unwrap_or_default()));
        self.restart(by.worker);
    }

    /// Ends the VM of a worker, with everything that it knew, and starts it again.
    pub(super) fn restart(&mut self, worker: usize) {
        let Some(old) = self.workers.get(worker) else {
            return;
        };
        let (gateway, is_drain, life) = (old.gateway, old.is_drain, old.life);
        self.cut_off(Engine { worker, life });
        self.ledger.deaths = self.ledger.deaths.saturating_add(1);
        let mut new = self.new_worker(gateway, is_drain);
        new.life = life.saturating_add(1);
        if let Some(slot) = self.workers.get_mut(worker) {
            *slot = new;
        }
    }

    /// Notes that a drain gets a health check.
    pub(super) fn note_check(&mut self, by: Engine) {
        let now = self.now;
        if let Some(worker) = self.workers.get_mut(by.worker) {
            worker.checked_at = now;
        }
    }

    /// A drain that leaves its group waits no longer for its attempts.
    pub(super) fn leave_attempts(&mut self, by: Engine) -> Result<(), Violation> {
        self.count_fault(FaultKind::AttemptLeft);
        self.ledger.leave_attempts(by);
        let checked_at = self.workers.get(by.worker).map_or(0, |w| w.checked_at);
        g3_repeats::left(&self.drain, checked_at, self.now)
    }

    /// Ends a gateway that is to end, if its drains have left their groups.
    pub(super) fn retire(&mut self, number: usize, millis: u64) {
        let mut drains = self
            .workers
            .iter()
            .filter(|worker| worker.gateway == number);
        if drains.all(|worker| worker.gauges.value(Metric::Memberships) == 0) {
            self.note("everybody", format!("gateway {number} has left its groups"));
            self.die(number, millis, FaultKind::GatewayRetired);
        }
    }

    fn die(&mut self, number: usize, millis: u64, how: FaultKind) {
        let Some(gateway) = self
            .gateways
            .get_mut(number)
            .filter(|gateway| gateway.is_up)
        else {
            return;
        };
        gateway.is_up = false;
        gateway.retires = None;
        gateway.slots.clear();
        gateway.life = gateway.life.saturating_add(1);
        self.fault_counts.add(how);
        let workers = self.workers.iter().enumerate();
        let own: Vec<usize> = workers
            .filter(|(_, worker)| worker.gateway == number)
            .map(|(worker, _)| worker)
            .collect();
        for worker in own {
            self.restart(worker);
        }
        self.after(millis, Event::Rise(number));
    }

    pub(super) fn rise(&mut self, number: usize) {
        self.note("everybody", format!("gateway {number} is back"));
        if let Some(gateway) = self.gateways.get_mut(number) {
            gateway.is_up = true;
        }
    }

    /// Stops all faults.
    pub(super) fn calm(&mut self) {
        self.note("everybody", "faults stop");
        self.is_calm = true;
        self.plan.faults = Faults::default();
        self.stream_away_until = 0;
        for gateway in &mut self.gateways {
            gateway.stopped_until = 0;
            gateway.is_up = true;
        }
        for worker in &mut self.workers {
            worker.traps_after = None;
        }
        self.after(500, Event::Look);
    }
}
