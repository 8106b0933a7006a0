//! `cargo xtask chaos`: real processes under load while parts die, stand still and are cut off.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use chaos::kafka::Provided;
use chaos::run::{Settings, run};
use chaos::{disk, report};
use clap::Parser;
use kafka_cluster::Kafka;
use provision::dist::Variant;
use provision::tools::stream_server_with_kafka;
use provision::{Programs, Project, cancel};

/// Kill, stop and cut off real parts under load, and see whether the guarantees hold
///
/// Two gateways with the shipped filter, a stream server and targets; with --kafka, three stream
/// servers in front of three brokers of Apache Kafka, which need Java and, once, Maven. A seed
/// decides what clients ask for, what targets answer and which faults come when. What comes of that
/// depends on the machine, so the same seed is the same plan, and no replay.
#[derive(Parser)]
#[command(name = "cargo xtask chaos", about, version)]
struct Arguments {
    /// The plan; default: a fresh one, which is printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How long there are load and faults
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,

    /// The most requests; with all of them sent, faults end too
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    calls: u64,

    /// Keep the streams in Kafka
    #[arg(long)]
    kafka: bool,

    /// Have controllers give brokers up as late as those of a default cluster, 9 s instead of 3 s
    #[arg(long, requires = "kafka")]
    default_times: bool,

    /// Make only faults whose names begin like this, one at a time, such as "broker killed"
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = cancel::install().and_then(|()| chaos(arguments));
    cancel::exit_code(result)
}

fn chaos(arguments: Arguments) -> Result<ExitCode> {
    let mut kafka = None;
    if arguments.kafka {
        kafka = match provide()? {
            Ok(provided) => Some(provided),
            Err(reason) => {
                println!("SKIPPED: no brokers can be started here, because {reason}");
                return Ok(ExitCode::SUCCESS);
            }
        };
        disk::enter_namespace();
    }
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let outcome = run(&Settings {
        kafka,
        has_default_times: arguments.default_times,
        only: arguments.only,
        seed,
        duration: Duration::from_secs(arguments.seconds),
        calls: arguments.calls,
    })?;
    report::outcome(&outcome);
    Ok(match outcome.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Provides everything that a run on Kafka needs, or says why that isn't possible here. This comes
/// before the namespace is entered, in which files can't get other owners.
fn provide() -> Result<std::result::Result<Provided, String>> {
    let project = Project::here();
    let programs = Programs::for_tests(&project, Variant::Shipped)?;
    let with_parent = programs.tools.with_parent;
    Ok(match Kafka::provide(&project, &with_parent)? {
        kafka_cluster::Provided::Missing(reason) => Err(reason),
        kafka_cluster::Provided::Kafka(kafka) => Ok(Provided {
            kafka,
            server: stream_server_with_kafka(&project)?,
            with_parent,
        }),
    })
}

/// Returns a seed from the clock, small enough to be typed.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() % 1_000_000)
}
