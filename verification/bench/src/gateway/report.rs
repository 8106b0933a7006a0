//! Medians, percentiles and the lines that show them.

use std::time::Duration;

use super::deferral::Deferral;
use super::neighbour::Neighbourhood;

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
    let at = |percent| percentile(&latencies, percent);
    println!("  {what:<26}{:>8.2}{:>8.2}{:>8.2}", at(50), at(95), at(99));
}

/// Prints how late deferred calls were.
pub(super) fn deferral(mut deferral: Deferral) {
    deferral.lateness.sort_unstable();
    let at = |percent| percentile(&deferral.lateness, percent);
    println!(
        "\n  milliseconds too late     {:>8}{:>8}{:>8}{:>8}",
        "median", "p95", "p99", "max"
    );
    let (median, p95, p99, max) = (at(50), at(95), at(99), at(100));
    println!("  deferred calls            {median:>8.2}{p95:>8.2}{p99:>8.2}{max:>8.2}");
    let (early, calls) = (deferral.early, deferral.lateness.len());
    println!("  too early: {early} of {calls}");
}

/// Prints how long calls to a quick target took alone and beside bad neighbours.
pub(super) fn neighbourhood(backlog: usize, measured: Neighbourhood) {
    println!(
        "\n  milliseconds until arrival{:>8}{:>10}{:>16}",
        "median", "p99", "ratios to alone"
    );
    let figures = |mut latencies: Vec<Duration>| {
        latencies.sort_unstable();
        (percentile(&latencies, 50), percentile(&latencies, 99))
    };
    let alone = figures(measured.alone);
    let (dead, hanging) = (measured.beside_dead, measured.beside_hanging);
    println!("  {:<26}{:>8.2}{:>10.2}", "alone", alone.0, alone.1);
    for (what, latencies) in [("a dead target", dead), ("a hanging one", hanging)] {
        let (median, p99) = figures(latencies);
        let what = format!("{backlog} calls to {what}");
        let ratios = (median / alone.0, p99 / alone.1);
        println!(
            "  {what:<26}{median:>8.2}{p99:>10.2}{:>8.2}{:>8.2}",
            ratios.0, ratios.1
        );
    }
}

/// In milliseconds, of a sorted list.
fn percentile(latencies: &[Duration], percent: usize) -> f64 {
    let index = latencies.len() * percent / 100;
    let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
    latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
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
