//! What is checked again and again, and at the end.

use sim::invariants::Violation;
use stream_coordination::io::LogId;

use super::{Event, RECOVERY_MS, UNSERVED_MS_MAX, World};
use crate::front::Front;
use crate::plan::Trouble;
use crate::troubles::Kind;

impl World {
    /// K3: no two fronts serve reads of one slot at the same time, even if one of them stands
    /// still.
    pub(super) fn check_leases(&self) -> Result<(), Violation> {
        for slot in 0..self.plan.slots {
            let serving = |front: &&Front| front.serves(slot, self.now);
            let serving: Vec<_> = self.fronts.iter().filter(serving).collect();
            if serving.len() > 1 {
                let text = format!("slot {slot} is served by {} fronts", serving.len());
                return Err(Violation::new("K3", "", text));
            }
        }
        Ok(())
    }

    pub(super) fn look(&mut self) -> Result<(), Violation> {
        self.look_at_requests()?;
        for slot in self.slots() {
            if self.fronts.iter().any(|front| front.serves(slot, self.now)) {
                self.unserved.remove(&slot);
                continue;
            }
            let since = *self.unserved.entry(slot).or_insert(self.now);
            if self.is_healthy() && self.now > since + UNSERVED_MS_MAX {
                let text = format!("nobody serves slot {slot} since {since}");
                return Err(Violation::new("K8", "", text));
            }
        }
        self.look_at_quiet()?;
        for front in 0..self.plan.fronts {
            self.finish_streams(front);
        }
        self.after(1_000, Event::Look);
        Ok(())
    }

    /// K8: what one trouble alone may cost. K11: an outage of all brokers starts no take-over.
    fn look_at_quiet(&self) -> Result<(), Violation> {
        let (Some((at, trouble)), true) = (self.plan.troubles.first(), self.plan.is_quiet) else {
            return Ok(());
        };
        let (most, why) = match trouble {
            Trouble::Leave(..) => (3_000, "a front has left"),
            Trouble::Kill(..) => (14_000, "a front was killed"),
            Trouble::AllAway(away) => (away + 3_000, "all brokers were away"),
            Trouble::Pause(..)
            | Trouble::CutOff(..)
            | Trouble::Deaf(..)
            | Trouble::BrokerAway(..)
            | Trouble::StartGoesBack(..) => return Ok(()),
        };
        let unserved = self.unserved.values().find(|since| **since >= *at);
        if let Some(since) = unserved.filter(|since| self.now > **since + most) {
            let text = format!("{why}, and a slot isn't served since {since}");
            return Err(Violation::new("K8", "", text));
        }
        Ok(())
    }

    pub(super) fn check_end(&self) -> Result<(), Violation> {
        if let Some(control) = self.log(LogId::Slot(0)) {
            self.ledger.check_documents(control)?;
        }
        let healthy_at = self.plan.calm_at + RECOVERY_MS;
        for (number, client) in self.clients.iter().enumerate() {
            if client.succeeded_at < healthy_at {
                let text = format!("client {number} has got nothing since all is well");
                return Err(Violation::new("K8", "", text));
            }
        }
        if self.plan.is_quiet
            && matches!(self.plan.troubles.first(), Some((_, Trouble::AllAway(_))))
        {
            let taken = self.counts.count(Kind::TakenOver);
            if taken > 0 {
                let text = format!("{taken} slots were taken over because of an outage");
                return Err(Violation::new("K11", "", text));
            }
        }
        Ok(())
    }
}
