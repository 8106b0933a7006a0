//! Some seeds hold every invariant, in whatever build the tests run, and everything that can go
//! wrong does go wrong in them.

use sim_fronts::troubles::{Counts, Kind};

#[test]
fn the_first_seeds_hold_every_invariant_whatever_happens() {
    let mut counts = Counts::default();
    for seed in 0..150 {
        let report = sim_fronts::run(seed);
        assert!(report.violation.is_none(), "{}", report.story());
        assert!(report.inputs > 100, "seed {seed} does nothing");
        counts.merge(&report.counts);
    }
    let rare = Kind::ALL.into_iter().filter(|kind| counts.count(*kind) < 3);
    let rare: Vec<_> = rare.map(|kind| (kind, counts.count(kind))).collect();
    assert!(rare.is_empty(), "these happen too rarely: {rare:?}");
}
