//! What happens to whole machines.

use super::{Event, World};
use crate::invariants::Violation;
use crate::ledger::Engine;
use crate::plan::{Faults, Mishap};

impl World {
    pub(super) fn mishap(&mut self, number: usize) -> Result<(), Violation> {
        let Some((_, mishap)) = self.plan.mishaps.get(number).copied() else {
            return Ok(());
        };
        self.note("everybody", format!("{mishap:?}"));
        match mishap {
            Mishap::Restart(worker) => self.restart(worker),
            Mishap::Die(gateway, millis) => self.die(gateway, millis),
            Mishap::Stop(gateway, millis) => {
                let until = self.now.saturating_add(millis);
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.stopped_until = until;
                }
            }
            Mishap::Jump(gateway, millis) => {
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.skew = gateway.skew.saturating_add(millis);
                }
            }
            Mishap::Elsewhere(gateway) => {
                let workers = self.plan.workers.max(1);
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.checked = gateway.checked.saturating_add(1) % workers;
                }
            }
            Mishap::StreamRestart => self.stream.restart(),
            Mishap::StreamAway(millis) => {
                self.stream_away_until = self.now.saturating_add(millis);
            }
        }
        Ok(())
    }

    /// The VM of a worker ends, with everything that it knew, and starts again.
    fn restart(&mut self, worker: usize) {
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

    fn die(&mut self, number: usize, millis: u64) {
        let Some(gateway) = self
            .gateways
            .get_mut(number)
            .filter(|gateway| gateway.is_up)
        else {
            return;
        };
        gateway.is_up = false;
        gateway.slots.clear();
        gateway.life = gateway.life.saturating_add(1);
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

    /// Faults stop.
    pub(super) fn calm(&mut self) {
        self.note("everybody", "faults stop");
        self.is_calm = true;
        self.plan.faults = Faults::default();
        self.stream_away_until = 0;
        for gateway in &mut self.gateways {
            gateway.stopped_until = 0;
            gateway.is_up = true;
        }
        self.after(500, Event::Look);
    }
}
