//! The settings of a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::logging::{LogFormat, LogLevel};

/// A stream that exists when the server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSetting {
    /// Its name; its id is `ocid1.stream.oc1.local.NAME`.
    pub name: String,
    /// Its partitions; `None` for any number (1 if it is created).
    pub partitions: Option<u32>,
    /// How long its messages are kept if it is created, 24..=168 hours; 24 if `None`.
    pub retention_hours: Option<u32>,
    /// A shorter time instead, for tests. Oracle doesn't have it. It is not remembered.
    pub retention_seconds: Option<u64>,
}

/// Who may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthSetting {
    /// Everybody who reaches the server. Signatures are not verified.
    #[default]
    Open,
    /// Everybody who signs with a key of this folder (see [`crate::auth::KeyRing::read`]).
    Keys(PathBuf),
}

/// How fast clients may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThrottleSetting {
    /// As fast as the server can.
    #[default]
    Off,
    /// As fast as at Oracle ([`crate::throttle`]). Faster requests get 429.
    Oci,
}

/// What keeps the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineSetting {
    /// The store in a folder of this machine, which is created if it doesn't exist.
    Embedded(PathBuf),
    /// A cluster of Apache Kafka. Needs a build with the feature `kafka`.
    Kafka(Box<KafkaSetting>),
}

/// A cluster of Apache Kafka, and how this server, one of its fronts, takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSetting {
    /// Some of its brokers: `HOST:PORT,…`.
    pub brokers: String,
    /// What the names of all topics begin with.
    pub topic_prefix: String,
    /// Copies of each partition of a new topic.
    pub replication: u16,
    /// Copies that must have a message before it is acknowledged.
    pub min_in_sync: u16,
    /// Partitions of the topic of slots if it is created: shares of all groups that fronts can
    /// have, 1..=256. It never changes.
    pub slots: u16,
    /// Whether brokers write each message to their disks before they acknowledge it.
    pub flush: bool,
    /// How its brokers are reached.
    pub security: KafkaSecurity,
    /// Where other fronts reach this one.
    pub internal_listen: SocketAddr,
    /// The URL of that for other fronts; `http://ADDR:PORT` if `None`.
    pub internal_url: Option<String>,
    /// The file of the secret that all fronts share, at least 32 bytes. Without one they share one
    /// that lies in an internal topic, where everybody can read it who may read that.
    pub secret_file: Option<PathBuf>,
}

impl KafkaSetting {
    /// Returns settings for these brokers: three copies of which two must have a message, no TLS.
    pub fn local(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic_prefix: "sluice.".to_owned(),
            replication: 3,
            min_in_sync: 2,
            slots: 16,
            flush: false,
            security: KafkaSecurity::default(),
            internal_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            internal_url: None,
            secret_file: None,
        }
    }
}

/// How brokers are reached. Secrets are in files or in the environment, never here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The authorities of the brokers' certificates (PEM); the system's if `None`.
    pub ca_file: Option<PathBuf>,
    /// This server's own certificate (PEM), for mutual TLS.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// The user for SASL with SCRAM-SHA-512.
    pub user: Option<String>,
    /// The file of the user's password; the variable `STREAM_SERVER_KAFKA_PASSWORD` if `None`.
    pub password_file: Option<PathBuf>,
}

/// The settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What keeps the streams.
    pub engine: EngineSetting,
    /// Streams to create if they don't exist.
    pub streams: Vec<StreamSetting>,
    /// Who may do everything.
    pub auth: AuthSetting,
    /// Whether `/faults` tells the server what to do wrong. For tests.
    pub faults: bool,
    /// How fast clients may be.
    pub throttle: ThrottleSetting,
    /// Whether to listen on an address that other machines can reach.
    pub allow_remote: bool,
    /// The `messagesEndpoint` that clients see; `http://ADDR:PORT` if `None`.
    pub external_url: Option<String>,
    /// Names and addresses that clients use for the server, besides those of the loopback interface
    /// and of `external_url`: in lower case, without a port.
    pub hosts: Vec<String>,
    /// The most open connections; [`crate::limits::CONNECTIONS_MAX`] if `None`.
    pub connections_max: Option<usize>,
    /// Longest time between two requests of a connection; [`crate::limits::IDLE_TIMEOUT`] if
    /// `None`.
    pub idle_timeout: Option<Duration>,
    /// The form of a line in the program's log. (The user of the library has a log of their own.)
    pub log_format: LogFormat,
    /// The least important events in the program's log.
    pub log_level: LogLevel,
    /// The most bytes of the files of messages; writes beyond it get 500. No limit if `None`.
    pub data_bytes_max: Option<u64>,
    /// Bytes of one file of messages, within [`crate::limits::SEGMENT_BYTES_BOUNDS`].
    pub segment_bytes: Option<u64>,
}

impl Settings {
    /// Returns settings for a folder: any free port of 127.0.0.1, no streams.
    pub fn local(data: impl Into<PathBuf>) -> Self {
        Self::of(EngineSetting::Embedded(data.into()))
    }

    /// Returns settings for an engine: any free port of 127.0.0.1, no streams.
    #[must_use]
    pub fn of(engine: EngineSetting) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            engine,
            streams: Vec::new(),
            auth: AuthSetting::Open,
            faults: false,
            throttle: ThrottleSetting::Off,
            allow_remote: false,
            external_url: None,
            hosts: Vec::new(),
            connections_max: None,
            idle_timeout: None,
            data_bytes_max: None,
            segment_bytes: None,
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
        }
    }

    /// Returns the same with one more stream.
    #[must_use]
    pub fn with_stream(mut self, name: &str, partitions: u32) -> Self {
        let name = name.to_owned();
        self.streams.push(StreamSetting {
            name,
            partitions: Some(partitions),
            retention_hours: None,
            retention_seconds: None,
        });
        self
    }
}
