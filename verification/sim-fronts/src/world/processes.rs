//! Processes and brokers that start, stand still, end, and are away.

use sim::invariants::Violation;
use stream_coordination::io::LogId;

use super::{Event, World};
use crate::front::Front;
use crate::plan::Trouble;
use crate::troubles::Kind;

impl World {
    pub(super) fn start(&mut self, front: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(found) = self.fronts.get_mut(front) else {
            return Ok(());
        };
        if found.coordinator.is_some() {
            return Ok(());
        }
        let refused = |text| Violation::new("configuration", "", text);
        found.start(front, &self.plan, now).map_err(refused)?;
        self.checked.retain(|(checked, _), _| *checked != front);
        let life = self.life(front);
        self.note_front(life, "starts");
        self.perform_all(life)?;
        self.wake(life);
        Ok(())
    }

    fn end(&mut self, front: usize) {
        let life = self.life(front);
        self.note_front(life, "ends");
        self.ledger.asked.retain(|(asked, _), _| *asked != life);
        if let Some(found) = self.fronts.get_mut(front) {
            found.end();
        }
    }

    /// A front that was told to end has handed everything over.
    pub(super) fn left(&mut self, front: usize) {
        let after = self.fronts.get(front).and_then(|found| found.returns_after);
        self.end(front);
        self.after(after.unwrap_or(1_000), Event::Start(front));
    }

    /// Lets a front stand still from now on.
    pub(super) fn pause(&mut self, front: usize, millis: u64) {
        let until = self.now + millis;
        if let Some(found) = self.fronts.get_mut(front) {
            found.paused_until = found.paused_until.max(until);
            self.resumed.insert(front, found.paused_until);
        }
    }

    pub(super) fn trouble(&mut self, number: usize) -> Result<(), Violation> {
        let Some((_, trouble)) = self.plan.troubles.get(number).copied() else {
            return Ok(());
        };
        self.note("everybody", format!("{trouble:?}"));
        let now = self.now;
        match trouble {
            Trouble::Pause(front, millis) => {
                self.pause(front, millis);
                let owns = |found: &Front| !found.tables.is_empty();
                if self.front(front).is_some_and(owns) {
                    self.count(Kind::Paused);
                }
            }
            Trouble::Kill(front, millis) => {
                if self
                    .front(front)
                    .is_some_and(|found| !found.tables.is_empty())
                {
                    self.count(Kind::Killed);
                }
                self.end(front);
                self.after(millis, Event::Start(front));
            }
            Trouble::Leave(front, millis) => {
                self.count(Kind::Left);
                self.leave(self.life(front), millis);
            }
            Trouble::CutOff(front, millis) => {
                self.count(Kind::CutOff);
                if let Some(found) = self.fronts.get_mut(front) {
                    found.cut_until = now + millis;
                }
            }
            Trouble::Deaf(front, log, millis) => {
                self.count(Kind::Deaf);
                let log = log.checked_sub(1).map_or(LogId::Members, LogId::Slot);
                if let Some(found) = self.fronts.get_mut(front) {
                    found.deaf_until.insert(log, now + millis);
                }
            }
            Trouble::BrokerAway(log, millis) => {
                self.count(Kind::BrokerAway);
                let log = log.checked_sub(1).map_or(LogId::Members, LogId::Slot);
                if let Some(log) = self.logs.get_mut(&log) {
                    log.away_until = now + millis;
                }
            }
            Trouble::AllAway(millis) => {
                self.count(Kind::AllAway);
                for log in self.logs.values_mut() {
                    log.away_until = now + millis;
                }
            }
            Trouble::StartGoesBack(slot, records) => {
                if let Some(log) = self.logs.get_mut(&LogId::Slot(slot))
                    && log.start > 0
                {
                    log.start = log.start.saturating_sub(records);
                    log.check_start()?;
                    self.count(Kind::StartGoesBack);
                }
            }
        }
        Ok(())
    }

    /// From now on nothing goes wrong any more, but for what is under way.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.note("everybody", "all is well from now on");
        for log in self.logs.values_mut() {
            log.away_until = 0;
        }
        for front in 0..self.plan.fronts {
            let now = self.now;
            self.resumed.insert(front, now);
            if let Some(found) = self.fronts.get_mut(front) {
                found.paused_until = 0;
                found.cut_until = 0;
                found.deaf_until.clear();
            }
            self.after(1_000, Event::Start(front));
        }
    }
}
