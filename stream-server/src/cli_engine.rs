//! The part of the command line and of the configuration file that chooses the engine.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::settings::{EngineSetting, KafkaSecurity, KafkaSetting};

/// What keeps the streams, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    /// A folder of this machine.
    #[default]
    Embedded,
    /// A cluster of Apache Kafka.
    Kafka,
}

/// The command line's part.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct EngineArguments {
    /// What keeps the streams: a folder of this machine, or a Kafka cluster [default: embedded]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "embedded|kafka",
        help_heading = "Streams"
    )]
    engine: Option<EngineName>,
    /// Some brokers of the cluster
    #[arg(long, value_name = "HOST:PORT,...", help_heading = "Kafka")]
    brokers: Option<String>,
    /// What the names of all topics begin with [default: sluice.]
    #[arg(long, value_name = "PREFIX", help_heading = "Kafka")]
    topic_prefix: Option<String>,
    /// Copies of each partition of a new topic [default: 3]
    #[arg(long, value_name = "NUMBER", help_heading = "Kafka")]
    replication_factor: Option<u16>,
    /// Copies that must have a message before it is acknowledged [default: 2]
    #[arg(long, value_name = "NUMBER", help_heading = "Kafka")]
    min_insync_replicas: Option<u16>,
    /// Where other servers of the same cluster reach this one [default: 127.0.0.1, any port]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Kafka")]
    internal_listen: Option<SocketAddr>,
    /// What other servers call that [default: http://ADDR:PORT]
    #[arg(long, value_name = "URL", help_heading = "Kafka")]
    internal_url: Option<String>,
    /// File of a secret of 32 bytes or more that all servers of the cluster share
    #[arg(long, value_name = "FILE", help_heading = "Kafka")]
    secret_file: Option<PathBuf>,
    /// Encrypt connections to brokers
    #[arg(long, help_heading = "Kafka")]
    kafka_tls: bool,
    /// Authorities of the brokers' certificates (PEM) [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "Kafka")]
    kafka_ca_file: Option<PathBuf>,
    /// This server's certificate for the brokers (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Kafka")]
    kafka_certificate_file: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Kafka")]
    kafka_key_file: Option<PathBuf>,
    /// User for SCRAM-SHA-512
    #[arg(long, value_name = "NAME", help_heading = "Kafka")]
    kafka_user: Option<String>,
    /// File of the user's password; without one, STREAM_SERVER_KAFKA_PASSWORD has it
    #[arg(long, value_name = "FILE", help_heading = "Kafka")]
    kafka_password_file: Option<PathBuf>,
}

/// The configuration file's part.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct KafkaEntry {
    brokers: Option<String>,
    topic_prefix: Option<String>,
    replication_factor: Option<u16>,
    min_insync_replicas: Option<u16>,
    flush_messages: bool,
    internal_listen: Option<SocketAddr>,
    internal_url: Option<String>,
    secret_file: Option<PathBuf>,
    tls: bool,
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

/// Kafka takes topics' names of 249 characters, and a stream's name has up to 200.
const PREFIX_CHARS_MAX: usize = 32;

impl EngineArguments {
    /// Returns the engine of both parts together. The command line wins.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn setting(
        self,
        data: Option<PathBuf>,
        file: (Option<EngineName>, KafkaEntry),
    ) -> Result<EngineSetting, Vec<String>> {
        let name = self.engine.or(file.0).unwrap_or_default();
        match (name, data) {
            (EngineName::Embedded, Some(data)) => Ok(EngineSetting::Embedded(data)),
            (EngineName::Embedded, None) => Err(vec![
                "no data folder: name one with --data DIR, or as \"data\" in the file of --config"
                    .to_owned(),
            ]),
            (EngineName::Kafka, data) => {
                let mut mistakes = Vec::new();
                if data.is_some() {
                    mistakes.push("--data: is for the engine embedded; leave it out".to_owned());
                }
                let setting = self.kafka(file.1, &mut mistakes);
                match mistakes.is_empty() {
                    true => Ok(EngineSetting::Kafka(Box::new(setting))),
                    false => Err(mistakes),
                }
            }
        }
    }

    fn kafka(self, file: KafkaEntry, mistakes: &mut Vec<String>) -> KafkaSetting {
        let brokers = self.brokers.or(file.brokers).unwrap_or_default();
        let default = KafkaSetting::local(brokers);
        let security = KafkaSecurity {
            tls: self.kafka_tls || file.tls,
            ca_file: self.kafka_ca_file.or(file.ca_file),
            certificate_file: self.kafka_certificate_file.or(file.certificate_file),
            key_file: self.kafka_key_file.or(file.key_file),
            user: self.kafka_user.or(file.user),
            password_file: self.kafka_password_file.or(file.password_file),
        };
        let prefix = self.topic_prefix.or(file.topic_prefix);
        let copies = self.replication_factor.or(file.replication_factor);
        let in_sync = self.min_insync_replicas.or(file.min_insync_replicas);
        let listen = self.internal_listen.or(file.internal_listen);
        let setting = KafkaSetting {
            topic_prefix: prefix.unwrap_or(default.topic_prefix),
            replication: copies.unwrap_or(default.replication),
            min_in_sync: in_sync.unwrap_or(default.min_in_sync),
            slots: default.slots,
            flush: file.flush_messages,
            security,
            internal_listen: listen.unwrap_or(default.internal_listen),
            internal_url: self.internal_url.or(file.internal_url),
            secret_file: self.secret_file.or(file.secret_file),
            brokers: default.brokers,
        };
        check(&setting, mistakes);
        setting
    }
}

fn check(setting: &KafkaSetting, mistakes: &mut Vec<String>) {
    let has_port = |broker: &str| {
        let port = broker.trim().rsplit_once(':');
        port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let prefix = &setting.topic_prefix;
    let security = &setting.security;
    let is_remote = !setting.internal_listen.ip().is_loopback();
    let url = setting.internal_url.as_deref();
    let rules = [
        (
            setting.brokers.split(',').all(has_port),
            "--brokers (kafka.brokers): must be HOST:PORT, or several of them with commas between",
        ),
        (
            prefix.chars().all(plain) && prefix.len() <= PREFIX_CHARS_MAX,
            "--topic-prefix (kafka.topicPrefix): must have at most 32 of the characters A-Z a-z \
             0-9 . _ -",
        ),
        (
            !prefix.starts_with("__"),
            "--topic-prefix (kafka.topicPrefix): must not begin with __, as Kafka's own topics do",
        ),
        (
            (1..=9).contains(&setting.replication),
            "--replication-factor (kafka.replicationFactor): must be between 1 and 9",
        ),
        (
            (1..=setting.replication.max(1)).contains(&setting.min_in_sync),
            "--min-insync-replicas (kafka.minInsyncReplicas): must be between 1 and \
             --replication-factor",
        ),
        (
            security.certificate_file.is_some() == security.key_file.is_some(),
            "--kafka-certificate-file and --kafka-key-file (kafka.certificateFile, kafka.keyFile): \
             give both or neither",
        ),
        (
            security.tls || (security.ca_file.is_none() && security.certificate_file.is_none()),
            "--kafka-tls (kafka.tls): is needed for certificates to be used",
        ),
        (
            security.password_file.is_none() || security.user.is_some(),
            "--kafka-user (kafka.user): is missing, and there is a file with a password",
        ),
        (
            url.is_none_or(|url| url.starts_with("http://")),
            "--internal-url (kafka.internalUrl): must begin with http://",
        ),
        (
            !is_remote || setting.secret_file.is_some(),
            "--secret-file (kafka.secretFile): is needed, because other machines could reach \
             --internal-listen",
        ),
    ];
    let broken = rules.into_iter().filter(|(holds, _)| !holds);
    mistakes.extend(broken.map(|(_, mistake)| mistake.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(arguments: EngineArguments) -> Result<EngineSetting, Vec<String>> {
        arguments.setting(None, (Some(EngineName::Kafka), KafkaEntry::default()))
    }

    #[test]
    fn brokers_alone_will_do() {
        let arguments = EngineArguments {
            brokers: Some("a:9092,[::1]:9093".to_owned()),
            ..EngineArguments::default()
        };
        let expected = Box::new(KafkaSetting::local("a:9092,[::1]:9093"));
        assert_eq!(setting(arguments), Ok(EngineSetting::Kafka(expected)));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let arguments = EngineArguments {
            topic_prefix: Some("__a/".to_owned()),
            replication_factor: Some(2),
            min_insync_replicas: Some(3),
            internal_listen: Some(SocketAddr::from(([0, 0, 0, 0], 1))),
            internal_url: Some("https://a".to_owned()),
            kafka_key_file: Some("k".into()),
            kafka_ca_file: Some("c".into()),
            kafka_password_file: Some("p".into()),
            ..EngineArguments::default()
        };
        let mistakes = setting(arguments).unwrap_err();
        assert_eq!(mistakes.len(), 9, "{mistakes:#?}");
    }
}
