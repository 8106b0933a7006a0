//! What librdkafka tells beside the results of operations: why it can't connect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Brokers that end connections for so long don't just start.
const CERTAIN: Duration = Duration::from_secs(5);
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
    ]) {
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

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Problems>);

/// Why brokers can't be used.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    /// A broker refuses this client, or this client a broker: the settings are to blame.
    pub(super) refusal: Option<Unconnected>,
    /// The latest failure of another kind, and when the first one of these was told.
    pub(super) connection: Option<(Instant, String)>,
}

impl Told {
    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut problems = self.problems();
        if is_refusal {
            if problems.refusal.is_none() {
                tracing::warn!("Kafka: {reason}");
            }
            problems.refusal = Some(Unconnected::other(reason.to_owned()));
        } else {
            tracing::debug!("Kafka: {error}: {reason}");
            let first = problems.connection.take().map(|(first, _)| first);
            let first = first.unwrap_or_else(Instant::now);
            problems.connection = Some((first, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Told {}

impl Problems {
    /// Returns why there is no sense in trying longer, if there is none.
    pub(super) fn decided(&self) -> Option<Unconnected> {
        let lasting = |(first, problem): &(Instant, String)| {
            let is_known = change(problem).is_some() && first.elapsed() >= CERTAIN;
            is_known.then(|| Unconnected::other(problem.clone()))
        };
        let refusal = self.refusal.clone();
        refusal.or_else(|| self.connection.as_ref().and_then(lasting))
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
