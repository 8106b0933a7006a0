//! A real stream server in this process, and the real binary as its client.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests, and not every test needs everything"
)]

pub mod keys;
pub mod proxy;

use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stream_server::server::Server;
use stream_server::settings::{AuthSetting, Settings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const CALLS: &str = "ocid1.stream.oc1.local.calls";
pub const OTHER: &str = "ocid1.stream.oc1.local.other";
pub const DEAD: &str = "ocid1.stream.oc1.local.calls-dead";

/// A server with the streams `calls`, `other` and `calls-dead`. It ends with this.
pub struct Stream {
    pub url: String,
    server: Server,
    runtime: Runtime,
    folder: TempDir,
}

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Run {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Returns a letter of the filter, with its record.
pub fn letter(id: &str, call: &Value) -> Value {
    json!({
        "version": 1, "id": id, "reason": "rejected", "detail": "the target answered 404",
        "deadAt": "2026-11-23T04:36:00.123Z", "partition": "1", "offset": 5,
        "attempts": [{ "attempt": 1, "at": "2026-11-23T04:36:00.120Z", "status": 404 }],
        "call": call,
    })
}

/// Returns the command, with nothing of this process's environment that could change what it does.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_clear();
    command
}

impl Stream {
    pub fn start(dead_partitions: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let settings = Settings::local(folder.path().join("data"))
            .with_stream("calls", 4)
            .with_stream("other", 1)
            .with_stream("calls-dead", dead_partitions);
        let server = runtime.block_on(Server::start(settings)).unwrap();
        let url = server.url();
        Self {
            url,
            server,
            runtime,
            folder,
        }
    }

    /// Returns the same streams, on a server that wants signatures by these keys: keyIds and public
    /// PEMs.
    pub fn with_keys(self, keys: &[(&str, &str)]) -> Self {
        let key_folder = self.folder.path().join("keys");
        std::fs::create_dir(&key_folder).unwrap();
        for (number, (key_id, pem)) in keys.iter().enumerate() {
            std::fs::write(key_folder.join(format!("{number}.pub.pem")), pem).unwrap();
            std::fs::write(key_folder.join(format!("{number}.keyid")), key_id).unwrap();
        }
        let mut settings = Settings::local(self.folder.path().join("data"));
        settings.auth = AuthSetting::Keys(key_folder);
        self.runtime.block_on(self.server.stop());
        let server = self.runtime.block_on(Server::start(settings)).unwrap();
        Self {
            url: server.url(),
            server,
            runtime: self.runtime,
            folder: self.folder,
        }
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        command(arguments)
            .env("SLUICE_ENDPOINT", &self.url)
            .output()
            .unwrap()
            .into()
    }

    /// Runs the binary on a terminal of its own, where somebody types this; returns its exit code
    /// and what the terminal showed.
    pub fn run_on_terminal(&self, arguments: &[&str], typed: &str) -> (i32, String) {
        const HELPER: &str = "\
import os, pty, sys
typed, program = sys.argv[1].encode(), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)
shown, asked = b'', False
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    shown += some
    if b'[y/N]' in shown and not asked:
        asked = True
        os.write(terminal, typed or b'\\x04')
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";
        let run: Run = Command::new("python3")
            .args(["-c", HELPER, typed, env!("CARGO_BIN_EXE_sluice")])
            .args(arguments)
            .env("SLUICE_ENDPOINT", &self.url)
            .output()
            .unwrap()
            .into();
        (run.code, format!("{}{}", run.out, run.error))
    }

    /// Publishes values, in order; all in one partition where there is a key.
    pub fn put(&self, stream: &str, key: Option<&str>, values: &[Vec<u8>]) {
        let url = format!("{}/20180418/streams/{stream}/messages", self.url);
        let key = key.map(|key| BASE64.encode(key));
        for values in values.chunks(500) {
            let message = |value: &Vec<u8>| json!({ "key": key, "value": BASE64.encode(value) });
            let messages: Vec<Value> = values.iter().map(message).collect();
            let body = json!({ "messages": messages }).to_string();
            let answer = post(&url, &body).body_mut().read_to_string();
            let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
            assert_eq!(answer["failures"], 0);
        }
    }

    pub fn put_dead(&self, letters: &[Value]) {
        let letters: Vec<Vec<u8>> = letters.iter().map(|l| l.to_string().into_bytes()).collect();
        self.put(DEAD, None, &letters);
    }

    /// Returns everything on a stream: key and value of each message, by partition and offset.
    pub fn read(&self, stream: &str) -> Vec<(Option<String>, Vec<u8>)> {
        let base = format!("{}/20180418/streams/{stream}", self.url);
        let text = |text: &Value| BASE64.decode(text.as_str().unwrap()).unwrap();
        let get = |url: &str| ureq::get(url).call().unwrap();
        let body = get(&base).body_mut().read_to_string().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let mut messages = Vec::new();
        for partition in 0..body["partitions"].as_u64().unwrap() {
            let details = json!({ "partition": partition.to_string(), "type": "TRIM_HORIZON" });
            let mut answer = post(&format!("{base}/cursors"), &details.to_string());
            let cursor = answer.body_mut().read_to_string().unwrap();
            let cursor: Value = serde_json::from_str(&cursor).unwrap();
            let mut cursor = cursor["value"].as_str().unwrap().to_owned();
            loop {
                let mut answer = get(&format!("{base}/messages?cursor={cursor}&limit=1000"));
                cursor = answer.headers()["opc-next-cursor"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                let body = answer.body_mut().read_to_string().unwrap();
                let body: Vec<Value> = serde_json::from_str(&body).unwrap();
                if body.is_empty() {
                    break;
                }
                for message in body {
                    let key = message["key"].as_str().map(str::to_owned);
                    messages.push((key, text(&message["value"])));
                }
            }
        }
        messages
    }

    /// Has a group read and commit all that there is.
    pub fn commit_all(&self, stream: &str, group: &str) {
        let base = format!("{}/20180418/streams/{stream}", self.url);
        let details = json!({ "groupName": group, "type": "TRIM_HORIZON" }).to_string();
        let mut answer = post(&format!("{base}/groupCursors"), &details);
        let cursor = answer.body_mut().read_to_string().unwrap();
        let cursor: Value = serde_json::from_str(&cursor).unwrap();
        let mut cursor = cursor["value"].as_str().unwrap().to_owned();
        loop {
            let url = format!("{base}/messages?cursor={cursor}");
            let mut answer = ureq::get(&url).call().unwrap();
            let next = answer.headers()["opc-next-cursor"].to_str();
            cursor = next.unwrap().to_owned();
            if answer.body_mut().read_to_string().unwrap() == "[]" {
                return;
            }
            // A group cursor commits what it has read with its next request, unless told otherwise.
        }
    }

    /// Returns the records on a stream, as JSON.
    pub fn records(&self, stream: &str) -> Vec<Value> {
        let records = self.read(stream);
        records
            .iter()
            .map(|(_, value)| serde_json::from_slice(value).unwrap())
            .collect()
    }
}

fn post(url: &str, json: &str) -> ureq::http::Response<ureq::Body> {
    let request = ureq::post(url).header("content-type", "application/json");
    request.send(json).unwrap()
}

/// Returns the `id` of each item of a list in a JSON output.
pub fn ids(output: &Value, list: &str) -> Vec<String> {
    let ids = output[list].as_array().unwrap().iter();
    ids.map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}
