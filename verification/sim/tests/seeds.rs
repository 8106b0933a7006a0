//! Some seeds hold every guarantee, in whatever build the tests run, and everything that can go
//! wrong does go wrong in them.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use sim::fault_counts::FaultCounts;

/// In how many of the runs each kind of trouble happens at least: what happens in one alone may be
/// gone with the next draw that is added.
const RUNS_MIN: u64 = 3;

#[test]
fn the_first_seeds_hold_every_guarantee_whatever_happens() {
    let mut fault_counts = FaultCounts::default();
    for seed in 0..100 {
        let report = sim::run(seed);
        assert!(report.violation.is_none(), "{}", report.story());
        assert!(report.inputs > 20, "seed {seed} does nothing");
        fault_counts.count_run(&report.fault_counts);
    }
    let rare = fault_counts.rarer_than(RUNS_MIN);
    assert!(rare.is_empty(), "these happen too rarely: {rare:?}");
}
