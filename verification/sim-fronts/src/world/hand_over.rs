//! When a slot changes hands, and what goes wrong just then.

use stream_coordination::io::{Input, LogId};
use stream_coordination::record::FrontId;

use super::{Event, World};
use crate::cluster::{Life, name};
use crate::troubles::Kind;

/// Who owns a slot, and since which epoch.
type Ownership = (u64, Option<FrontId>);

impl World {
    /// A record has reached a slot's log, which may have another owner now.
    pub(super) fn changed_hands(&mut self, slot: u32, before: &Ownership, after: &Ownership) {
        match (&before.1, &after.1) {
            _ if before.0 < after.0 => self.claimed(slot, before, after),
            (Some(releaser), None) => self.released(releaser),
            _ => {}
        }
    }

    fn claimed(&mut self, slot: u32, before: &Ownership, after: &Ownership) {
        let text = format!("slot {slot} is {:?}'s: epoch {}", after.1, after.0);
        self.note("log", text);
        let Some(loser) = &before.1 else {
            if before.0 > 0 {
                self.count(Kind::HandedOver);
            }
            return;
        };
        self.count(Kind::TakenOver);
        let loser = self.life_named(loser);
        let taker = after.1.as_ref().and_then(|taker| self.life_named(taker));
        let (Some(loser), Some(taker)) = (loser.filter(|loser| Some(*loser) != taker), taker)
        else {
            return;
        };
        if self.strikes(self.plan.hand_over.loser_is_deaf) {
            self.make_deaf(loser, slot);
        }
        if self.strikes(self.plan.hand_over.taker_leaves) {
            self.count(Kind::LeftAtClaim);
            self.soon(1_500, Event::Leave(taker));
        }
    }

    fn make_deaf(&mut self, (front, _): Life, slot: u32) {
        let until = self.now + self.rng.between(500, 4_000);
        let now = self.now;
        if self
            .front(front)
            .is_some_and(|found| found.serves(slot, now))
        {
            self.count(Kind::DeafAtClaim);
        }
        if let Some(found) = self.fronts.get_mut(front) {
            found.deaf_until.insert(LogId::Slot(slot), until);
        }
    }

    fn released(&mut self, releaser: &FrontId) {
        let Some((front, _)) = self.life_named(releaser) else {
            return;
        };
        if self.strikes(self.plan.hand_over.releaser_pauses) {
            self.count(Kind::PausedAtRelease);
            let millis = self.rng.between(500, 5_000);
            self.pause(front, millis);
        }
    }

    /// Tells a front to end.
    pub(super) fn leave(&mut self, life: Life, back_after: u64) {
        if let Some(found) = self.fronts.get_mut(life.0) {
            found.returns_after = Some(back_after);
        }
        self.tell(life, Input::Leave);
    }

    fn life_named(&self, wanted: &FrontId) -> Option<Life> {
        let lives = (0..self.plan.fronts).map(|front| self.life(front));
        lives
            .into_iter()
            .find(|life| name(*life) == wanted.0 && self.is_there(*life))
    }
}
