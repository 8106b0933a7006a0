//! `cargo xtask bench`: the cost of asynchronous calls, compared with the same Envoy without them.
//!
//! Each round has a set of its own, so that every backlog begins empty: one Envoy worker, a stream
//! server and a target. The rates of a round are measured one after the other on that set. The
//! results are the medians over the rounds and their ratios, because machines are shared. Nothing
//! is asserted.

mod deferral;
mod kafka;
mod latency;
mod load;
mod neighbour;
pub(crate) mod report;
mod rounds;
mod sets;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use provision::dist::Variant;
use provision::{Programs, Project};

/// Measure accepting and delivering beside what the same Envoy does without them
///
/// Nothing has to be installed: the load generator and the target are part of this program.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many rounds; their medians are printed
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// How long each rate is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    seconds: u64,

    /// How many connections the load generator keeps open
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,

    /// The size of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    body: usize,

    /// How many single calls are timed
    #[arg(long, value_name = "N", default_value_t = 300)]
    calls: usize,

    /// How many deferred calls are timed
    #[arg(long, value_name = "N", default_value_t = 200)]
    deferred: usize,

    /// How many calls to a bad target wait beside the timed ones to a quick target
    #[arg(long, value_name = "N", default_value_t = 5000)]
    backlog: usize,

    /// Measure nothing but how long calls take beside a bad target
    #[arg(long)]
    only_neighbours: bool,

    /// Measure the stream server on Apache Kafka beside the embedded engine: on three brokers that
    /// are started, or on those of a cluster that is there
    #[arg(long, value_name = "BROKERS", num_args = 0..=1, default_missing_value = kafka::OWN)]
    kafka: Option<String>,

    /// Another build of the stream server with Kafka, to be measured with `--kafka` instead of this
    /// one
    #[arg(long, value_name = "PATH", requires = "kafka")]
    stream_server: Option<PathBuf>,

    /// Which parts of `--kafka` to measure; all of them by default
    #[arg(long, value_name = "PART", requires = "kafka")]
    part: Vec<kafka::Part>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let programs = Programs::for_tests(project, Variant::Shipped)?;
    if let Some(brokers) = &arguments.kafka {
        return kafka::run(project, programs, arguments, brokers);
    }
    let programs = sets::Programs::embedded(programs);
    println!(
        "\nOne Envoy worker, {} connections, POST of {} bytes.\n",
        arguments.connections, arguments.body
    );
    if arguments.only_neighbours {
        let neighbourhood = neighbour::measure(&programs, arguments)?;
        report::neighbourhood(arguments.backlog, neighbourhood);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let round = rounds::measure(&programs, arguments)?;
        report::round(number, &round);
        rounds.push(round);
    }
    let latencies = latency::measure(&programs, arguments)?;
    report::rates(&rounds);
    report::latencies(latencies);
    report::deferral(deferral::measure(&programs, arguments)?);
    let neighbourhood = neighbour::measure(&programs, arguments)?;
    report::neighbourhood(arguments.backlog, neighbourhood);
    Ok(ExitCode::SUCCESS)
}
