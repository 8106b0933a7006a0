//! Brokers, and stream servers in front of them, as programs that are started, killed and ended.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses its own part of these helpers"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kafka_cluster::{Cluster, Kafka, Provided, Setup};
use local_gateway::process::{Process, Program};
use local_gateway::{http, ports};
use provision::Project;
use provision::tools::{Tools, stream_server_with_kafka};
use serde_json::{Value, json};
use testkit::wait;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(90);
const STREAM: &str = "ocid1.stream.oc1.local.calls";

/// What a test with brokers of its own needs.
pub struct Ground {
    pub cluster: Cluster,
    pub folder: PathBuf,
    with_parent: PathBuf,
    server: PathBuf,
}

/// Returns what runs brokers, and the program that ends programs with this one. `None` on a machine
/// that can't run brokers, which is said.
pub fn kafka() -> Option<(Kafka, PathBuf)> {
    let project = Project::here();
    let with_parent = Tools::for_tests(&project).unwrap().with_parent;
    match Kafka::provide(&project, &with_parent).unwrap() {
        Provided::Kafka(kafka) => Some((kafka, with_parent)),
        Provided::Missing(reason) => {
            eprintln!("SKIPPED: {reason}");
            None
        }
    }
}

impl Ground {
    /// Starts brokers. `None` on a machine that can't, which is said.
    pub fn start(name: &str, setup: &Setup) -> Option<Self> {
        let (kafka, with_parent) = kafka()?;
        let project = Project::here();
        let server = match std::env::var_os(testkit::kafka::SERVER) {
            Some(server) => server.into(),
            None => stream_server_with_kafka(&project).unwrap(),
        };
        let folder = project.target().join("kafka/tests").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let cluster = Cluster::start(&kafka, name, setup).unwrap();
        Some(Self {
            cluster,
            folder,
            with_parent,
            server,
        })
    }

    /// Writes a file; returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Starts a server on the usual listener of the brokers and waits until it is ready.
    pub fn front(&self, more: &[&str]) -> Front {
        let brokers = self.cluster.brokers();
        let mut front = self.begin(&[&["--brokers", &brokers], more].concat());
        front.wait_until_ready();
        front
    }

    /// Starts a server with these arguments, and doesn't wait for it.
    pub fn begin(&self, arguments: &[&str]) -> Front {
        let port = ports::free().unwrap();
        let mut all = vec!["--engine", "kafka", "--stream", "calls:4"];
        let listen = format!("127.0.0.1:{port}");
        all.extend(["--listen", &listen]);
        all.extend(arguments);
        let program = Program {
            name: "a stream server",
            with_parent: self.with_parent.clone(),
            path: self.server.clone(),
            arguments: all.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            folder: self.folder.clone(),
            log: self.folder.join(format!("front-{port}.log")),
        };
        let process = Process::start(&program).unwrap();
        Front {
            port,
            program,
            process,
        }
    }
}

/// A stream server.
pub struct Front {
    pub port: u16,
    pub process: Process,
    program: Program,
}

impl Front {
    pub fn is_ready(&self) -> bool {
        let health = format!("http://127.0.0.1:{}/health", self.port);
        http::get(&health).is_ok_and(|answer| answer.status == 200)
    }

    pub fn wait_until_ready(&mut self) {
        let health = format!("http://127.0.0.1:{}/health", self.port);
        let is_ready = || http::get(&health).is_ok_and(|answer| answer.status == 200);
        self.process
            .wait_until(PATIENCE, "answer to GET /health", is_ready)
            .unwrap();
    }

    /// Waits until it has ended by itself; returns whether it has, and what it wrote.
    pub fn end(&mut self, patience: Duration) -> (Option<i32>, String) {
        wait::until(patience, || self.process.ended().is_some());
        let code = self.process.ended().and_then(|status| status.code());
        let said = fs::read(&self.program.log).unwrap_or_default();
        (code, String::from_utf8_lossy(&said).into_owned())
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.process = Process::start(&self.program).unwrap();
    }

    pub fn client(&self) -> Client {
        Client { port: self.port }
    }
}

/// One answer of a server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub next: Option<String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the values of messages.
    pub fn values(&self) -> Vec<String> {
        let messages = self.json();
        let messages = messages.as_array().cloned().unwrap_or_default();
        let text = |message: &Value| {
            let bytes = STANDARD.decode(message["value"].as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        messages.iter().map(text).collect()
    }
}

/// A client of one server, with a connection for each request.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub port: u16,
}

impl Client {
    /// Sends a request. An error says that nobody knows what became of it.
    pub fn request(&self, method: &str, rest: &str, body: &Value) -> std::io::Result<Answer> {
        use testkit::http1::{Connection, Request};
        let path = format!("/20180418/streams/{STREAM}/{rest}");
        let mut request = Request::without_host(method, &path)
            .field("Host", "localhost")
            .field("Content-Type", "application/json");
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = Connection::open(self.port)?.exchange(&request)?;
        let text = |name: &str| {
            let text = response.message.text(name);
            (!text.is_empty()).then_some(text)
        };
        Ok(Answer {
            status: response.status,
            retry_after: text("retry-after"),
            next: text("opc-next-cursor"),
            body: String::from_utf8_lossy(&response.message.body).into_owned(),
        })
    }

    /// Publishes values under keys of their own.
    pub fn put(&self, values: &[String]) -> std::io::Result<Answer> {
        let message = |value: &String| {
            let value = STANDARD.encode(value);
            json!({ "key": value, "value": value })
        };
        let messages: Vec<Value> = values.iter().map(message).collect();
        self.request("POST", "messages", &json!({ "messages": messages }))
    }

    /// Publishes one value; returns whether it was acknowledged.
    pub fn put_one(&self, value: &str) -> bool {
        let put = self.put(&[value.to_owned()]);
        put.is_ok_and(|answer| answer.status == 200 && answer.json()["failures"] == 0)
    }

    /// Joins a group from the oldest message on.
    pub fn join(&self, group: &str, instance: &str) -> std::io::Result<Answer> {
        let details = json!({
            "groupName": group, "instanceName": instance, "type": "TRIM_HORIZON",
            "timeoutInMs": 30_000, "commitOnGet": false,
        });
        self.request("POST", "groupCursors", &details)
    }

    pub fn get(&self, cursor: &str) -> std::io::Result<Answer> {
        let rest = format!("messages?limit=100&cursor={cursor}");
        self.request("GET", &rest, &Value::Null)
    }

    pub fn commit(&self, cursor: &str) -> std::io::Result<Answer> {
        self.request("POST", &format!("commit?cursor={cursor}"), &Value::Null)
    }

    /// Reads all messages of all partitions, whatever it takes.
    pub fn read_all(&self, partitions: u32) -> Vec<String> {
        let mut values = Vec::new();
        for partition in 0..partitions {
            let details = json!({ "partition": partition.to_string(), "type": "TRIM_HORIZON" });
            let mut made = None;
            wait::until(PATIENCE, || {
                made = self.request("POST", "cursors", &details).ok();
                made.as_ref().is_some_and(|made| made.status == 200)
            });
            let made = made.expect("an answer");
            assert_eq!(made.status, 200, "{made:?}");
            let mut cursor = made.json()["value"].as_str().unwrap().to_owned();
            loop {
                let mut batch = self.get(&cursor).unwrap();
                wait::until(PATIENCE, || {
                    if batch.status == 503 {
                        batch = self.get(&cursor).unwrap();
                    }
                    batch.status != 503
                });
                assert_eq!(batch.status, 200, "{batch:?}");
                let read = batch.values();
                cursor = batch.next.expect("a next cursor");
                if read.is_empty() {
                    break;
                }
                values.extend(read);
            }
        }
        values
    }
}
