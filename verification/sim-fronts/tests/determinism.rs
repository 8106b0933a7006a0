//! The same seed gives the same run, byte for byte; another one gives another.

#[test]
fn one_seed_gives_one_trace() {
    for seed in [0, 7, 4_711] {
        let [first, second] = [(), ()].map(|()| sim_fronts::run(seed).trace.text());
        assert_eq!(first, second, "seed {seed}");
        assert!(first.lines().count() > 100, "seed {seed}");
    }
    let [one, other] = [1, 2].map(|seed| sim_fronts::run(seed).trace.text());
    assert_ne!(one, other);
}
