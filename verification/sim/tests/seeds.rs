//! Some seeds hold every guarantee, in whatever build the tests run, and everything that can go
//! wrong does go wrong in them.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use sim::happenings::Happenings;

#[test]
fn the_first_seeds_hold_every_guarantee_whatever_happens() {
    let mut happenings = Happenings::default();
    for seed in 0..100 {
        let report = sim::run(seed);
        assert!(report.violation.is_none(), "{}", report.story());
        assert!(report.inputs > 20, "seed {seed} does nothing");
        happenings.merge(&report.happenings);
    }
    let missing = happenings.missing();
    assert!(missing.is_empty(), "these never happen: {missing:?}");
}
