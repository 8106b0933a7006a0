//! A started program with a log file, and how it is watched and ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use provision::command::tail;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 25;
/// How long a program may take to stop where it is.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A program to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name, for people.
    pub name: &'static str,
    /// The program `with-parent`.
    pub with_parent: PathBuf,
    /// The program itself.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables that are added to its environment.
    pub environment: Vec<(String, String)>,
    /// The folder in which it runs.
    pub folder: PathBuf,
    /// The file for its output, which is added to earlier output.
    pub log: PathBuf,
}

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts the program.
    ///
    /// # Errors
    /// When its log can't be written or the system can't start it.
    pub fn start(program: &Program) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&program.log)
            .with_context(|| format!("cannot write {}", program.log.display()))?;
        Self::spawn(program, log.try_clone()?.into(), log.into())
    }

    /// Starts the program without its log file: its output goes where this process's own goes.
    ///
    /// # Errors
    /// When the system can't start it.
    pub fn start_unlogged(program: &Program) -> Result<Self> {
        Self::spawn(program, Stdio::inherit(), Stdio::inherit())
    }

    fn spawn(program: &Program, output: Stdio, errors: Stdio) -> Result<Self> {
        let mut command = Command::new(&program.with_parent);
        command
            .arg(std::process::id().to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .envs(
                program
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(&program.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C is for the parent, which ends its children in the right order.
            .process_group(0);
        let child = spawn(command).with_context(|| format!("cannot start {}", program.name))?;
        Ok(Self {
            name: program.name,
            child,
            log: program.log.clone(),
            ended: None,
        })
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns how the program has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits until `is_ready` returns true.
    ///
    /// # Errors
    /// When the program ends before, when the time is up, or after Ctrl-C.
    pub fn wait_until(
        &mut self,
        deadline: Duration,
        what: &str,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            provision::cancel::check()?;
            if let Some(status) = self.ended() {
                bail!(
                    "{} ended while it started ({status})\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if is_ready() {
                return Ok(());
            }
            if start.elapsed() > deadline {
                let seconds = deadline.as_secs();
                bail!(
                    "{}: no {what} within {seconds} s\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Returns the end of its output, with the file's name; nothing if it has no log file.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let Ok(text) = fs::read(&self.log) else {
            return String::new();
        };
        let text = tail(&String::from_utf8_lossy(&text), LOG_TAIL_LINES);
        format!("--- the end of {} ---\n{text}\n---", self.log.display())
    }

    /// Returns the path of its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal, unless the program has ended. After `SIGSTOP` it waits until all threads of
    /// the program have stopped, which takes a while on a busy machine.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // A process that has ended but was not waited for still has its id, so this can never reach
        // another process.
        if self.ended().is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal)
                .with_context(|| format!("cannot send a signal to {}", self.name))?;
            if signal == Signal::STOP {
                self.wait_until_stopped(pid)?;
            }
        }
        Ok(())
    }

    fn wait_until_stopped(&mut self, pid: Pid) -> Result<()> {
        let start = Instant::now();
        // Its end is left for those who wait for it.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        while self.ended().is_none() && start.elapsed() < STOP_PATIENCE {
            let stopped = waitid(WaitId::Pid(pid), options);
            if stopped
                .with_context(|| format!("cannot stop {}", self.name))?
                .is_some()
            {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Kills the program and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if self.ended.is_none() {
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// Asks the program to end, and kills it if that takes too long.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn terminate(&mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let start = Instant::now();
        while self.ended().is_none() && start.elapsed() < patience {
            thread::sleep(POLL_INTERVAL);
        }
        self.kill9()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _gone = self.kill9();
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a child from a thread that lives as long as this process. On Linux a child dies with the
/// *thread* that started it, and a test's thread ends before the test program does.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                // The thread that ordered it may be gone.
                let _unheard = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = channel();
    let spawner = spawner
        .lock()
        .map_err(|_| anyhow::anyhow!("the spawner is lost"))?;
    spawner
        .send((command, reply))
        .context("the spawner is lost")?;
    drop(spawner);
    Ok(answer.recv().context("the spawner is lost")??)
}
