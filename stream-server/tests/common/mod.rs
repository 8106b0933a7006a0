//! A server on a free port, and a small client that shows every byte of the protocol.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests, not an interface"
)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[cfg(feature = "kafka")]
pub mod cluster;
pub mod copying;
pub mod process;
pub mod signing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stream_server::server::Server;
use stream_server::settings::{EngineSetting, KafkaSetting, Settings};
use tempfile::TempDir;
use testkit::http1::{Connection, Response};
use testkit::{kafka, wait};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What every program sends.
pub const FIELDS: &str = "host: localhost\r\ncontent-type: application/json\r\n";
pub const STREAM: &str = "ocid1.stream.oc1.local.calls";

/// A server in this process, in a folder of its own, or some in front of a Kafka cluster.
pub struct TestServer {
    runtime: tokio::runtime::Runtime,
    servers: Vec<Server>,
    settings: Settings,
    pub folder: TempDir,
    pub address: SocketAddr,
}

/// Returns the settings of a server that keeps its streams in this folder, or in topics of its own.
fn settings(folder: &Path) -> Settings {
    let Some(brokers) = kafka::brokers() else {
        return Settings::local(folder);
    };
    let name = folder.file_name().unwrap().to_str().unwrap();
    let setting = KafkaSetting {
        topic_prefix: format!("{}.", name.trim_start_matches('.')),
        // Each partition costs the brokers something, and each server has topics of its own.
        slots: 3,
        ..KafkaSetting::local(brokers)
    };
    Settings::of(EngineSetting::Kafka(Box::new(setting)))
}

impl TestServer {
    /// Returns a server with the stream `calls`.
    pub fn start(partitions: u32) -> Self {
        Self::start_with(|settings| settings.with_stream("calls", partitions))
    }

    pub fn start_with(adjust: impl FnOnce(Settings) -> Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = adjust(settings(folder.path()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let start = || runtime.block_on(Server::start(settings.clone())).unwrap();
        let servers: Vec<Server> = (0..kafka::fronts()).map(|_| start()).collect();
        let address = servers[0].address();
        Self {
            runtime,
            servers,
            settings,
            folder,
            address,
        }
    }

    /// Stops the server and starts it again on the same folder.
    pub fn restart(&mut self) {
        for server in self.servers.drain(..) {
            self.runtime.block_on(server.stop());
        }
        let settings = Settings {
            streams: Vec::new(),
            ..self.settings.clone()
        };
        let server = self.runtime.block_on(Server::start(settings)).unwrap();
        self.address = server.address();
        self.servers.push(server);
    }

    /// Returns a connection to any of the servers.
    pub fn client(&self) -> Client {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Client::connect(self.servers[next % self.servers.len()].address())
    }
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// Returns the body of a success.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Checks OCI's shape of errors; returns the message.
    pub fn refused(self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        assert!(self.headers.contains_key("opc-request-id"), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = response.message.fields.iter();
        Self {
            status: response.status,
            headers: fields
                .map(|(name, value)| (text(name).to_lowercase(), text(value)))
                .collect(),
            body: text(&response.message.body),
        }
    }
}

/// What a GetMessages gave.
#[derive(Debug)]
pub struct Batch {
    pub messages: Vec<Value>,
    pub next: String,
}

impl Batch {
    /// Returns the values as text.
    pub fn values(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|message| text(&message["value"]))
            .collect()
    }
}

/// One connection that stays open.
pub struct Client {
    connection: Connection,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let connection = Connection::to(address)?;
        Ok(Self { connection })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.connection.send(bytes)
    }

    /// Reads one answer.
    pub fn receive(&mut self) -> std::io::Result<Answer> {
        Ok(self.connection.receive(false)?.into())
    }

    /// Returns an answer, if some of one has come already.
    pub fn try_receive_now(&mut self) -> Option<Answer> {
        let some = self.connection.is_answered();
        some.then(|| self.receive().unwrap())
    }

    /// Returns whether the server has closed the connection.
    pub fn has_ended(&mut self) -> bool {
        self.connection.has_ended()
    }

    pub fn try_request(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\n{FIELDS}content-length: {length}");
        self.send(format!("{head}\r\n\r\n{body}").as_bytes())?;
        self.receive()
    }

    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Answer {
        self.try_request(method, path, body).unwrap()
    }

    /// Returns a request on the stream `calls`.
    pub fn on_stream(&mut self, method: &str, rest: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.request(method, &format!("/20180418/streams/{STREAM}/{rest}"), &body)
    }

    /// Publishes values under one key; returns the entries.
    pub fn put(&mut self, key: Option<&str>, values: &[&str]) -> Vec<Value> {
        let message = |value: &&str| json!({ "key": key.map(encode), "value": encode(value) });
        let messages: Vec<Value> = values.iter().map(message).collect();
        let answer = self
            .on_stream("POST", "messages", &json!({ "messages": messages }))
            .ok();
        assert_eq!(answer["failures"], 0);
        answer["entries"].as_array().unwrap().clone()
    }

    pub fn cursor(&mut self, details: &Value) -> String {
        value(self.on_stream("POST", "cursors", details))
    }

    /// Joins the group `g`.
    pub fn join(&mut self, instance: &str, more: &Value) -> String {
        let mut details =
            json!({ "groupName": "g", "type": "TRIM_HORIZON", "instanceName": instance });
        let members = more.as_object().cloned().unwrap_or_default();
        details.as_object_mut().unwrap().extend(members);
        value(self.on_stream("POST", "groupCursors", &details))
    }

    pub fn try_get(&mut self, cursor: &str, limit: u32) -> Answer {
        self.on_stream(
            "GET",
            &format!("messages?cursor={cursor}&limit={limit}"),
            &Value::Null,
        )
    }

    pub fn get(&mut self, cursor: &str, limit: u32) -> Batch {
        let answer = self.try_get(cursor, limit);
        let next = answer.headers.get("opc-next-cursor").cloned();
        let messages = answer.ok().as_array().unwrap().clone();
        Batch {
            messages,
            next: next.expect("a next cursor in every 200"),
        }
    }

    pub fn try_commit(&mut self, cursor: &str) -> Answer {
        self.on_stream("POST", &format!("commit?cursor={cursor}"), &Value::Null)
    }

    pub fn commit(&mut self, cursor: &str) -> String {
        value(self.try_commit(cursor))
    }

    pub fn try_heartbeat(&mut self, cursor: &str) -> Answer {
        self.on_stream("POST", &format!("heartbeat?cursor={cursor}"), &Value::Null)
    }

    /// Returns the reservations of the group `g`.
    pub fn reservations(&mut self) -> Vec<Value> {
        let group = self.on_stream("GET", "groups/g", &Value::Null).ok();
        group["reservations"].as_array().unwrap().clone()
    }

    /// Returns how many partitions of the group `g` the instance holds.
    pub fn held_by(&mut self, instance: &str) -> usize {
        let lines = self.reservations();
        lines
            .iter()
            .filter(|line| line["reservedInstance"] == instance)
            .count()
    }

    /// Returns the committed offsets of the group `g`, by partition.
    pub fn committed(&mut self) -> Vec<Option<u64>> {
        self.reservations()
            .iter()
            .map(|line| line["committedOffset"].as_u64())
            .collect()
    }
}

pub fn value(answer: Answer) -> String {
    answer.ok()["value"].as_str().unwrap().to_owned()
}

pub fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

pub fn text(base64: &Value) -> String {
    String::from_utf8(STANDARD.decode(base64.as_str().unwrap()).unwrap()).unwrap()
}

/// Waits until something holds; fails after [`PATIENCE`].
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    assert!(wait::until(PATIENCE, holds), "waited in vain until {what}");
}
