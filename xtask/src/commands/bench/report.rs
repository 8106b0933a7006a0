//! Medians, percentiles and the lines that show them.

use std::time::Duration;

/// A rate and what it cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    /// Microseconds of processor time for each, of Envoy and of the stream server.
    pub(super) envoy_cpu: f64,
    pub(super) stream_cpu: f64,
}

/// What one round has measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) direct: Rate,
    pub(super) buffered: Rate,
    pub(super) accepted: Rate,
    pub(super) proxied: Rate,
    pub(super) passed: Rate,
    pub(super) delivered: Rate,
}

type Member = fn(&Round) -> Rate;

/// Each rate with its name, in the order in which they are measured.
const ROWS: &[(&str, Member)] = &[
    ("direct response", |round| round.direct),
    ("direct response, body read", |round| round.buffered),
    ("accepted (202)", |round| round.accepted),
    ("proxied", |round| round.proxied),
    ("proxied past the filter", |round| round.passed),
    ("delivered", |round| round.delivered),
];

/// What is compared with what.
const RATIOS: &[(&str, Member, Member)] = &[
    (
        "accepted / direct response",
        |round| round.accepted,
        |round| round.direct,
    ),
    (
        "accepted / direct response, body read",
        |round| round.accepted,
        |round| round.buffered,
    ),
    (
        "proxied past the filter / proxied",
        |round| round.passed,
        |round| round.proxied,
    ),
    (
        "delivered / proxied",
        |round| round.delivered,
        |round| round.proxied,
    ),
];

/// Prints a round as soon as it is measured.
pub(super) fn round(number: usize, round: &Round) {
    let rates = ROWS
        .iter()
        .map(|(name, of)| format!("{name} {:.0}", of(round).per_second));
    println!("round {number}: {}", rates.collect::<Vec<_>>().join("; "));
}

/// Prints the medians and their ratios.
pub(super) fn rates(rounds: &[Round]) {
    println!(
        "\nMedians of {} rounds; processor time in \u{b5}s for each\n",
        rounds.len()
    );
    println!(
        "  {:<30}{:>12}{:>10}{:>16}",
        "", "per second", "Envoy", "stream server"
    );
    for (name, of) in ROWS {
        let median_of =
            |get: fn(Rate) -> f64| median(rounds.iter().map(|round| get(of(round))).collect());
        println!(
            "  {name:<30}{:>12.0}{:>10.1}{:>16.1}",
            median_of(|rate| rate.per_second),
            median_of(|rate| rate.envoy_cpu),
            median_of(|rate| rate.stream_cpu),
        );
    }
    println!("\nRatios of these rates: medians over the rounds\n");
    for (name, above, below) in RATIOS {
        let ratio = |round: &Round| above(round).per_second / below(round).per_second;
        println!(
            "  {name:<38}{:>4.2}",
            median(rounds.iter().map(ratio).collect())
        );
    }
}

/// Prints how long single calls took.
pub(super) fn latencies(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = latencies.len() * percent / 100;
        let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    };
    println!("  {what:<26}{:>8.2}{:>8.2}{:>8.2}", at(50), at(95), at(99));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
