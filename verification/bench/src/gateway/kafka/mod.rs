//! `cargo xtask bench --kafka`: the stream server on Apache Kafka beside the embedded engine, in
//! one run on one machine.
//!
//! Both take turns in each round, so that what else the machine does hits both. What matters are
//! the ratios. The brokers share the machine with everything, which no production has.

mod idle;
mod servers;

use std::iter;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use kafka_cluster::{Cluster, Kafka, Provided, Setup};
use provision::tools::stream_server_with_kafka;
use provision::{Programs, Project, cancel};
use testkit::figures::{median_rate, percentile};
use testkit::table::{Column, Table};

use super::report::{Round, number};
use super::{Arguments, latency, rounds, sets};
use servers::{Figure, Figures};

/// The value of `--kafka` that means brokers of our own.
pub(super) const OWN: &str = "";

/// Where streams are kept.
const ENGINES: [&str; 2] = ["embedded", "Kafka"];

/// Rows of processor time.
const ENVOY: &str = "  Envoy's processor time for each, \u{b5}s";
const SERVER: &str = "  the server's processor time for each, \u{b5}s";
const BROKERS: &str = "  all brokers' processor time meanwhile, \u{b5}s";

/// A part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// Rates through one gateway
    Gateway,
    /// Rates of the stream server alone
    Server,
    /// How long single calls take
    Latency,
    /// What nothing costs
    Idle,
}

/// What both engines have done in one round.
struct Pair<T>([T; 2]);

impl<T> Pair<T> {
    /// Measures both, one after the other.
    fn measure(
        of: &[sets::Programs; 2],
        mut work: impl FnMut(&sets::Programs) -> Result<T>,
    ) -> Result<Self> {
        cancel::check()?;
        let [embedded, kafka] = of;
        Ok(Self([work(embedded)?, work(kafka)?]))
    }
}

pub(super) fn run(
    project: &Project,
    mut programs: Programs,
    arguments: &Arguments,
    brokers: &str,
) -> Result<ExitCode> {
    let own = match brokers {
        OWN => Some(start_brokers(project, &programs)?),
        _ => None,
    };
    let brokers = own
        .as_ref()
        .map_or_else(|| brokers.to_owned(), Cluster::brokers);
    programs.tools.stream_server = match &arguments.stream_server {
        Some(other) => other.clone(),
        None => stream_server_with_kafka(project)?,
    };
    let engines = [
        sets::Programs::embedded(programs.clone()),
        sets::Programs::on_kafka(programs, brokers),
    ];
    let pids = own.as_ref().map(Cluster::pids).unwrap_or_default();
    let is_wanted = |part: Part| arguments.part.is_empty() || arguments.part.contains(&part);
    let mut rates: Vec<Pair<Round>> = Vec::new();
    let mut figures: Vec<Pair<Figures>> = Vec::new();
    for round in 1..=arguments.rounds {
        if is_wanted(Part::Gateway) {
            let measure = |one: &_| rounds::measure(one, arguments);
            rates.push(Pair::measure(&engines, measure)?);
        }
        if is_wanted(Part::Server) {
            let measure = |one: &_| servers::measure(one, arguments, &pids);
            figures.push(Pair::measure(&engines, measure)?);
        }
        println!("round {round} of {}", arguments.rounds);
    }
    report(&rates, &figures);
    if is_wanted(Part::Latency) {
        let measure = |one: &_| latency::measure(one, arguments);
        report_latencies(Pair::measure(&engines, measure)?);
    }
    if is_wanted(Part::Idle) {
        idle::report(&Pair::measure(&engines, idle::measure)?.0);
    }
    Ok(ExitCode::SUCCESS)
}

fn start_brokers(project: &Project, programs: &Programs) -> Result<Cluster> {
    match Kafka::provide(project, &programs.tools.with_parent)? {
        Provided::Kafka(kafka) => Cluster::start(&kafka, "bench", &Setup::default()),
        Provided::Missing(reason) => bail!(
            "no brokers can be started here, because {reason}. Name those of a cluster that you \
             have: --kafka HOST:PORT"
        ),
    }
}

/// What is read off a round.
type OfRound = fn(&Round) -> f64;

/// Prints medians of rates and of processor time, and medians of the rounds' ratios.
fn report(rates: &[Pair<Round>], figures: &[Pair<Figures>]) {
    let columns = ENGINES.iter().chain(&["Kafka / embedded"]);
    let columns = columns.map(|name| Column::right(*name));
    let title = "medians over the rounds";
    let mut table = Table::with_header(iter::once(title.into()).chain(columns));
    let of_rounds = |of: OfRound| {
        let both = |Pair(two): &Pair<Round>| two.each_ref().map(of);
        rates.iter().map(both).collect::<Vec<_>>()
    };
    let rows: [(&str, OfRound); 6] = [
        ("accepted (202) per second", |one| one.accepted.per_second),
        (ENVOY, |one| one.accepted.envoy_cpu),
        (SERVER, |one| one.accepted.stream_cpu),
        ("delivered per second", |one| one.delivered.per_second),
        (ENVOY, |one| one.delivered.envoy_cpu),
        (SERVER, |one| one.delivered.stream_cpu),
    ];
    for (name, of) in rows.into_iter().filter(|_| !rates.is_empty()) {
        add(&mut table, name, &of_rounds(of));
    }
    let names = figures.first().map(|Pair([one, _])| one.names());
    for (place, name) in names.unwrap_or_default().into_iter().enumerate() {
        let of_figures = |of: fn(&Figure) -> f64| {
            let both = |Pair(two): &Pair<Figures>| two.each_ref().map(|one| one.at(place, of));
            figures.iter().map(both).collect::<Vec<_>>()
        };
        add(&mut table, name, &of_figures(|one| one.per_second));
        add(&mut table, SERVER, &of_figures(|one| one.server));
        add(&mut table, BROKERS, &of_figures(|one| one.brokers));
    }
    print!("\n{table}");
    let fronts = figures.iter().map(|Pair([_, kafka])| kafka.two_fronts());
    let fronts: Vec<f64> = fronts.flatten().collect();
    if !fronts.is_empty() {
        println!("  two servers on Kafka to one: {:.2}", median_rate(fronts));
    }
}

fn add(table: &mut Table, name: &str, rounds: &[[f64; 2]]) {
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| median_rate(rounds.iter().map(of).collect());
    table.row([
        name.into(),
        number(median(&|[embedded, _]| *embedded), 1),
        number(median(&|[_, kafka]| *kafka), 1),
        number(median(&|[embedded, kafka]| kafka / embedded), 2),
    ]);
}

fn report_latencies(Pair(both): Pair<latency::Latencies>) {
    let columns = ["median", "p95", "p99"].map(Column::right);
    let title = "milliseconds of single calls";
    let mut table = Table::with_header(iter::once(title.into()).chain(columns));
    for (engine, latencies) in ENGINES.iter().zip(both) {
        for (what, mut times) in [
            ("until the 202", latencies.to_answer),
            ("until arrival", latencies.from_request),
        ] {
            times.sort_unstable();
            let figure = |percent| milliseconds(percentile(&times, percent));
            let figures = [50, 95, 99].map(figure);
            table.row(iter::once(format!("{engine}: {what}").into()).chain(figures));
        }
    }
    print!("\n{table}");
}

fn milliseconds(time: Option<Duration>) -> Column {
    number(
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0),
        2,
    )
}
