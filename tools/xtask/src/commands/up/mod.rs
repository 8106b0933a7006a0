//! `cargo xtask up`: the local set in the foreground, until Ctrl-C.

mod cluster;
mod examples;
mod follow;
mod ready_file;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use local_gateway::render::Target;
use local_gateway::supervise::{Event, Supervisor};
use local_gateway::{Builder, LocalSet, Part, ports};
use provision::dist::Variant;
use provision::{Programs, Project, cancel};

use follow::Follower;

/// It is used if it is free: only Envoy itself calls the drain's listener.
const DEFAULT_DRAIN_PORT: u16 = 10_001;
/// It is used if it is free: the function is called through the gateway.
const DEFAULT_FUNCTION_PORT: u16 = 8080;

/// Build and start everything: Envoy with the filter, a stream server, a demo function
///
/// Provides Envoy (ENVOY_BIN, else PATH, else a private installation below target/), waits until
/// all parts are ready and prints what to try. A part that dies is started again. Ctrl-C ends
/// everything; accepted calls that were not delivered yet wait in the data folder.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Send the gateway's route `/` there instead of to a demo function, such as
    /// http://127.0.0.1:3000 (https is verified, and called by its own host name)
    #[arg(long, value_name = "URL")]
    target: Option<Target>,

    /// The gateway's port
    #[arg(long, value_name = "PORT", default_value_t = 10_000)]
    gateway_port: u16,

    /// The port of Envoy's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    admin_port: u16,

    /// The stream server's port
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    stream_port: u16,

    /// Where the stream server keeps its records [default: target/up/data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Keep the records in Apache Kafka, with two stream servers and two gateways: in three
    /// brokers that are started too (which needs Java and, once, Maven), or in the cluster of
    /// these brokers
    #[arg(long, value_name = "HOST:PORT,...", num_args = 0..=1,
          default_missing_value = cluster::OWN, conflicts_with = "data")]
    kafka: Option<String>,

    /// How many workers Envoy has
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,

    /// Write this file once all parts are ready: JSON with their URLs and process ids
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,

    /// Build the filter optimised, which is the default
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    match up(project, arguments) {
        Err(_) if cancel::requested() => {}
        other => other?,
    }
    println!("\nEverything that was started has ended.");
    Ok(ExitCode::SUCCESS)
}

fn up(project: &Project, arguments: &Arguments) -> Result<()> {
    let ready_file = arguments.ready_file.as_deref();
    // An earlier file would describe a set that is gone.
    if let Some(file) = ready_file {
        ready_file::remove(file)?;
    }
    check_ports(arguments)?;
    let programs = Programs::provide(project, Variant::Shipped)?;
    // Building takes a while, and somebody else may have taken a port meanwhile.
    check_ports(arguments)?;
    if let Some(brokers) = &arguments.kafka {
        let result = cluster::run(project, arguments, programs, brokers);
        if let Some(file) = ready_file {
            ready_file::remove(file)?;
        }
        return result;
    }
    let mut set = builder(project, arguments, programs)?.start()?;
    set.wait_until_draining()?;
    print_addresses(project, arguments, &set);
    match arguments.target {
        None => examples::run(&set)?,
        Some(_) => examples::describe(&set),
    }
    if let Some(file) = ready_file {
        ready_file::write(file, &set)?;
    }
    println!("\nCtrl-C ends everything.\n");
    let result = watch(vec![set], ready_file);
    if let Some(file) = ready_file {
        ready_file::remove(file)?;
    }
    result
}

/// Watches sets until Ctrl-C, and shows what the function of the first one prints.
fn watch(sets: Vec<LocalSet>, ready_file: Option<&Path>) -> Result<()> {
    let first = sets.first().and_then(|set| set.log_file(Part::Function));
    let mut function = first.map(Follower::new);
    let sets = sets.into_iter().map(Supervisor::new).collect();
    Supervisor::run_all(sets, |number, set, event| {
        let lines = function.as_mut().map(Follower::new_lines);
        for line in lines.unwrap_or_default() {
            println!("function | {line}");
        }
        match (number, event, ready_file) {
            (0, Event::Restarted, Some(file)) => ready_file::write(file, set),
            _ => Ok(()),
        }
    })
}

fn check_ports(arguments: &Arguments) -> Result<()> {
    let ports = [
        (arguments.gateway_port, "the gateway", "--gateway-port"),
        (
            arguments.admin_port,
            "Envoy's admin interface",
            "--admin-port",
        ),
        (arguments.stream_port, "the stream server", "--stream-port"),
    ];
    let taken: Vec<String> = ports
        .iter()
        .filter(|(port, _, _)| !ports::is_free(*port))
        .map(|(port, what, flag)| format!("  {port}, meant for {what}: {flag} PORT"))
        .collect();
    if !taken.is_empty() {
        bail!(
            "other programs listen on ports that are needed here; end them, or choose others:\n{}",
            taken.join("\n")
        );
    }
    Ok(())
}

fn builder(project: &Project, arguments: &Arguments, programs: Programs) -> Result<Builder> {
    let up = project.target().join("up");
    // Sets on other ports may run at the same time. The logs of an earlier set on this port are not
    // needed.
    let folder = up.join(format!("gateway-{}", arguments.gateway_port));
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let data = match &arguments.data {
        None => up.join("data"),
        Some(data) => std::path::absolute(data)?,
    };
    let mut builder = LocalSet::builder()
        .verbose()
        .programs(programs)
        .folder(&folder)
        .data(&data)
        .gateway_port(arguments.gateway_port)
        .admin_port(arguments.admin_port)
        .stream_port(arguments.stream_port)
        .drain_port(if_free(DEFAULT_DRAIN_PORT, arguments)?)
        .concurrency(arguments.concurrency);
    builder = match &arguments.target {
        Some(target) => builder.target(target.clone()),
        None => builder.function_port(if_free(DEFAULT_FUNCTION_PORT, arguments)?),
    };
    Ok(builder)
}

/// Returns the default, unless it is taken or somebody chose it for another part.
fn if_free(default: u16, arguments: &Arguments) -> Result<u16> {
    let chosen = [
        arguments.gateway_port,
        arguments.admin_port,
        arguments.stream_port,
    ];
    if ports::is_free(default) && !chosen.contains(&default) {
        Ok(default)
    } else {
        ports::free()
    }
}

fn print_addresses(project: &Project, arguments: &Arguments, set: &LocalSet) {
    let shown = |path: Option<&Path>| path.map(|path| project.display(path)).unwrap_or_default();
    println!("\nSluice is up.\n");
    println!("  gateway          {}", set.gateway_url());
    println!("  Envoy's admin    {}", set.admin_url());
    let records = match &arguments.kafka {
        Some(_) => "Kafka".to_owned(),
        None => shown(Some(set.data())),
    };
    println!(
        "  stream server    {}  (records in {records})",
        set.stream_url()
    );
    match (&arguments.target, set.function_url()) {
        (Some(target), _) => println!("  target           {target}"),
        (None, Some(url)) => println!("  demo function    {url}"),
        (None, None) => {}
    }
    println!("  Envoy's log      {}", shown(set.log_file(Part::Envoy)));
}
