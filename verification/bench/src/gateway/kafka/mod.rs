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
use servers::Figures;

/// The value of `--kafka` that means brokers of our own.
pub(super) const OWN: &str = "";

/// Where streams are kept.
const ENGINES: [&str; 2] = ["embedded", "Kafka"];

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
    programs.tools.stream_server = stream_server_with_kafka(project)?;
    let engines = [
        sets::Programs::embedded(programs.clone()),
        sets::Programs::on_kafka(programs, brokers),
    ];
    let mut rates: Vec<Pair<Round>> = Vec::new();
    let mut figures: Vec<Pair<Figures>> = Vec::new();
    for round in 1..=arguments.rounds {
        rates.push(Pair::measure(&engines, |one| {
            rounds::measure(one, arguments)
        })?);
        figures.push(Pair::measure(&engines, |one| {
            servers::measure(one, arguments)
        })?);
        println!("round {round} of {}", arguments.rounds);
    }
    let latencies = Pair::measure(&engines, |one| latency::measure(one, arguments))?;
    report(&rates, &figures);
    report_latencies(latencies);
    idle::report(&Pair::measure(&engines, idle::measure)?.0);
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

/// Prints medians of rates, and medians of the rounds' ratios.
fn report(rates: &[Pair<Round>], figures: &[Pair<Figures>]) {
    println!("\nMedians of {} rounds, per second\n", rates.len());
    let columns = ENGINES.iter().chain(&["Kafka / embedded"]);
    let columns = columns.map(|name| Column::right(*name));
    let mut table = Table::with_header(iter::once("".into()).chain(columns));
    let accepted: Vec<[f64; 2]> = rates
        .iter()
        .map(|Pair(two)| two.each_ref().map(|round| round.accepted.per_second))
        .collect();
    let delivered: Vec<[f64; 2]> = rates
        .iter()
        .map(|Pair(two)| two.each_ref().map(|round| round.delivered.per_second))
        .collect();
    add(&mut table, "accepted (202) through one gateway", &accepted);
    add(&mut table, "delivered by one gateway", &delivered);
    let names = figures.first().map(|Pair([one, _])| one.names());
    for (place, name) in names.unwrap_or_default().into_iter().enumerate() {
        let of = |Pair(two): &Pair<Figures>| two.each_ref().map(|one| one.rate(place));
        add(
            &mut table,
            name,
            &figures.iter().map(of).collect::<Vec<_>>(),
        );
    }
    print!("{table}");
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
        number(median(&|[embedded, _]| *embedded), 0),
        number(median(&|[_, kafka]| *kafka), 0),
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
