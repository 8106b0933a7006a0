//! Two servers and `stream-server copy` between them. The destination is a server on Kafka, if the
//! tests have brokers.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::kafka;

use super::process::{Process, command};
use super::{Client, text, wait_until};

/// A source and a destination with the stream `calls`.
pub struct Ends {
    pub folder: TempDir,
    pub from: Process,
    pub to: Process,
}

/// What a run of `copy` gave.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Run {
    /// Returns the report of a copy that has succeeded.
    pub fn report(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns why a copy has failed.
    pub fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        &self.error
    }

    /// Returns how many messages it has copied.
    pub fn copied(&self) -> u64 {
        let report = self.report();
        let partitions = report["partitions"].as_array().unwrap();
        let copied = partitions.iter().map(|one| one["copied"].as_u64().unwrap());
        copied.sum()
    }
}

/// A message: its offset, key and value.
pub type Kept = (u64, Option<String>, String);

impl Ends {
    pub fn start(partitions: u32) -> Self {
        Self::start_with(partitions, &[], &[])
    }

    /// Starts both, with more arguments for each.
    pub fn start_with(partitions: u32, from: &[&str], to: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stream = format!("calls:{partitions}");
        let from = Process::start_also_with(&folder.path().join("from"), &stream, from);
        let to = start_destination(folder.path(), &stream, to);
        Self { folder, from, to }
    }

    pub fn source(&self) -> Client {
        Client::connect(self.from.address)
    }

    pub fn destination(&self) -> Client {
        Client::connect(self.to.address)
    }

    /// Lets the source's retention remove all of its messages.
    pub fn forget_all(&mut self) {
        let data = self.folder.path().join("from");
        let file = self.folder.path().join("short.json");
        let stream = json!({ "name": "calls", "retentionSecondsForTests": 1 });
        let settings = json!({ "data": data, "streams": [stream] });
        std::fs::write(&file, settings.to_string()).unwrap();
        self.from.kill();
        let listen = ["--listen", "127.0.0.1:0"];
        let short = ["--config", file.to_str().unwrap()];
        self.from = Process::start_with(&[listen, short].concat());
        wait_until("retention has removed them", || {
            let mut client = self.source();
            let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
            // Some may leave between the two requests.
            let answer = client.try_get(&cursor, 10);
            answer.status == 200 && answer.json() == json!([])
        });
        self.from.kill();
        let long = ["--data", data.to_str().unwrap()];
        self.from = Process::start_with(&[listen, long].concat());
    }

    /// Returns the arguments of a copy.
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let (from, to) = (self.from.address, self.to.address);
        let (from, to) = (format!("http://{from}"), format!("http://{to}"));
        let usual = ["copy", "--from", &from, "--to", &to, "--stream", "calls"];
        let groups = match more.contains(&"--no-groups") {
            true => &["--json"][..],
            false => &["--json", "--group", "g"],
        };
        let usual = usual.iter().chain(groups);
        usual.chain(more).map(|one| (*one).to_owned()).collect()
    }

    /// Copies to the end.
    pub fn copy(&self, more: &[&str]) -> Run {
        run(&self.arguments(&[more, &["--settle", "100ms"]].concat()))
    }

    /// Begins to copy.
    pub fn begin(&self, more: &[&str]) -> Child {
        let arguments = self.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Fails unless the destination's partitions have what the source's have, in the same order.
    pub fn assert_alike(&self, partitions: u32) {
        let without_offset = |kept: Vec<Kept>| -> Vec<_> {
            kept.into_iter()
                .map(|(_, key, value)| (key, value))
                .collect()
        };
        for partition in 0..partitions {
            let source = without_offset(read(&mut self.source(), partition));
            let copy = without_offset(read(&mut self.destination(), partition));
            assert_eq!(source, copy, "partition {partition}");
        }
    }
}

fn start_destination(folder: &Path, stream: &str, more: &[&str]) -> Process {
    let Some(brokers) = kafka::brokers() else {
        return Process::start_also_with(&folder.join("to"), stream, more);
    };
    let prefix = format!("copy-{}.", fastrand::u32(..));
    Process::start_on_kafka(&brokers, &prefix, stream, more)
}

/// Runs the program.
pub fn run(arguments: &[String]) -> Run {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = command(&arguments).output().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Returns everything in a partition of the stream `calls`.
pub fn read(client: &mut Client, partition: u32) -> Vec<Kept> {
    let start = json!({ "partition": partition.to_string(), "type": "TRIM_HORIZON" });
    let mut cursor = client.cursor(&start);
    let mut kept = Vec::new();
    loop {
        let batch = client.get(&cursor, 1_000);
        if batch.messages.is_empty() {
            return kept;
        }
        let one = |message: &Value| {
            let key = message["key"].as_str().map(|_| text(&message["key"]));
            (
                message["offset"].as_u64().unwrap(),
                key,
                text(&message["value"]),
            )
        };
        kept.extend(batch.messages.iter().map(one));
        cursor = batch.next;
    }
}

/// Publishes messages with and without keys, until each partition has some.
pub fn fill(client: &mut Client, name: &str, count: usize) {
    for number in 0..count {
        let value = format!("{name}-{number}");
        let key = (number % 3 == 0).then(|| format!("key-{}", number % 7));
        client.put(key.as_deref(), &[&value]);
    }
}
