//! The same seed gives the same run, byte for byte; another one gives another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::trace::hash;

#[test]
fn one_seed_gives_one_trace() {
    for seed in [0, 7, 4_711] {
        let [first, second] = [sim::run(seed), sim::run(seed)].map(|run| run.trace.text());
        assert_eq!(hash(&first), hash(&second), "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
        assert!(first.lines().count() > 20, "seed {seed}");
    }
    assert_ne!(sim::run(1).trace.text(), sim::run(2).trace.text());
}

#[test]
fn bytes_steer_a_run_and_keep_it_deterministic() {
    let bytes: Vec<u8> = (0..400_u32)
        .map(|n| n.to_le_bytes()[0].wrapping_mul(31))
        .collect();
    let [first, second] = [(), ()].map(|()| sim::run_steered(1, &bytes).trace.text());
    assert_eq!(first, second);
    assert_ne!(first, sim::run(1).trace.text());
}
