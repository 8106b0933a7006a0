//! The same on Apache Kafka: brokers, two stream servers, two gateways.

use std::ffi::OsString;

use anyhow::{Result, bail};
use kafka_cluster::{Cluster, Kafka, Provided, Setup};
use local_gateway::LocalSet;
use local_gateway::render::Target;
use provision::tools::stream_server_with_kafka;
use provision::{Programs, Project};

use super::{Arguments, examples, ready_file};

/// The value of `--kafka` that means brokers of our own.
pub(super) const OWN: &str = "";

/// Starts everything and watches it until Ctrl-C.
pub(super) fn run(
    project: &Project,
    arguments: &Arguments,
    mut programs: Programs,
    brokers: &str,
) -> Result<()> {
    let cluster = match brokers {
        OWN => Some(own(project, &programs)?),
        _ => None,
    };
    let brokers = cluster
        .as_ref()
        .map_or_else(|| brokers.to_owned(), Cluster::brokers);
    programs.tools.stream_server = stream_server_with_kafka(project)?;
    let engine = ["--engine", "kafka", "--brokers", &brokers].map(OsString::from);
    let first = super::builder(project, arguments, programs.clone())?;
    let mut first = first.stream_server_arguments(engine.clone()).start()?;
    let target = first.ports().function.map(Target::local);
    let target = target.or_else(|| arguments.target.clone());
    let mut second = LocalSet::builder()
        .verbose()
        .programs(programs)
        .folder(&project.target().join("up").join("second"))
        .stream_server_arguments(engine)
        .concurrency(arguments.concurrency);
    if let Some(target) = target {
        second = second.target(target);
    }
    let mut second = second.start()?;
    first.wait_until_draining()?;
    second.wait_until_draining()?;
    super::print_addresses(project, arguments, &first);
    println!("  second gateway   {}", second.gateway_url());
    println!("  its server       {}", second.stream_url());
    println!("  Kafka            {brokers}  (topics sluice.calls, sluice.calls-dead, …)");
    match arguments.target {
        None => examples::run(&first)?,
        Some(_) => examples::describe(&first),
    }
    let file = arguments.ready_file.as_deref();
    if let Some(file) = file {
        ready_file::write(file, &first)?;
    }
    println!("\nCtrl-C ends everything.\n");
    super::watch(vec![first, second], file)
}

/// Starts three brokers. Their data doesn't outlive them.
fn own(project: &Project, programs: &Programs) -> Result<Cluster> {
    match Kafka::provide(project, &programs.tools.with_parent)? {
        Provided::Kafka(kafka) => Cluster::start(&kafka, "up", &Setup::default()),
        Provided::Missing(reason) => bail!(
            "no brokers can be started here, because {reason}. Name those of a cluster that you \
             have: --kafka HOST:PORT"
        ),
    }
}
