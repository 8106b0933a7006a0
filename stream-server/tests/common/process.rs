//! The server as a process of its own, to be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Returns the bytes of the files of messages in a data folder.
pub fn log_bytes(data: &Path) -> u64 {
    let files = std::fs::read_dir(data.join("log")).unwrap();
    // A file may be deleted in between.
    let bytes = files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len()));
    bytes.sum()
}

/// A running `stream-server`; killed when dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-server"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Returns the arguments of a server on a free port whose streams these brokers keep.
pub fn on_kafka<'a>(brokers: &'a str, prefix: &'a str, stream: &'a str) -> Vec<&'a str> {
    let usual = ["--listen", "127.0.0.1:0", "--stream", stream];
    [&usual[..], &testkit::kafka::engine(brokers, prefix)].concat()
}

impl Process {
    /// Starts it on a free port with the stream `calls`, and waits until it is ready.
    pub fn start(folder: &Path, stream: &str) -> Self {
        Self::start_also_with(folder, stream, &[])
    }

    /// Returns the same with more arguments.
    pub fn start_also_with(folder: &Path, stream: &str, more: &[&str]) -> Self {
        let data = folder.to_str().unwrap();
        let usual = [
            "--listen",
            "127.0.0.1:0",
            "--data",
            data,
            "--stream",
            stream,
        ];
        Self::start_with(&[&usual[..], more].concat())
    }

    /// Starts it on a free port with the stream, kept by these brokers in topics that begin with
    /// this prefix, and waits until it is ready.
    pub fn start_on_kafka(brokers: &str, prefix: &str, stream: &str, more: &[&str]) -> Self {
        Self::start_with(&[&on_kafka(brokers, prefix, stream)[..], more].concat())
    }

    /// Starts it, and waits until it is ready.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_command(&mut command(arguments))
    }

    /// Starts what this command starts, and waits until it is ready.
    pub fn start_command(command: &mut Command) -> Self {
        Self::wait_until_ready(command.stderr(Stdio::null()))
    }

    /// Starts what this command starts, whose log goes somewhere, and waits until it is ready.
    pub fn start_telling(command: &mut Command) -> Self {
        Self::wait_until_ready(command.stdin(Stdio::null()))
    }

    /// Starts it with its log going there, and waits until it is ready.
    pub fn start_with_log(arguments: &[&str], log: impl Into<Stdio>) -> Self {
        Self::wait_until_ready(command(arguments).stderr(log))
    }

    fn wait_until_ready(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("stream-server listens on http://");
        let address = url
            .unwrap_or_else(|| panic!("not ready: {line:?}"))
            .parse()
            .unwrap();
        Self { child, address }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as `kill` does; returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal();
        self.child.wait().unwrap().code()
    }

    /// Asks it to end.
    pub fn signal(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
