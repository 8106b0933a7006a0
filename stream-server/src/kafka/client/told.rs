//! What librdkafka tells beside the results of operations: why it can't connect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Brokers that end connections for so long don't just start.
const CERTAIN: Duration = Duration::from_secs(5);
/// Failures that lie further apart have nothing to do with each other: librdkafka tells a lasting
/// one each 30 s.
const APART: Duration = Duration::from_secs(60);
/// A broker that expects another protocol ends a connection within this time. So does librdkafka
/// judge.
const AT_ONCE_MS: u64 = 2_000;
/// Events that are taken at a time.
const EVENTS_MAX: usize = 64;

/// A consumer that only asks.
pub(super) type Asking = BaseConsumer<Told>;

/// What to change if brokers refuse the user.
const USER: &str = "Correct --kafka-user, or the password in the file of --kafka-password-file or \
    in STREAM_SERVER_KAFKA_PASSWORD";
/// What to change if a broker's certificate isn't trusted.
const AUTHORITY: &str = "Name the authority of the brokers' certificates with --kafka-ca-file, and \
    the brokers in --brokers by the names that are in their certificates";
/// What to change if brokers don't trust this server's certificate, or miss it.
const CERTIFICATE: &str = "Give this server a certificate that the brokers trust, with \
    --kafka-certificate-file and --kafka-key-file";
/// What to change if brokers speak another protocol.
const PROTOCOL: &str = "Give --kafka-tls if the listener of the brokers has TLS, and only then; \
    and --kafka-user if it wants a user, and only then";
/// What to change if nothing else is known.
const BROKERS: &str = "Correct --brokers, or start the brokers";

/// Why brokers can't be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unconnected {
    /// What librdkafka says.
    pub(crate) problem: String,
    /// What the operator has to change.
    pub(crate) change: &'static str,
}

impl Unconnected {
    /// Returns a reason that may pass by itself.
    pub(super) fn other(problem: String) -> Self {
        let change = change(&problem).unwrap_or(BROKERS);
        Self { problem, change }
    }
}

/// Returns what to change for a problem that librdkafka describes so, if that is known.
fn change(reason: &str) -> Option<&'static str> {
    let is = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if is(&[
        "security.protocol",
        "ApiVersion",
        "PLAINTEXT broker listener",
        "wrong version number",
        // What TLS answers to plain text isn't Kafka's.
        "Invalid response size",
    ]) || is_ended_at_once(reason)
    {
        return Some(PROTOCOL);
    }
    if is(&[
        "certificate verify failed",
        "certificate could not be verified",
    ]) {
        return Some(AUTHORITY);
    }
    if is(&["SASL authentication", "SaslHandshake", "SASL mechanism"]) {
        return Some(USER);
    }
    is(&["alert", "SSL"]).then_some(CERTIFICATE)
}

/// Returns whether a broker has ended a connection without a word, as soon as it was asked
/// something: `Disconnected: … (after 3ms in state APIVERSION_QUERY)`. It expects TLS, no
/// TLS, or a user.
fn is_ended_at_once(reason: &str) -> bool {
    let ended = reason.split_once("Disconnected");
    let after = ended.and_then(|(_, rest)| rest.split_once("(after "));
    let Some((ms, rest)) = after.and_then(|(_, rest)| rest.split_once("ms in state ")) else {
        return false;
    };
    let is_asked = ["SSL_HANDSHAKE", "APIVERSION_QUERY", "UP"]
        .iter()
        .any(|state| rest.starts_with(state));
    is_asked && ms.parse().is_ok_and(|ms: u64| ms < AT_ONCE_MS)
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Problems>);

/// Why brokers can't be used.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    /// A broker refuses this client, or this client a broker: the settings are to blame.
    pub(super) refusal: Option<Unconnected>,
    /// The latest failure of another kind.
    pub(super) connection: Option<Failure>,
}

/// Why a connection has failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What librdkafka says.
    pub(super) problem: String,
    /// What the operator has to change, if that is known.
    change: Option<&'static str>,
    /// When the first one of this kind was told: with a change that is known, or without.
    first: Instant,
    latest: Instant,
}

impl Failure {
    /// Returns the failure that follows on this one.
    fn after(before: Option<Self>, problem: &str) -> Self {
        let (change, latest) = (change(problem), Instant::now());
        // A refusal may look in one way or the other. What isn't known to be one may pass.
        let is_one = |one: &Self| {
            let are_alike = one.change.is_some() == change.is_some();
            are_alike && one.latest.elapsed() < APART
        };
        let first = before.filter(is_one).map_or(latest, |one| one.first);
        Self {
            problem: problem.to_owned(),
            change,
            first,
            latest,
        }
    }

    /// Returns what to change, if that is known and it doesn't pass by itself.
    fn lasting(&self) -> Option<Unconnected> {
        let change = self.change.filter(|_| self.first.elapsed() >= CERTAIN)?;
        Some(Unconnected {
            problem: self.problem.clone(),
            change,
        })
    }
}

impl Told {
    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, problem: &str) {
        let mut problems = self.problems();
        let failure = Failure::after(problems.connection.take(), problem);
        match failure.lasting() {
            Some(Unconnected { problem, change }) => tracing::warn!("Kafka: {problem}. {change}"),
            None => tracing::debug!("Kafka: {problem}"),
        }
        problems.connection = Some(failure);
    }
}

impl ClientContext for Told {
    fn error(&self, error: KafkaError, reason: &str) {
        let is_refusal = match error.rdkafka_error_code() {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => true,
            // A broker that just ends does this too.
            Some(Code::SSL) => !reason.contains("Disconnected"),
            Some(_) | None => false,
        };
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            // That one can't be reached says more.
            return;
        }
        if !is_refusal {
            return self.failed(reason);
        }
        let mut problems = self.problems();
        if problems.refusal.is_none() {
            tracing::warn!("Kafka: {reason}");
        }
        problems.refusal = Some(Unconnected::other(reason.to_owned()));
    }

    /// A connection that a broker ends is no error to librdkafka: only its log has it. The log's
    /// errors come as errors too.
    fn log(&self, level: Level, facility: &str, message: &str) {
        if facility == "FAIL" && matches!(level, Level::Warning | Level::Notice | Level::Info) {
            // The thread's name stands before it.
            let message = message.split_once("]: ").map_or(message, |(_, rest)| rest);
            self.failed(message);
        }
    }
}

impl ConsumerContext for Told {}

impl Problems {
    /// Returns why there is no sense in trying longer, if there is none.
    pub(super) fn decided(&self) -> Option<Unconnected> {
        let refusal = self.refusal.clone();
        refusal.or_else(|| self.connection.as_ref().and_then(Failure::lasting))
    }
}

/// Returns what was told until now. Otherwise it would be kept until somebody wants it.
pub(super) fn problems(asking: &Asking) -> Problems {
    for _ in 0..EVENTS_MAX {
        // `None` may be an event too, and the queue is looked at in no time.
        drop(asking.poll(Duration::ZERO));
    }
    let context = rdkafka::consumer::Consumer::context(asking);
    context.problems().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_change_follows_from_what_librdkafka_says() {
        for (reason, expected) in [
            (
                "SASL authentication error: Authentication failed",
                Some(USER),
            ),
            (
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed",
                Some(AUTHORITY),
            ),
            (
                "might be caused by incorrect security.protocol configuration (connecting to a \
                 SSL listener?)",
                Some(PROTOCOL),
            ),
            (
                "127.0.0.1:1/bootstrap: Disconnected: connection closed by peer: receive 0 after \
                 POLLIN (after 1ms in state APIVERSION_QUERY)",
                Some(PROTOCOL),
            ),
            (
                "127.0.0.1:1/1: Disconnected (after 0ms in state UP, 1 identical error(s) \
                 suppressed)",
                Some(PROTOCOL),
            ),
            (
                "Receive failed: Invalid response size 352518912 (0..100000000)",
                Some(PROTOCOL),
            ),
            (
                "ssl://127.0.0.1:1/bootstrap: Disconnected: SSL connection closed by peer \
                 (after 1ms in state SSL_HANDSHAKE)",
                Some(PROTOCOL),
            ),
            (
                "127.0.0.1:1/1: Disconnected (after 600000ms in state UP)",
                None,
            ),
            (
                "tlsv13 alert certificate required: SSL alert number 116",
                Some(CERTIFICATE),
            ),
            (
                "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
                None,
            ),
        ] {
            assert_eq!(change(reason), expected, "{reason}");
        }
    }
}
