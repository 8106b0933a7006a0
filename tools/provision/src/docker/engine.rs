//! A Docker engine of our own, from Debian's packages. They are unpacked below `target/`, and
//! nothing is installed. The engine has its own data, its own socket, and its own mounts and
//! processes: whatever it starts ends with it. It leaves the machine's packet filter and forwarding
//! as they are.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{docker, path_and};
use crate::command::{capture, run, tail};
use crate::progress::timed;
use crate::{Project, cancel};

/// With what they depend on, as far as the machine hasn't got it.
const PACKAGES: [&str; 5] = ["docker.io", "containerd", "runc", "iptables", "debootstrap"];

/// Its sockets have to be hidden from a second engine; `tini` collects orphans of a namespace.
const START: &str = "mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd \
                     && exec tini -s -- dockerd \"$@\"";

const STARTS_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The longest path that a socket may have.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A running engine. Dropping it ends it in good order, with all of its containers and networks.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    process: Child,
    /// Held so that no two engines use one folder.
    _lock: File,
}

impl Engine {
    /// Starts it, after its packages are downloaded and unpacked if that was not done before.
    ///
    /// # Errors
    /// When a package can't be had, or when it doesn't answer in time; the message has the end of
    /// its log.
    pub(super) fn start(project: &Project) -> Result<Self> {
        let folder = project.target().join("docker");
        let socket = folder.join("docker.sock");
        ensure!(
            socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX,
            "{} is too long for a socket: check the project out at a shorter path",
            socket.display()
        );
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let programs = folder.join("programs");
        if !programs.join(".complete").exists() {
            timed("downloading Docker's engine, without installing it", || {
                unpack(&folder.join("packages"), &programs)
            })?;
        }
        let environment = environment(&programs, &socket)?;
        let process = launch(&folder, &environment)?;
        let mut engine = Self {
            folder,
            environment,
            process,
            _lock: lock,
        };
        engine.wait()?;
        Ok(engine)
    }

    /// Returns what commands need to reach it, and its packages' other programs.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// Returns the folder of everything that it has.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes what tests that were cut off have left, of which a network bridge is the machine's.
    fn remove_leftovers(&self) {
        let told = |arguments: &[&str]| capture(&mut docker(&self.environment, arguments));
        let containers = told(&["ps", "--all", "--quiet"]).unwrap_or_default();
        let mut remove = vec!["rm", "--force", "--volumes"];
        remove.extend(containers.lines());
        if !containers.is_empty() {
            // What is still there says so in the log.
            let _removed = told(&remove);
        }
        for kind in ["network", "volume"] {
            let _removed = told(&[kind, "prune", "--force"]);
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // A process that was not waited for still has its id.
        if self.process.try_wait()?.is_none() {
            kill_process_group(Pid::from_child(&self.process), signal)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            cancel::check()?;
            let version = docker(&self.environment, &["version"]).output()?;
            if version.status.success() {
                return Ok(());
            }
            let ended = self.process.try_wait()?;
            if ended.is_some() || start.elapsed() > STARTS_WITHIN {
                let log = fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default();
                bail!("no engine of our own answers:\n{}", tail(&log, 20));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.remove_leftovers();
        let _told = self.signal(Signal::TERM);
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && start.elapsed() < ENDS_WITHIN {
            thread::sleep(POLL_INTERVAL);
        }
        // With its first process all others of its namespace die.
        let _ended = self.signal(Signal::KILL);
        let _status = self.process.wait();
    }
}

fn launch(folder: &Path, environment: &[(String, String)]) -> Result<Child> {
    // Left by an engine that was killed. In a namespace of processes its number means nothing.
    let pid_file = folder.join("docker.pid");
    let _absent = fs::remove_file(&pid_file);
    let log = File::create(folder.join("dockerd.log"))?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid"])
        .args(["--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c"])
        .args([START, "sh", "--pidfile"])
        .arg(pid_file)
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("exec"))
        .arg("--host")
        .arg(format!("unix://{}", folder.join("docker.sock").display()))
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    command.spawn().context("cannot start an engine of our own")
}

fn unpack(packages: &Path, programs: &Path) -> Result<()> {
    fs::create_dir_all(packages.join("partial"))?;
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // Its lists may be old or missing. The download shows whether they are good enough.
    let _updated = run(apt_get().arg("update"));
    let archives = format!("Dir::Cache::archives={}", packages.display());
    run(apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(["--download-only", "--option", &archives])
        .args(PACKAGES))?;
    for package in fs::read_dir(packages)? {
        let package = package?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg-deb")
                .arg("--extract")
                .args([&package, programs]))?;
        }
    }
    // What the package's script would do.
    let folder = programs.join("usr/sbin");
    for name in ["iptables", "ip6tables"] {
        let program = format!("{name}-nft");
        if folder.join(&program).exists() && !folder.join(name).exists() {
            symlink(program, folder.join(name))?;
        }
    }
    fs::remove_dir_all(packages)?;
    fs::write(programs.join(".complete"), "")?;
    Ok(())
}

fn environment(programs: &Path, socket: &Path) -> Result<Vec<(String, String)>> {
    let libraries = fs::read_dir(programs.join("usr/lib"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .unwrap_or_default();
    // Behind the machine's own programs.
    let folders = ["usr/sbin", "usr/bin"].map(|folder| programs.join(folder));
    let variables = [
        ("PATH", path_and(None, &folders)?),
        ("LD_LIBRARY_PATH", libraries.display().to_string()),
        (
            "XTABLES_LIBDIR",
            libraries.join("xtables").display().to_string(),
        ),
        ("DOCKER_HOST", format!("unix://{}", socket.display())),
        (
            "DEBOOTSTRAP_DIR",
            programs.join("usr/share/debootstrap").display().to_string(),
        ),
    ];
    Ok(variables
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec())
}
