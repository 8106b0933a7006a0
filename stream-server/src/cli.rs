//! The command line, the configuration file, and the settings from both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Deserialize;

use crate::cli_engine::{EngineArguments, EngineName, KafkaEntry};
use crate::config_check::mistakes;
use crate::http::parse_host;
use crate::limits::{CONNECTIONS_MAX_BOUNDS, IDLE_TIMEOUT_SECONDS_BOUNDS, SEGMENT_BYTES_BOUNDS};
use crate::logging::{LogFormat, LogLevel};
use crate::settings::{AuthSetting, Settings, StreamSetting, ThrottleSetting};

/// Where to listen unless told otherwise: this machine alone.
const LISTEN_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 8090);

/// Serves Oracle OCI Streaming's REST protocol from a folder of this machine, or from Kafka.
///
/// Everything that is acknowledged is on the disk, or on as many brokers as is demanded. Point any
/// client of OCI Streaming at the address that is printed when the server is ready.
#[derive(Debug, Parser)]
#[command(
    name = "stream-server",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  stream-server --data ./data --stream calls:4 --stream dead\n\n\
        Exit codes: 0 stopped by a signal (or checked), 1 failure at run time, 2 wrong usage or \
        configuration."
)]
pub struct Arguments {
    /// Something else than serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Network")]
    listen: Option<SocketAddr>,
    /// Listen on an address that other machines can reach, although signatures are not verified
    #[arg(long, help_heading = "Network")]
    allow_remote: bool,
    /// What clients are told as the streams' messagesEndpoint [default: http://ADDR:PORT]
    #[arg(long, value_name = "URL", help_heading = "Network")]
    external_url: Option<String>,
    /// Name or address that clients call the server by, without a port; may be repeated. Requests
    /// for others are refused (421), because they may be those of a web page, unless they are
    /// signed. Those of the loopback interface and of --external-url are known
    #[arg(long = "host", value_name = "NAME", value_parser = parse_host, help_heading = "Network")]
    hosts: Vec<String>,
    /// Open connections, 4 to 16384; for one more, one that only waits is closed [default: 1024]
    #[arg(long, value_name = "NUMBER", help_heading = "Network",
          value_parser = clap::value_parser!(u64).range(CONNECTIONS_MAX_BOUNDS))]
    connections_max: Option<u64>,
    /// Longest time between two requests of a connection, 1 to 3600 seconds [default: 120]
    #[arg(long, value_name = "SECONDS", help_heading = "Network",
          value_parser = clap::value_parser!(u64).range(IDLE_TIMEOUT_SECONDS_BOUNDS))]
    idle_timeout_in_seconds: Option<u64>,
    /// Folder of the store; created if it doesn't exist
    #[arg(long, value_name = "DIR", help_heading = "Streams")]
    data: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    /// Stream to create if it doesn't exist, with 1 partition unless told; may be repeated. Its id
    /// is ocid1.stream.oc1.local.NAME
    #[arg(long = "stream", value_name = "NAME[:PARTITIONS]", value_parser = parse_stream,
          help_heading = "Streams")]
    streams: Vec<StreamSetting>,
    /// Bound of the files of messages in bytes; publishing beyond it is answered with 500
    #[arg(long, value_name = "BYTES", help_heading = "Streams")]
    data_bytes_max: Option<u64>,
    /// Size of one file of messages, 65536 to 268435456; the disk has room again when all
    /// messages of a file have left [default: 67108864]
    #[arg(long, value_name = "BYTES", help_heading = "Streams",
          value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_BOUNDS))]
    segment_bytes: Option<u64>,
    /// Who may do anything: "open" for everyone (signatures are not verified), or "keys DIR" for
    /// whoever signs with a key of DIR, which has NAME.pub.pem (RSA, SPKI or PKCS#1) and
    /// NAME.keyid (the keyId that the key answers to) [default: open]
    #[arg(long, num_args = 1..=2, value_name = "open|keys DIR", help_heading = "Security")]
    auth: Vec<String>,
    /// JSON file with the same settings (listen, engine, kafka: {brokers, ...}, data, streams:
    /// [{name, partitions, retentionInHours; for tests, and not at Oracle:
    /// retentionSecondsForTests}], auth: "open" or {"keys": DIR}, faults, throttle, allowRemote,
    /// externalUrl, hosts: [NAME], connectionsMax, idleTimeoutInSeconds, dataBytesMax,
    /// segmentBytes, logFormat, logLevel). The command line wins; streams and hosts of both count
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Check the settings and the folder of keys, and end: 0 if they are right, 2 if not. Neither
    /// the store nor the network is touched
    #[arg(long, help_heading = "Configuration")]
    pub check: bool,
    /// How a line of the log on standard error looks: text, or one JSON object [default: text]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "text|json",
        help_heading = "Log"
    )]
    log_format: Option<LogFormat>,
    /// The least important events that the log tells; each request is one of debug [default: info]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "error|warn|info|debug",
        help_heading = "Log"
    )]
    log_level: Option<LogLevel>,
    /// How fast clients may be: as fast as the server is, or as at Oracle, with 429 beyond (1 MB/s
    /// to a partition, 5 requests a second; the README has all rates) [default: off]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "off|oci",
        help_heading = "Tests of clients"
    )]
    throttle: Option<ThrottleSetting>,
    /// PUT, GET and DELETE /faults tell the server what to do wrong. Only on the loopback
    /// interface; the README has the rules
    #[arg(long, help_heading = "Tests of clients")]
    faults: bool,
}

/// What the program does instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copies streams with their groups from one Stream to another
    #[cfg(feature = "copy")]
    #[command(after_help = crate::copy::AFTER_HELP)]
    Copy(Box<crate::copy::CopyArguments>),
    /// Copies streams; this build can't
    #[cfg(not(feature = "copy"))]
    #[command(hide = true, disable_help_flag = true)]
    Copy {
        /// Anything.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    engine: Option<EngineName>,
    #[serde(default)]
    kafka: KafkaEntry,
    data: Option<PathBuf>,
    #[serde(default)]
    streams: Vec<StreamEntry>,
    auth: Option<AuthEntry>,
    faults: Option<bool>,
    throttle: Option<ThrottleSetting>,
    allow_remote: Option<bool>,
    external_url: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    connections_max: Option<u64>,
    idle_timeout_in_seconds: Option<u64>,
    data_bytes_max: Option<u64>,
    segment_bytes: Option<u64>,
    log_format: Option<LogFormat>,
    log_level: Option<LogLevel>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AuthEntry {
    Open,
    Keys(PathBuf),
}

impl From<AuthEntry> for AuthSetting {
    fn from(entry: AuthEntry) -> Self {
        match entry {
            AuthEntry::Open => Self::Open,
            AuthEntry::Keys(folder) => Self::Keys(folder),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StreamEntry {
    name: String,
    partitions: Option<u32>,
    retention_in_hours: Option<u32>,
    retention_seconds_for_tests: Option<u64>,
}

/// What is wrong with the settings, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {0}: {1}. Correct the path after --config")]
    Unreadable(PathBuf, std::io::Error),
    /// The configuration file has another form.
    #[error("the configuration file {0} is wrong: {1}. Correct it there")]
    Invalid(PathBuf, serde_json::Error),
    /// The configuration file has mistakes, one a line.
    #[error("the configuration file {0} is wrong. Correct it there:{1}")]
    Mistakes(PathBuf, String),
    /// The engine can't be used like this, one mistake a line.
    #[error("{0}")]
    Engine(String),
    /// `--auth` has another value.
    #[error("--auth takes \"open\" or \"keys DIR\". Write one of these")]
    Auth,
    /// A stream is named twice with different numbers of partitions.
    #[error("the stream {0} is named twice with different numbers of partitions. Keep one")]
    Contradiction(String),
}

impl Arguments {
    /// Returns the settings of the command line and the file together.
    ///
    /// # Errors
    /// [`UsageError`] says what to change.
    pub fn settings(self) -> Result<Settings, UsageError> {
        let file = self
            .config
            .as_deref()
            .map(read_file)
            .transpose()?
            .unwrap_or_default();
        let entry = |entry: StreamEntry| StreamSetting {
            name: entry.name,
            partitions: entry.partitions,
            retention_hours: entry.retention_in_hours,
            retention_seconds: entry.retention_seconds_for_tests,
        };
        let auth = match self.auth.as_slice() {
            [] => file.auth.map_or(AuthSetting::Open, AuthSetting::from),
            [mode] if mode == "open" => AuthSetting::Open,
            [mode, folder] if mode == "keys" => AuthSetting::Keys(folder.into()),
            _ => return Err(UsageError::Auth),
        };
        let mut streams: Vec<StreamSetting> = Vec::new();
        for stream in self
            .streams
            .into_iter()
            .chain(file.streams.into_iter().map(entry))
        {
            match streams.iter().find(|other| other.name == stream.name) {
                Some(other) if *other != stream => {
                    return Err(UsageError::Contradiction(stream.name));
                }
                Some(_) => {}
                None => streams.push(stream),
            }
        }
        let engine = self
            .engine
            .setting(self.data.or(file.data), (file.engine, file.kafka))
            .map_err(|mistakes| UsageError::Engine(mistakes.join("\n")))?;
        // They are valid: mistakes were already reported.
        let file_hosts = file.hosts.iter().flat_map(|host| parse_host(host));
        let connections_max = self.connections_max.or(file.connections_max);
        let idle_seconds = self
            .idle_timeout_in_seconds
            .or(file.idle_timeout_in_seconds);
        Ok(Settings {
            listen: self
                .listen
                .or(file.listen)
                .unwrap_or_else(|| LISTEN_DEFAULT.into()),
            engine,
            streams,
            auth,
            faults: self.faults || file.faults.unwrap_or(false),
            throttle: self.throttle.or(file.throttle).unwrap_or_default(),
            allow_remote: self.allow_remote || file.allow_remote.unwrap_or(false),
            external_url: self.external_url.or(file.external_url),
            hosts: self.hosts.into_iter().chain(file_hosts).collect(),
            connections_max: connections_max.and_then(|count| usize::try_from(count).ok()),
            idle_timeout: idle_seconds.map(Duration::from_secs),
            data_bytes_max: self.data_bytes_max.or(file.data_bytes_max),
            segment_bytes: self.segment_bytes.or(file.segment_bytes),
            log_format: self.log_format.or(file.log_format).unwrap_or_default(),
            log_level: self.log_level.or(file.log_level).unwrap_or_default(),
        })
    }
}

fn read_file(path: &Path) -> Result<ConfigFile, UsageError> {
    let text =
        std::fs::read(path).map_err(|error| UsageError::Unreadable(path.to_owned(), error))?;
    let invalid = |error| UsageError::Invalid(path.to_owned(), error);
    let file: serde_json::Value = serde_json::from_slice(&text).map_err(invalid)?;
    let mistakes = mistakes(&file);
    if !mistakes.is_empty() {
        let lines = mistakes.iter().map(|mistake| format!("\n  {mistake}"));
        return Err(UsageError::Mistakes(path.to_owned(), lines.collect()));
    }
    serde_json::from_value(file).map_err(invalid)
}

fn parse_stream(text: &str) -> Result<StreamSetting, String> {
    let (name, partitions) = match text.split_once(':') {
        None => (text, None),
        Some((name, number)) => {
            let number: u32 = number.parse().map_err(|_| {
                format!("{number:?} is not a number of partitions; write NAME or NAME:4")
            })?;
            (name, Some(number))
        }
    };
    Ok(StreamSetting {
        name: name.to_owned(),
        partitions,
        retention_hours: None,
        retention_seconds: None,
    })
}
