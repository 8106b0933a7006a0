//! librdkafka's settings for each kind of client.

use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::kafka::checks::{BATCH_BYTES_MAX, SENT_BYTES_MAX};
use crate::kafka::topic_log::LogError;
use crate::limits::VALUE_BYTES_MAX;
use crate::settings::KafkaSetting;

/// Names the password's variable, for those who don't give a file.
const PASSWORD_VARIABLE: &str = "STREAM_SERVER_KAFKA_PASSWORD";

/// Bytes that a broker is asked for at a time. A first batch that is larger comes whole.
const FETCH_BYTES: usize = 4 * VALUE_BYTES_MAX;
/// Bytes of one answer at most, and those that a batch of zstd may unpack to. A topic whose batches
/// may be larger is unfit: its reads would end here for ever.
const RECEIVE_BYTES_MAX: usize = BATCH_BYTES_MAX + FETCH_BYTES;

/// librdkafka assigns partitions only to a consumer that names a group. It never joins it.
const GROUP: &str = "stream-server";

/// Returns what all clients share.
pub(super) fn common(setting: &KafkaSetting) -> Result<ClientConfig, LogError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &setting.brokers)
        .set("client.id", "stream-server")
        // A broker that was stopped keeps its connections and answers nothing. Requests that wait
        // for it fail after this time, and go to the next leader.
        .set("socket.timeout.ms", "5000")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        // A broker that doesn't know a new topic yet is asked again after this time. The default is
        // five minutes.
        .set("topic.metadata.refresh.interval.ms", "5000")
        // Its log would wait in the same queue as its errors, and nobody wants it.
        .set_log_level(RDKafkaLogLevel::Emerg);
    let security = &setting.security;
    let protocol = match (security.tls, security.user.is_some()) {
        (false, false) => "PLAINTEXT",
        (false, true) => "SASL_PLAINTEXT",
        (true, false) => "SSL",
        (true, true) => "SASL_SSL",
    };
    config.set("security.protocol", protocol);
    let files = [
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            config.set(name, file.display().to_string());
        }
    }
    if let Some(user) = &security.user {
        config
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", user)
            .set(
                "sasl.password",
                password(security.password_file.as_deref())?,
            );
    }
    Ok(config)
}

fn password(file: Option<&Path>) -> Result<String, LogError> {
    let missing = |problem: String| LogError::Refused(problem);
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| missing(format!("the file {}: {error}", file.display())))?,
        None => std::env::var(PASSWORD_VARIABLE).map_err(|_| {
            missing(format!(
                "no password: name its file, or set {PASSWORD_VARIABLE}"
            ))
        })?,
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Returns the settings of the producer of messages.
///
/// A broker works on one request of a connection at a time, so nothing is lost if a second one
/// waits here: whatever comes meanwhile goes with it. What it costs is the same for one message and
/// for a hundred. The pause lets the messages of one PutMessages, and those of clients that were
/// answered at the same time, go together. librdkafka rounds it up to the next millisecond.
pub(super) fn producing(common: &ClientConfig) -> ClientConfig {
    let mut config = producing_one_by_one(common);
    config
        .set("linger.ms", "1")
        .set("max.in.flight.requests.per.connection", "1");
    config
}

/// Returns the settings of a producer that sends each record at once: what is acknowledged is on as
/// many replicas as the topic demands, once, and in order.
pub(super) fn producing_one_by_one(common: &ClientConfig) -> ClientConfig {
    let mut config = common.clone();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("batch.size", SENT_BYTES_MAX.to_string())
        // The default is less than the largest message. Kafka's own frame comes on top.
        .set("message.max.bytes", (2 * VALUE_BYTES_MAX).to_string())
        // A leader's death takes up to 13 s with the brokers' defaults. Shorter times would give
        // up what is about to succeed.
        .set("message.timeout.ms", "30000")
        // A topic that somebody has deleted doesn't come back with the brokers' own settings.
        .set("allow.auto.create.topics", "false")
        // Whoever publishes takes a share of `WAITING_BYTES_MAX` first, which is less than this.
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "131072");
    config
}

/// Returns what all consumers share.
///
/// All records are seen, those of open and aborted transactions too. Otherwise any client that
/// begins a transaction and leaves it open would hide all messages that come after it, for as long
/// as the brokers let it (15 minutes by default), again and again.
fn asking(common: &ClientConfig) -> ClientConfig {
    let mut config = common.clone();
    config
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_uncommitted");
    config
}

/// Returns the settings of the consumer that only asks, and is told why it can't connect: some of
/// that stands in the log alone.
pub(super) fn told(common: &ClientConfig) -> ClientConfig {
    let mut config = asking(common);
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// Returns the settings of consumers that read a little, from anywhere.
pub(super) fn reading(common: &ClientConfig) -> ClientConfig {
    let mut config = asking(common);
    config
        .set("group.id", GROUP)
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "1")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.min.messages", "1")
        // Otherwise a partition that was just read isn't read again for a second.
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", VALUE_BYTES_MAX.to_string());
    bounded(&mut config);
    config
}

/// Bounds what comes from a broker at a time.
fn bounded(config: &mut ClientConfig) {
    config
        .set("fetch.max.bytes", FETCH_BYTES.to_string())
        .set("receive.message.max.bytes", RECEIVE_BYTES_MAX.to_string());
}

/// Returns the settings of consumers that follow.
pub(super) fn following(common: &ClientConfig) -> ClientConfig {
    let mut config = asking(common);
    config
        .set("group.id", GROUP)
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.max.messages.kbytes", "8192");
    bounded(&mut config);
    config
}
