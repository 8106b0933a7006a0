//! Who lives, as this front has seen it.
//!
//! Silence counts by this front's steady clock, and only while its own records arrive: when the
//! cluster takes no records from anybody, nobody dies. After a pause of the cluster at most two
//! signs of life count as missed.

use std::collections::BTreeMap;

use crate::limits::FRONTS_MAX;
use crate::record::{FrontId, MemberRecord};

/// The fronts that were heard of.
#[derive(Debug)]
pub struct Members {
    own: FrontId,
    alive_ms: u64,
    silence_ms: u64,
    fronts: BTreeMap<FrontId, Front>,
    /// The time that has counted so far, in milliseconds: see above.
    counted_ms: u64,
    /// When this front has last read a record of its own, by its steady clock.
    own_read_ms: Option<u64>,
    foreign: u64,
}

#[derive(Debug)]
struct Front {
    url: String,
    /// The counted time at which it was last heard of.
    heard_ms: u64,
    is_leaving: bool,
}

impl Members {
    pub(crate) fn new(own: FrontId, alive_ms: u64, silence_ms: u64) -> Self {
        Self {
            own,
            alive_ms,
            silence_ms,
            fronts: BTreeMap::new(),
            counted_ms: 0,
            own_read_ms: None,
            foreign: 0,
        }
    }

    /// Applies a record that was read now.
    pub(crate) fn apply(&mut self, bytes: &[u8], now_ms: u64) {
        match MemberRecord::read(bytes) {
            None => self.foreign = self.foreign.saturating_add(1),
            Some(MemberRecord::Alive { front, url }) => {
                if front == self.own {
                    self.count(now_ms);
                }
                let is_leaving = self
                    .fronts
                    .get(&front)
                    .is_some_and(|known| known.is_leaving);
                let heard_ms = self.counted_ms;
                self.fronts.insert(
                    front,
                    Front {
                        url,
                        heard_ms,
                        is_leaving,
                    },
                );
                self.forget_the_silent();
            }
            Some(MemberRecord::Leaving { front }) => {
                if let Some(known) = self.fronts.get_mut(&front) {
                    known.is_leaving = true;
                }
            }
        }
    }

    fn count(&mut self, now_ms: u64) {
        if let Some(before) = self.own_read_ms {
            let passed_ms = now_ms.saturating_sub(before);
            let most_ms = self.alive_ms.saturating_mul(2);
            self.counted_ms = self.counted_ms.saturating_add(passed_ms.min(most_ms));
        }
        self.own_read_ms = Some(now_ms);
    }

    fn forget_the_silent(&mut self) {
        while self.fronts.len() > FRONTS_MAX {
            let silent = self.fronts.iter().min_by_key(|(_, front)| front.heard_ms);
            let Some(silent) = silent.map(|(id, _)| id.clone()) else {
                return;
            };
            self.fronts.remove(&silent);
        }
    }

    /// Returns the time that has counted so far, in milliseconds.
    pub(crate) fn counted_ms(&self) -> u64 {
        self.counted_ms
    }

    /// Returns whether this front's own records arrive.
    pub(crate) fn is_heard(&self, now_ms: u64) -> bool {
        let most_ms = self.alive_ms.saturating_mul(3);
        let is_recent = |read_ms: u64| now_ms.saturating_sub(read_ms) <= most_ms;
        self.own_read_ms.is_some_and(is_recent)
    }

    /// Returns for how long a front was silent, in counted milliseconds. One that was never heard
    /// of has been silent since this front started.
    pub(crate) fn silent_ms(&self, front: &FrontId) -> u64 {
        let heard_ms = self.fronts.get(front).map_or(0, |front| front.heard_ms);
        self.counted_ms.saturating_sub(heard_ms)
    }

    /// Returns the fronts that live and stay, with their URLs.
    pub fn living(&self) -> impl Iterator<Item = (&FrontId, &str)> {
        let lives = |(id, front): &(&FrontId, &Front)| {
            !front.is_leaving && self.silent_ms(id) < self.silence_ms
        };
        let living = self.fronts.iter().filter(lives);
        living.map(|(id, front)| (id, front.url.as_str()))
    }

    /// Returns where a front is reached.
    #[must_use]
    pub fn url(&self, front: &FrontId) -> Option<&str> {
        self.fronts.get(front).map(|front| front.url.as_str())
    }

    /// Returns how many records were not understood.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}
