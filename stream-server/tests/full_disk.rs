//! A file system that is really full: in memory, and seen by the server alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::{Client, encode, wait_until};
use serde_json::json;
use tempfile::TempDir;

/// Starts the server on a file system of 8 MiB, and again on the same with more room once it was
/// killed. Each start prints the server's process id, and then the server its address.
const SCRIPT: &str = r#"
    mount -t tmpfs -o size=8m tmpfs "$1" || exit
    echo mounted
    for size in 8m 8m 64m; do
        mount -o remount,size=$size "$1"
        "$2" --listen 127.0.0.1:0 --data "$1/data" --stream calls:2 &
        echo $!
        wait $!
    done
"#;

/// The script in namespaces of its own. Killed when dropped, with the server that runs.
struct FullDisk {
    script: Child,
    lines: Lines<BufReader<ChildStdout>>,
    server: Option<String>,
    /// The place of the mount. If it were removed, the mount would be, too.
    _folder: TempDir,
}

impl FullDisk {
    /// `None` where the system lets nobody mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"])
            .args([
                folder.path().to_str().unwrap(),
                env!("CARGO_BIN_EXE_stream-server"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
        lines.next()?.ok().filter(|line| line == "mounted")?;
        Some(Self {
            script,
            lines,
            server: None,
            _folder: folder,
        })
    }

    /// Kills the server if there is one; the next one is there when this returns.
    fn start_anew(&mut self) -> SocketAddr {
        self.kill_server();
        // Both write when they like.
        let (one, other) = (self.line(), self.line());
        let (process, told) = match one.parse::<u32>() {
            Ok(_) => (one, other),
            Err(_) => (other, one),
        };
        self.server = Some(process);
        let address = told.strip_prefix("stream-server listens on http://");
        address.unwrap().parse().unwrap()
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn kill_server(&mut self) {
        if let Some(process) = self.server.take() {
            let killed = Command::new("kill").args(["-9", &process]).status();
            assert!(killed.unwrap().success());
        }
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        if let Some(process) = self.server.take() {
            let _ = Command::new("kill").args(["-9", &process]).status();
        }
    }
}

/// Publishes one message; returns its name if it was acknowledged.
fn put(client: &mut Client, name: String, bytes: usize) -> Option<String> {
    let value = encode(&format!("{name} {}", "x".repeat(bytes)));
    let body = json!({ "messages": [{ "value": value }] });
    let answer = client.on_stream("POST", "messages", &body);
    match answer.status {
        200 => Some(name),
        500 => {
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("No space left on device"), "{message}");
            None
        }
        other => panic!("{other}"),
    }
}

/// Publishes messages of some sizes until so many in a row have failed.
fn fill(address: SocketAddr, writer: usize) -> Vec<String> {
    let mut client = Client::connect(address);
    let (mut acknowledged, mut failed) = (Vec::new(), 0);
    for n in 0.. {
        match put(&mut client, format!("{writer}/{n}"), 1 + n % 5 * 3_000) {
            Some(name) => {
                acknowledged.push(name);
                failed = 0;
            }
            None => failed += 1,
        }
        if failed == 20 {
            return acknowledged;
        }
        assert!(n < 20_000, "never full");
    }
    acknowledged
}

/// Returns the names of all messages, each once.
fn names(address: SocketAddr) -> BTreeSet<String> {
    let mut client = Client::connect(address);
    let mut names = BTreeSet::new();
    for partition in ["0", "1"] {
        let start = json!({ "partition": partition, "type": "TRIM_HORIZON" });
        let mut cursor = client.cursor(&start);
        loop {
            let batch = client.get(&cursor, 1_000);
            if batch.messages.is_empty() {
                break;
            }
            for value in batch.values() {
                let name = value.split(' ').next().unwrap().to_owned();
                assert!(names.insert(name), "twice: {value:.20}");
            }
            cursor = batch.next;
        }
    }
    names
}

#[test]
fn what_was_acknowledged_survives_a_full_file_system_and_kills_on_it() {
    let Some(mut disk) = FullDisk::mount() else {
        eprintln!("skipped: this system lets nobody mount a file system");
        return;
    };
    let address = disk.start_anew();
    let writers: Vec<_> = (0..4)
        .map(|writer| std::thread::spawn(move || fill(address, writer)))
        .collect();
    let acknowledged = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap());
    let mut acknowledged: BTreeSet<String> = acknowledged.collect();
    // Who writes alone is refused as well.
    acknowledged.extend(fill(address, 4));
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(names(address).is_superset(&acknowledged), "reading goes on");
    let mut client = Client::connect(address);
    wait_until("it is not ready", || {
        client.request("GET", "/ready", "").status == 503
    });

    let address = disk.start_anew();
    assert!(
        names(address).is_superset(&acknowledged),
        "killed while full"
    );

    let address = disk.start_anew();
    assert!(names(address).is_superset(&acknowledged), "killed again");
    let mut client = Client::connect(address);
    assert_eq!(client.request("GET", "/ready", "").status, 200);
    let more = put(&mut client, "more".to_owned(), 3_000);
    assert!(more.is_some(), "with room it goes on");
    assert!(names(address).contains("more"));
}
