//! The stream server alone: publishing, reading a backlog, and two servers in front of one cluster.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow};
use local_gateway::ports;
use local_gateway::process::{Process, Program};

use super::super::{Arguments, sets};
use crate::stream::ours::{Get, Put};
use crate::stream::talk::{rate, rate_of};

const STREAM: &str = "put";
const BACKLOG: &str = "backlog";
/// Messages that are read, of the size of a request's body.
const BACKLOG_COUNT: u64 = 20_000;
const FILL_BATCH: usize = 500;
const CONNECTIONS: usize = 64;
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Messages per second, of one round.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    rates: Vec<(&'static str, f64)>,
    two_fronts: Option<f64>,
}

impl Figures {
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.rates.iter().map(|(name, _)| *name).collect()
    }

    pub(super) fn rate(&self, place: usize) -> f64 {
        self.rates.get(place).map_or(f64::NAN, |(_, rate)| *rate)
    }

    /// Returns how much faster two servers were than one.
    pub(super) fn two_fronts(&self) -> Option<f64> {
        self.two_fronts
    }
}

/// A started server. Dropping it ends it.
pub(super) struct Server {
    pub(super) port: u16,
    process: Process,
    folder: PathBuf,
}

impl Server {
    fn start(programs: &sets::Programs, engine: &[String], name: &str) -> Result<Self> {
        let port = ports::free()?;
        let folder = env::temp_dir().join(format!("bench-{name}-{port}"));
        fs::create_dir_all(&folder)?;
        let listen = format!("127.0.0.1:{port}");
        let usual = ["--listen", &listen, "--stream", STREAM, "--stream", BACKLOG];
        let mut arguments: Vec<OsString> = usual.iter().map(OsString::from).collect();
        arguments.extend(engine.iter().map(OsString::from));
        if engine.is_empty() {
            arguments.extend(["--data".into(), folder.join("data").into()]);
        }
        let program = Program {
            name: "stream-server",
            with_parent: programs.with_parent().to_owned(),
            path: programs.stream_server().to_owned(),
            arguments,
            environment: Vec::new(),
            folder: env::current_dir()?,
            log: folder.join("log"),
        };
        let mut process = Process::start(&program)?;
        let is_open = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        process.wait_until(START_DEADLINE, "open port", is_open)?;
        Ok(Self {
            port,
            process,
            folder,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about failures here.
        let _ended = self.process.terminate(STOP_PATIENCE);
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn measure(programs: &sets::Programs, arguments: &Arguments) -> Result<Figures> {
    let engine = programs.engine();
    let server = Server::start(programs, &engine, "first")?;
    let (port, bytes) = (server.port, arguments.body);
    let time = Duration::from_secs(arguments.seconds);
    let puts = |batch: usize| (0..CONNECTIONS).map(move |_| Put::new(STREAM, batch, bytes));
    let mut figures = Figures::default();
    let mut add = |name, rate| figures.rates.push((name, rate));
    add(
        "put, 64 connections, batches of 1",
        rate(port, puts(1), time)?.0,
    );
    let one_front = rate(port, puts(10), time)?.0;
    add("put, 64 connections, batches of 10", one_front);
    rate_of(port, Put::new(BACKLOG, FILL_BATCH, bytes), BACKLOG_COUNT)?;
    let read = |batch| rate_of(port, Get::new(port, BACKLOG, batch)?, BACKLOG_COUNT);
    add("get from a backlog, up to 100 at once", read(100)?);
    add("get from a backlog, up to 1000 at once", read(1_000)?);
    if !engine.is_empty() {
        let second = Server::start(programs, &engine, "second")?;
        figures.two_fronts = Some(through_two([port, second.port], bytes, time)? / one_front);
    }
    Ok(figures)
}

/// Returns the rate of both servers together, each with half of the connections.
fn through_two(ports: [u16; 2], bytes: usize, time: Duration) -> Result<f64> {
    let running = ports.map(|port| {
        thread::spawn(move || {
            let talks = (0..CONNECTIONS / 2).map(|_| Put::new(STREAM, 10, bytes));
            rate(port, talks, time)
        })
    });
    let mut sum = 0.0;
    for thread in running {
        let measured = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
        sum += measured.context("one of two servers")?.0;
    }
    Ok(sum)
}
