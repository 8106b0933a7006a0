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
use crate::cpu;
use crate::stream::ours::{Get, Put};
use crate::stream::talk::{rate, rate_of};

const STREAM: &str = "put";
const BACKLOG: &str = "backlog";
/// Messages that are read, of the size of a request's body.
const BACKLOG_COUNT: u64 = 20_000;
const FILL_BATCH: usize = 500;
const CONNECTIONS: usize = 64;
const START_DEADLINE: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_millis(500);
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What was measured of one thing: messages per second, and microseconds of processor time for each
/// of them, of the server and of all brokers that were started for this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) per_second: f64,
    pub(super) server: f64,
    pub(super) brokers: f64,
}

/// The figures of one round.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    figures: Vec<(&'static str, Figure)>,
    two_fronts: Option<f64>,
}

impl Figures {
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.figures.iter().map(|(name, _)| *name).collect()
    }

    pub(super) fn at(&self, place: usize, of: impl Fn(&Figure) -> f64) -> f64 {
        let figure = self.figures.get(place);
        figure.map_or(f64::NAN, |(_, figure)| of(figure))
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

/// Measures a server. `brokers` are processes whose time counts beside the server's.
pub(super) fn measure(
    programs: &sets::Programs,
    arguments: &Arguments,
    brokers: &[u32],
) -> Result<Figures> {
    let engine = programs.engine();
    let server = Server::start(programs, &engine, "first")?;
    let (port, bytes) = (server.port, arguments.body);
    let time = Duration::from_secs(arguments.seconds);
    let puts = |batch: usize| (0..CONNECTIONS).map(move |_| Put::new(STREAM, batch, bytes));
    let with_time = |work: &dyn Fn() -> Result<(f64, u64)>| {
        let used = || (used_by([server.process.pid()]), used_by(brokers.to_vec()));
        let before = used();
        let (per_second, messages) = work()?;
        let after = used();
        let each = |used: Duration| used.as_secs_f64() * 1e6 / messages.max(1) as f64;
        Ok::<_, anyhow::Error>(Figure {
            per_second,
            server: each(after.0.saturating_sub(before.0)),
            brokers: each(after.1.saturating_sub(before.1)),
        })
    };
    // Brokers and connections are new.
    rate(port, puts(1), WARM_UP)?;
    let mut figures = Figures::default();
    let one = with_time(&|| rate(port, puts(1), time))?;
    let tens = with_time(&|| rate(port, puts(10), time))?;
    rate_of(port, Put::new(BACKLOG, FILL_BATCH, bytes), BACKLOG_COUNT)?;
    let read = |batch| {
        let get = Get::new(port, BACKLOG, batch)?;
        Ok((rate_of(port, get, BACKLOG_COUNT)?, BACKLOG_COUNT))
    };
    let (hundreds, thousands) = (with_time(&|| read(100))?, with_time(&|| read(1_000))?);
    figures.figures = vec![
        ("put, 64 connections, batches of 1", one),
        ("put, 64 connections, batches of 10", tens),
        ("get from a backlog, up to 100 at once", hundreds),
        ("get from a backlog, up to 1000 at once", thousands),
    ];
    if !engine.is_empty() {
        let second = Server::start(programs, &engine, "second")?;
        let two = through_two([port, second.port], bytes, time)?;
        figures.two_fronts = Some(two / tens.per_second);
    }
    Ok(figures)
}

fn used_by(processes: impl IntoIterator<Item = u32>) -> Duration {
    let used = processes.into_iter().filter_map(|pid| cpu::used(Some(pid)));
    used.sum()
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
