//! A stream server in front of Kafka.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use local_gateway::process::{Process, Program};
use local_gateway::{STREAMS, http, ports};
use provision::Project;
use rustix::process::Signal;

use super::Provided;
use crate::history::How;

/// How long a front may take until it is ready: it waits for its cluster for a minute.
const READY_DEADLINE: Duration = Duration::from_secs(90);

/// How long it may take to hand over what it serves, when it is ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer to the question whether it is ready may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How a front is started.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its name, for its log.
    pub name: String,
    /// Where it finds the brokers.
    pub brokers: String,
    /// The port on which it listens for other fronts, and the one at which they find it.
    pub internal: Option<(u16, u16)>,
    /// More arguments.
    pub more: Vec<String>,
}

/// A front. Dropping it kills it.
#[derive(Debug)]
pub struct FrontServer {
    port: u16,
    program: Program,
    process: Process,
}

impl FrontServer {
    /// Starts it on a free port, and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn start(folder: &Path, provided: &Provided, served: &Served) -> Result<Self> {
        let port = ports::free()?;
        let mut arguments = vec!["--listen".to_owned(), format!("127.0.0.1:{port}")];
        let mut add = |name: &str, value: &str| {
            arguments.extend([name.to_owned(), value.to_owned()]);
        };
        add("--engine", "kafka");
        add("--brokers", &served.brokers);
        if let Some((listens, found)) = served.internal {
            add("--internal-listen", &format!("127.0.0.1:{listens}"));
            add("--internal-url", &format!("http://127.0.0.1:{found}"));
        }
        for stream in STREAMS {
            add("--stream", stream);
        }
        arguments.extend(served.more.iter().cloned());
        let program = Program {
            name: "a stream server",
            with_parent: provided.with_parent.clone(),
            path: provided.server.clone(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            folder: Project::here().root().to_path_buf(),
            log: folder.join(format!("{}.log", served.name)),
        };
        let process = Process::start(&program)?;
        let mut front = Self {
            port,
            program,
            process,
        };
        front.wait_until_ready()?;
        Ok(front)
    }

    /// Returns the port on which it serves.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether it says that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        is_ready(self.port)
    }

    /// Begins a fault of the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin(&mut self, how: How) -> Result<()> {
        match how {
            How::Kill => self.process.kill9(),
            How::Stop => self.process.signal(Signal::STOP),
            How::Restart => self.process.terminate(PATIENCE),
            How::Refuse | How::Drop | How::Full => bail!("no fault of a process: {how}"),
        }
    }

    /// Ends a fault of the process, and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn end(&mut self, how: How) -> Result<()> {
        match how {
            How::Kill | How::Restart => self.process = Process::start(&self.program)?,
            How::Stop => self.process.signal(Signal::CONT)?,
            How::Refuse | How::Drop | How::Full => bail!("no fault of a process: {how}"),
        }
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let port = self.port;
        let ready = || is_ready(port);
        self.process.wait_until(READY_DEADLINE, "readiness", ready)
    }
}

fn is_ready(port: u16) -> bool {
    let url = format!("http://127.0.0.1:{port}/ready");
    http::get_within(ANSWER_TIMEOUT, &url).is_ok_and(|answer| answer.status == 200)
}
