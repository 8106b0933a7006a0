//! What a server is started with.

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
    /// Its partitions, or any number where `None` (1 if it is created).
    pub partitions: Option<u32>,
    /// How long its messages are kept if it is created, 24..=168 hours; 24 where `None`.
    pub retention_hours: Option<u32>,
    /// Instead of the above, for tests; there is no such thing at Oracle. Not remembered.
    pub retention_seconds: Option<u64>,
}

/// Who may do anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthSetting {
    /// Everyone who reaches the server. Signatures are not looked at.
    #[default]
    Open,
    /// Whoever signs with a key of this folder (see [`crate::auth::KeyRing::read`]).
    Keys(PathBuf),
}

/// How fast clients may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThrottleSetting {
    /// As fast as the server is.
    #[default]
    Off,
    /// As fast as at Oracle ([`crate::throttle`]); beyond that they get 429.
    Oci,
}

/// What a server is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of the store. Created if it doesn't exist.
    pub data: PathBuf,
    /// Streams to create if they don't exist.
    pub streams: Vec<StreamSetting>,
    /// Who may do anything.
    pub auth: AuthSetting,
    /// Whether `/faults` tells the server what to do wrong. For tests.
    pub faults: bool,
    /// How fast clients may be.
    pub throttle: ThrottleSetting,
    /// Whether to listen on an address that other machines can reach.
    pub allow_remote: bool,
    /// What clients see as `messagesEndpoint`; `http://ADDR:PORT` where `None`.
    pub external_url: Option<String>,
    /// Names and addresses that clients call the server by, beside those of the loopback interface
    /// and of `external_url`: in small letters, without a port.
    pub hosts: Vec<String>,
    /// Open connections at most; [`crate::limits::CONNECTIONS_MAX`] where `None`.
    pub connections_max: Option<usize>,
    /// Longest time between two requests of a connection; [`crate::limits::IDLE_TIMEOUT`] where
    /// `None`.
    pub idle_timeout: Option<Duration>,
    /// How a line of the log looks. The program's; a library's log is its user's.
    pub log_format: LogFormat,
    /// What the program's log tells.
    pub log_level: LogLevel,
    /// Bound of the files of messages in bytes; writes beyond it get 500. None where `None`.
    pub data_bytes_max: Option<u64>,
    /// Bytes of one file of messages, within [`crate::limits::SEGMENT_BYTES_BOUNDS`].
    pub segment_bytes: Option<u64>,
}

impl Settings {
    /// Settings for a folder: any free port of 127.0.0.1, no streams.
    pub fn local(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.into(),
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
