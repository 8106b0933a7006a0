//! What a gateway and its stream server cost while nothing happens.

use std::fs;
use std::iter;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local_gateway::Part;
use testkit::table::{Column, Table};

use super::super::report::number;
use super::super::sets;
use super::super::target::Target;
use super::ENGINES;
use crate::cpu;

/// Until everything has joined and rests.
const SETTLE: Duration = Duration::from_secs(8);
const DURATION: Duration = Duration::from_secs(10);

/// What an idle server uses.
pub(super) struct Idle {
    /// Percent of one processor.
    server_cpu: f64,
    /// Megabytes of memory.
    server_memory: f64,
    envoy_cpu: f64,
    /// TCP segments with data that the server sends to brokers in a second: at least as many as
    /// requests.
    segments: f64,
}

type Figure = fn(&Idle) -> f64;

pub(super) fn measure(programs: &sets::Programs) -> Result<Idle> {
    let target = Target::start()?;
    let mut set = sets::whole(programs, target.port)?;
    set.wait_until_draining()?;
    thread::sleep(SETTLE);
    let server = set.pid(Part::StreamServer);
    let envoy = set.pid(Part::Envoy);
    let pid = server.context("the server runs")?;
    let own = set.ports().stream;
    let before = (cpu::used(server), cpu::used(envoy), segments(pid, own)?);
    let begun = Instant::now();
    thread::sleep(DURATION);
    let passed = begun.elapsed().as_secs_f64();
    let percent = |before: Option<Duration>, after: Option<Duration>| {
        let used = after
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        used.map_or(f64::NAN, |used| used.as_secs_f64() / passed * 100.0)
    };
    let sent = segments(pid, own)?.saturating_sub(before.2);
    Ok(Idle {
        server_cpu: percent(before.0, cpu::used(server)),
        envoy_cpu: percent(before.1, cpu::used(envoy)),
        server_memory: memory(pid)?,
        segments: f64::from(u32::try_from(sent)?) / passed,
    })
}

pub(super) fn report(both: &[Idle]) {
    let columns = ENGINES.iter().map(|name| Column::right(*name));
    let title = "an idle gateway and its server";
    let mut table = Table::with_header(iter::once(title.into()).chain(columns));
    let rows: [(&str, Figure); 4] = [
        ("server: percent of a processor", |one| one.server_cpu),
        ("server: MB of memory", |one| one.server_memory),
        ("Envoy: percent of a processor", |one| one.envoy_cpu),
        (
            "server to brokers: TCP segments with data per second",
            |one| one.segments,
        ),
    ];
    for (name, of) in rows {
        let figures = both.iter().map(|one| number(of(one), 1));
        table.row(iter::once(name.into()).chain(figures));
    }
    print!("\n{table}");
}

/// Returns the resident memory of a process.
fn memory(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("no VmRSS")?
        .parse()?;
    Ok(kilobytes / 1024.0)
}

/// Returns how many segments with data a process has sent on its connections, except those that it
/// has accepted on `own`. Connections that have ended don't count.
fn segments(pid: u32, own: u16) -> Result<u64> {
    let output = Command::new("ss")
        .args(["-H", "-t", "-i", "-n", "-p"])
        .output();
    let output = output.context("the program ss (Debian's iproute2) is needed")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(sum_of_segments(&said, pid, own))
}

/// Each connection has two lines: addresses and processes, and then its counters.
fn sum_of_segments(said: &str, pid: u32, own: u16) -> u64 {
    let (owner, own) = (format!("pid={pid},"), format!(":{own}"));
    let mut counts = false;
    let mut sum = 0_u64;
    for line in said.lines() {
        if !line.starts_with(char::is_whitespace) {
            let local = line.split_whitespace().nth(3).unwrap_or_default();
            counts = line.contains(&owner) && !local.ends_with(&own);
        } else if counts {
            let words = line.split_whitespace();
            let found = words.filter_map(|word| word.strip_prefix("data_segs_out:"));
            let numbers = found.filter_map(|count| count.parse::<u64>().ok());
            sum = numbers.fold(sum, u64::saturating_add);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_others_count() {
        let said = "ESTAB 0 0 127.0.0.1:5000 127.0.0.1:9092 users:((\"x\",pid=7,fd=1))\n\
                    \t cubic data_segs_out:12 bytes_acked:3\n\
                    ESTAB 0 0 127.0.0.1:8090 127.0.0.1:6000 users:((\"x\",pid=7,fd=2))\n\
                    \t cubic data_segs_out:100\n\
                    ESTAB 0 0 127.0.0.1:5001 127.0.0.1:9092 users:((\"y\",pid=8,fd=1))\n\
                    \t cubic data_segs_out:1000\n";
        assert_eq!(sum_of_segments(said, 7, 8090), 12);
    }
}
