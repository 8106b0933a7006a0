//! The deterministic simulation: several gateways with their engines, a Stream with the server's
//! own group logic, targets and clients, in one thread, with one clock and one seed.
//!
//! | | |
//! |---|---|
//! | [`plan`], [`call`] | what a seed stands for |
//! | [`world`] | the event loop: who is told what, when; faults of the wire and of machines |
//! | [`stream`] | the stream server's code on a store in memory |
//! | [`target`] | what receives calls |
//! | [`ledger`], [`snapshot`] | what is true; what is still to be done |
//! | [`fault_counts`] | what went wrong, counted |
//! | [`invariants`] | G1 to G11 as code, one file each |
//! | [`trace`] | what happened, for people |

pub mod call;
pub mod callout;
pub mod fault_counts;
pub mod invariants;
pub mod ledger;
pub mod plan;
pub mod rng;
pub mod snapshot;
pub mod stream;
pub mod target;
pub mod trace;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fault_counts::FaultCounts;
use invariants::Violation;
use plan::Plan;
use rng::Rng;
use world::World;

/// How a run ended.
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The first guarantee that did not hold.
    pub violation: Option<Violation>,
    /// Everything that happened.
    pub trace: trace::Trace,
    /// Calls that were answered with 202.
    pub accepted: usize,
    /// Attempts that were made.
    pub attempts: usize,
    /// Inputs that engines were given.
    pub inputs: u64,
    /// What went wrong, and how often.
    pub fault_counts: FaultCounts,
}

/// Runs a seed to its end, or to the first violation.
#[must_use]
pub fn run(seed: u64) -> Report {
    run_steered(seed, &[])
}

/// Runs a seed whose first draws are these bytes.
#[must_use]
pub fn run_steered(seed: u64, bytes: &[u8]) -> Report {
    let mut rng = Rng::steered(seed, bytes);
    let plan = Plan::draw(&mut rng);
    let mut world = match World::new(plan, rng) {
        Ok(world) => world,
        Err(violation) => return Report::refused(seed, violation),
    };
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ran {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let text = format!("an engine panicked: {}", said.unwrap_or_default());
            Some(Violation::new("G10", "", text))
        }
    };
    Report {
        seed,
        violation,
        accepted: world.ledger.accepted.len(),
        attempts: world.ledger.attempts.values().map(Vec::len).sum(),
        inputs: world.inputs,
        fault_counts: world.fault_counts,
        trace: world.trace,
    }
}

impl Report {
    fn refused(seed: u64, violation: Violation) -> Self {
        Self {
            seed,
            violation: Some(violation),
            trace: trace::Trace::default(),
            accepted: 0,
            attempts: 0,
            inputs: 0,
            fault_counts: FaultCounts::default(),
        }
    }

    /// Returns what went wrong, and what led to it.
    #[must_use]
    pub fn story(&self) -> String {
        let Some(violation) = &self.violation else {
            return format!("seed {}: every guarantee held\n", self.seed);
        };
        let timeline = match violation.call.as_str() {
            "" => self.trace.latest(),
            id => self.trace.of_call(id),
        };
        format!("seed {}: {violation}\n\n{timeline}", self.seed)
    }
}
