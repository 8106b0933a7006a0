//! The local set: Envoy with the filter, the stream server and, if there is no other target, the
//! demo function. They are started together, held by one value, and ended with it.

mod builder;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::process::{Process, Program};
use crate::{http, stats};
use provision::Project;
use provision::progress::say;

/// The streams that `filter-config/*.local.json` and `*.sidecar*.json` name, as a stream server
/// takes them.
pub const STREAMS: [&str; 8] = [
    "calls:4",
    "calls-dead:1",
    "calls-1s:1",
    "calls-5s:1",
    "calls-30s:1",
    "calls-5m:1",
    "calls-1h:1",
    "calls-12h:1",
];

pub use builder::Builder;

/// The stream server may have to read a large log.
const STREAM_SERVER_DEADLINE: Duration = Duration::from_secs(30);
const FUNCTION_DEADLINE: Duration = Duration::from_secs(10);
/// Envoy compiles the filter once for each worker, which takes long on a busy machine.
const ENVOY_DEADLINE: Duration = Duration::from_secs(60);
/// The metric that counts sessions of drains with their consumer group.
const DRAIN_JOINED: &str = "sluice_group_sessions_total";
/// How long a part may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where all parts end one after the other: all together less than the 10 s after which a
/// container is killed.
const PATIENCE_OF_THREE: Duration = Duration::from_secs(3);

/// One program of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The gateway.
    Envoy,
    /// The Stream.
    StreamServer,
    /// The demo function.
    Function,
}

impl Part {
    /// Returns the part's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::StreamServer => "the stream server",
            Self::Function => "the demo function",
        }
    }
}

/// The ports of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The port that clients call; of a sidecar, the port that others call.
    pub gateway: u16,
    /// Envoy's admin interface.
    pub admin: u16,
    /// The stream server.
    pub stream: u16,
    /// The drain's listener.
    pub drain: u16,
    /// The demo function, if the set has one.
    pub function: Option<u16>,
}

/// A running local set. Dropping it kills what it started.
#[derive(Debug)]
pub struct LocalSet {
    ports: Ports,
    folder: PathBuf,
    data: PathBuf,
    programs: BTreeMap<Part, Program>,
    running: BTreeMap<Part, Process>,
    /// Whether the folder is removed with the set.
    is_temporary: bool,
    is_quiet: bool,
    /// Whether each part writes to a log file of its own.
    is_logged: bool,
}

impl LocalSet {
    /// Returns a builder with the default settings.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the URL that clients call, such as `http://127.0.0.1:10000`.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        url(self.ports.gateway)
    }

    /// Returns the URL of Envoy's admin interface.
    #[must_use]
    pub fn admin_url(&self) -> String {
        url(self.ports.admin)
    }

    /// Returns the URL of the stream server.
    #[must_use]
    pub fn stream_url(&self) -> String {
        url(self.ports.stream)
    }

    /// Returns the URL of the demo function, if the set has one.
    #[must_use]
    pub fn function_url(&self) -> Option<String> {
        self.ports.function.map(url)
    }

    /// Returns all ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Returns the folder of configuration and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder of the stream server's records.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the process id of a running part.
    #[must_use]
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.running.get(&part).map(Process::pid)
    }

    /// Returns the parts that ended by themselves, and how.
    pub fn ended(&mut self) -> Vec<(Part, ExitStatus)> {
        let running = self.running.iter_mut();
        running
            .filter_map(|(part, process)| Some((*part, process.ended()?)))
            .collect()
    }

    /// Kills a part without a warning and waits until it is gone.
    ///
    /// # Errors
    /// When the set has no such part or the system refuses.
    pub fn kill9(&mut self, part: Part) -> Result<()> {
        self.process(part)?.kill9()
    }

    /// Asks a part to end, as an operator would, and waits until it is gone.
    ///
    /// # Errors
    /// When the set has no such part or the system refuses.
    pub fn terminate(&mut self, part: Part) -> Result<()> {
        self.process(part)?.terminate(PATIENCE)
    }

    /// Stops a part in the middle of its work (`SIGSTOP`), until [`resume`](Self::resume).
    ///
    /// # Errors
    /// When the set has no such part or the system refuses.
    pub fn pause(&mut self, part: Part) -> Result<()> {
        self.process(part)?.signal(Signal::STOP)
    }

    /// Lets a stopped part go on (`SIGCONT`).
    ///
    /// # Errors
    /// When the set has no such part or the system refuses.
    pub fn resume(&mut self, part: Part) -> Result<()> {
        self.process(part)?.signal(Signal::CONT)
    }

    /// Starts a part again, with the same ports and data, and waits until it is ready. If it still
    /// runs, it is killed first.
    ///
    /// # Errors
    /// When the set has no such part or it doesn't get ready.
    pub fn restart(&mut self, part: Part) -> Result<()> {
        self.kill9(part)?;
        self.start(part)
    }

    /// [`kill9`](Self::kill9) of Envoy.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill9_envoy(&mut self) -> Result<()> {
        self.kill9(Part::Envoy)
    }

    /// [`restart`](Self::restart) of Envoy.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn restart_envoy(&mut self) -> Result<()> {
        self.restart(Part::Envoy)
    }

    /// [`kill9`](Self::kill9) of the stream server.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill9_stream_server(&mut self) -> Result<()> {
        self.kill9(Part::StreamServer)
    }

    /// [`restart`](Self::restart) of the stream server.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn restart_stream_server(&mut self) -> Result<()> {
        self.restart(Part::StreamServer)
    }

    /// Returns Envoy's counters and gauges by their full names.
    ///
    /// # Errors
    /// When Envoy doesn't answer.
    pub fn admin_stats(&self) -> Result<BTreeMap<String, u64>> {
        let answer = http::get(&format!("{}/stats", self.admin_url()))?;
        Ok(stats::parse(&answer.body))
    }

    /// Waits until Envoy's drain has joined its consumer group: from then on calls are delivered at
    /// once.
    ///
    /// # Errors
    /// When it doesn't within a generous time, or Envoy ends.
    pub fn wait_until_draining(&mut self) -> Result<()> {
        let url = format!("{}/stats?filter={DRAIN_JOINED}", self.admin_url());
        let joined = || {
            let answer = http::get(&url).ok();
            let stats = answer.map(|answer| stats::parse(&answer.body));
            stats.is_some_and(|stats| stats.values().any(|sessions| *sessions > 0))
        };
        let envoy = self.process(Part::Envoy)?;
        envoy.wait_until(ENVOY_DEADLINE, "drain that joined its group", joined)
    }

    /// Returns everything that a part has written so far.
    #[must_use]
    pub fn log(&self, part: Part) -> String {
        let log = self
            .programs
            .get(&part)
            .map(|program| fs::read(&program.log));
        String::from_utf8_lossy(&log.and_then(Result::ok).unwrap_or_default()).into_owned()
    }

    /// Returns the file that a part writes to.
    #[must_use]
    pub fn log_file(&self, part: Part) -> Option<&Path> {
        self.programs
            .get(&part)
            .map(|program| program.log.as_path())
    }

    /// Returns everything that all parts have written so far.
    #[must_use]
    pub fn logs(&self) -> String {
        let parts = self.programs.keys();
        parts
            .map(|part| format!("=== {}\n{}", part.name(), self.log(*part)))
            .collect()
    }

    /// Ends every part by request: first the gateway, then the parts that it depends on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end(mut self) -> Result<()> {
        for part in [Part::Envoy, Part::StreamServer, Part::Function] {
            if let Some(process) = self.running.get_mut(&part) {
                process.terminate(PATIENCE_OF_THREE)?;
            }
        }
        Ok(())
    }

    fn process(&mut self, part: Part) -> Result<&mut Process> {
        self.running
            .get_mut(&part)
            .with_context(|| format!("{} is not in this set", part.name()))
    }

    /// Starts a part and waits until it is ready.
    fn start(&mut self, part: Part) -> Result<()> {
        let Some(program) = self.programs.get(&part) else {
            return Ok(());
        };
        if !self.is_quiet {
            say(&format!("starting {} …", part.name()));
        }
        let mut process = if self.is_logged {
            Process::start(program)?
        } else {
            Process::start_unlogged(program)?
        };
        let ready = wait_until_ready(&mut process, part, self.ports);
        self.running.insert(part, process);
        ready
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        self.running.clear();
        // The files of a failed test explain the failure.
        if self.is_temporary && !std::thread::panicking() {
            // A folder that can't be removed does no harm.
            let _left = fs::remove_dir_all(&self.folder);
        }
    }
}

fn wait_until_ready(process: &mut Process, part: Part, ports: Ports) -> Result<()> {
    match part {
        Part::StreamServer => {
            let health = format!("{}/health", url(ports.stream));
            process.wait_until(STREAM_SERVER_DEADLINE, "answer", || is_ok(&health))
        }
        Part::Function => {
            let health = format!("{}/health", url(ports.function.unwrap_or_default()));
            process.wait_until(FUNCTION_DEADLINE, "answer", || is_ok(&health))
        }
        Part::Envoy => {
            let ready = format!("{}/ready", url(ports.admin));
            process.wait_until(ENVOY_DEADLINE, "readiness", || {
                is_ok(&ready) && accepts(ports.gateway)
            })
        }
    }
}

fn is_ok(url: &str) -> bool {
    http::get(url).is_ok_and(|answer| answer.status == 200)
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Returns a folder that no other set uses.
fn temporary(project: &Project, name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    project
        .target()
        .join("local-sets")
        .join(format!("{name}-{}-{number}", std::process::id()))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
