//! The deterministic simulation of several fronts: their coordination and the stream server's own
//! groups on logs in memory, in one thread, with one seed.
//!
//! | | |
//! |---|---|
//! | [`plan`] | what a seed stands for |
//! | [`world`] | the event loop, the wire, processes, clients, and the requests that owners serve |
//! | [`front`] | one front |
//! | [`cluster`] | the brokers' logs, and what they truly add up to: K2, K4, K6 |
//! | [`ledger`] | what was asked and promised: K1, K5, K7, K9 |
//! | [`troubles`] | what went wrong, counted |
//!
//! `docs/simulation.md` lists the invariants.

pub mod cluster;
pub mod front;
pub mod ledger;
pub mod plan;
pub mod troubles;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::Plan;
use sim::invariants::Violation;
use sim::rng::Rng;
use sim::trace::Trace;
use troubles::Counts;
use world::World;

/// How a run ended.
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// Everything that happened.
    pub trace: Trace,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were done.
    pub done: u64,
    /// Reads that were delivered.
    pub delivered: u64,
    /// Inputs that fronts were given.
    pub inputs: u64,
    /// What went wrong, and how often.
    pub counts: Counts,
}

/// Runs a seed to its end, or to the first violation.
#[must_use]
pub fn run(seed: u64) -> Report {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let mut world = World::new(plan, rng);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ran {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let text = format!("a front panicked: {}", said.unwrap_or_default());
            Some(Violation::new("K10", "", text))
        }
    };
    Report {
        seed,
        violation,
        answered: world.ledger.answered,
        done: world.ledger.done,
        delivered: world.delivered,
        inputs: world.told,
        counts: world.counts,
        trace: world.trace,
    }
}

impl Report {
    /// Returns what went wrong, and what led to it.
    #[must_use]
    pub fn story(&self) -> String {
        match &self.violation {
            None => format!("seed {}: every invariant held\n", self.seed),
            Some(violation) => {
                let latest = self.trace.latest();
                format!("seed {}: {violation}\n\n{latest}", self.seed)
            }
        }
    }
}
