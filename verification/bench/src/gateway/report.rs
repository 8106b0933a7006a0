//! The tables with the results.

use std::iter;
use std::time::Duration;

use testkit::figures::{median_rate, percentile};
use testkit::table::{Column, Table};

use super::deferral::Deferral;
use super::latency::Latencies;
use super::neighbour::Neighbourhood;

/// A rate and its cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    /// Microseconds of processor time for each call, of Envoy and of the stream server.
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

/// The pairs that are compared.
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
    let columns = ["per second", "Envoy", "stream server"].map(Column::right);
    let mut table = Table::with_header(iter::once("".into()).chain(columns));
    for (name, of) in ROWS {
        let median_of =
            |get: fn(Rate) -> f64| median_rate(rounds.iter().map(|round| get(of(round))).collect());
        table.row([
            (*name).into(),
            number(median_of(|rate| rate.per_second), 0),
            number(median_of(|rate| rate.envoy_cpu), 1),
            number(median_of(|rate| rate.stream_cpu), 1),
        ]);
    }
    print!("{table}");
    println!("\nRatios of these rates: medians over the rounds\n");
    let mut table = Table::new();
    for (name, above, below) in RATIOS {
        let ratio = |round: &Round| above(round).per_second / below(round).per_second;
        let ratio = median_rate(rounds.iter().map(ratio).collect());
        table.row([(*name).into(), number(ratio, 2)]);
    }
    print!("{table}");
}

/// Prints how long single calls took.
pub(super) fn latencies(latencies: Latencies) {
    let mut table = times("milliseconds until arrival", &["median", "p95", "p99"]);
    for (what, times) in [
        ("from the request", latencies.from_request),
        ("from the 202", latencies.from_answer),
    ] {
        table.row(row(what, &percentiles(times, [50, 95, 99])));
    }
    print!("\n{table}");
}

/// Prints how late deferred calls were.
pub(super) fn deferral(deferral: Deferral) {
    let (early, calls) = (deferral.early, deferral.lateness.len());
    let mut table = times("milliseconds too late", &["median", "p95", "p99", "max"]);
    let lateness = percentiles(deferral.lateness, [50, 95, 99, 100]);
    table.row(row("deferred calls", &lateness));
    print!("\n{table}");
    println!("  too early: {early} of {calls}");
}

/// Prints how long calls to a quick target took alone and beside bad neighbours.
pub(super) fn neighbourhood(backlog: usize, measured: Neighbourhood) {
    let columns = ["median", "p99", "median to alone", "p99 to alone"];
    let mut table = times("milliseconds until arrival", &columns);
    let alone = percentiles(measured.alone, [50, 99]);
    table.row(row("alone", &alone));
    let (dead, hanging) = (measured.beside_dead, measured.beside_hanging);
    for (what, latencies) in [("a dead target", dead), ("a hanging one", hanging)] {
        let beside = percentiles(latencies, [50, 99]);
        let ratios = beside
            .iter()
            .zip(alone)
            .map(|(beside, alone)| beside / alone);
        let figures: Vec<f64> = beside.iter().copied().chain(ratios).collect();
        table.row(row(&format!("{backlog} calls to {what}"), &figures));
    }
    print!("\n{table}");
}

fn times(what: &str, columns: &[&str]) -> Table {
    let columns = columns.iter().map(Column::right);
    Table::with_header(iter::once(what.into()).chain(columns))
}

fn row(what: &str, figures: &[f64]) -> Vec<Column> {
    let figures = figures.iter().map(|figure| number(*figure, 2));
    iter::once(what.into()).chain(figures).collect()
}

/// Returns a number with so many digits behind the point.
pub(crate) fn number(value: f64, digits: usize) -> Column {
    Column::right(format!("{value:.digits$}"))
}

/// Returns percentiles in milliseconds.
fn percentiles<const N: usize>(mut latencies: Vec<Duration>, percents: [usize; N]) -> [f64; N] {
    latencies.sort_unstable();
    percents.map(|percent| {
        let latency = percentile(&latencies, percent);
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    })
}
