//! Some seeds hold every guarantee, in whatever build the tests run.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[test]
fn the_first_seeds_hold_every_guarantee() {
    for seed in 0..60 {
        let report = sim::run(seed);
        assert!(report.violation.is_none(), "{}", report.story());
        assert!(report.inputs > 20, "seed {seed} does nothing");
    }
}
