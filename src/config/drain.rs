//! The configuration of the drain role.

use std::time::Duration;

use super::reader::Section;
use super::{Document, StreamConfig};

/// What the drain is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainConfig {
    /// Where calls are read from.
    pub stream: StreamConfig,
    /// OCID of the stream of dead letters, reached as `stream` is.
    pub dead_stream_id: String,
    /// The Envoy cluster that leads back into the gateway.
    pub dispatch_cluster: String,
    /// The `Host` of calls whose record has none.
    pub default_authority: String,
    /// Membership in the consumer group.
    pub group: GroupConfig,
    /// How records are fetched and commits are made.
    pub fetch: FetchConfig,
    /// How much is held and made at once.
    pub window: WindowConfig,
    /// How often and how long a call is attempted.
    pub attempt: AttemptConfig,
}

/// Membership in the consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// The group's name; every drain of a stream has the same.
    pub name: String,
    /// After this long without a sign of life the Stream gives our partitions to others.
    pub timeout: Duration,
    /// A worker without a health check for this long stops fetching.
    pub lease: Duration,
}

/// How records are fetched and commits are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchConfig {
    /// Pause after an empty answer.
    pub idle_interval: Duration,
    /// Least time between two fetches.
    pub min_interval: Duration,
    /// Records in one answer.
    pub records_max: usize,
    /// Least time between two commits.
    pub commit_interval: Duration,
    /// Time limit of one request to the Stream.
    pub timeout: Duration,
}

/// How much is held and made at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowConfig {
    /// Calls in flight to targets.
    pub in_flight_max: usize,
    /// Attempts started in one turn of the worker's event loop.
    pub per_turn_max: usize,
    /// Unsettled calls in memory.
    pub calls_max: usize,
    /// Bytes of their records; one fetch may pass it.
    pub bytes_max: usize,
    /// Settled calls that wait for a commit, because an earlier one isn't settled.
    pub uncommitted_max: usize,
}

/// How often and how long a call is attempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptConfig {
    /// Time limit of one attempt.
    pub timeout: Duration,
    /// Attempts altogether.
    pub attempts_max: u32,
    /// Upper bound of the first back-off; it doubles with each attempt.
    pub backoff_base: Duration,
    /// Upper bound of every back-off.
    pub backoff_max: Duration,
    /// Longest Retry-After that is obeyed.
    pub retry_after_max: Duration,
}

impl Document for DrainConfig {
    fn read(root: &mut Section<'_>) -> Self {
        let stream = root.section("stream", StreamConfig::read);
        let dead_stream_id = root.section("deadLetters", |dead| {
            dead.required_text("streamId", "OCID of the stream of dead letters.")
        });
        let (dispatch_cluster, default_authority) = root.section("dispatch", |dispatch| {
            (
                dispatch.required_text(
                    "cluster",
                    "Envoy cluster that leads to the internal listener with the gateway's routes.",
                ),
                dispatch.text(
                    "defaultAuthority",
                    "sluice.invalid",
                    "Host of calls whose record has no authority.",
                ),
            )
        });
        Self {
            stream,
            dead_stream_id,
            dispatch_cluster,
            default_authority,
            group: root.section("group", GroupConfig::read),
            fetch: root.section("fetch", FetchConfig::read),
            window: root.section("window", WindowConfig::read),
            attempt: root.section("attempt", AttemptConfig::read),
        }
    }
}

impl GroupConfig {
    fn read(group: &mut Section<'_>) -> Self {
        Self {
            name: group.text("name", "sluice", "Consumer group; the same for all drains."),
            timeout: group.duration_ms(
                "timeoutMs",
                1_000..=600_000,
                10_000,
                "After this long without a sign of life the Stream gives this drain's partitions \
                 to others. OCI documents 5000 as the least.",
            ),
            lease: group.duration_ms(
                "leaseMs",
                1_000..=600_000,
                10_000,
                "A worker that got no health check for this long stops fetching.",
            ),
        }
    }
}

impl FetchConfig {
    fn read(fetch: &mut Section<'_>) -> Self {
        Self {
            idle_interval: fetch.duration_ms(
                "idleIntervalMs",
                5..=60_000,
                250,
                "Pause after an empty answer. A call accepted in the same Envoy ends it at once.",
            ),
            min_interval: fetch.duration_ms(
                "minIntervalMs",
                0..=60_000,
                0,
                "Least time between two fetches. OCI allows 5 a second per partition and group: \
                 200.",
            ),
            records_max: fetch.count(
                "records",
                1..=10_000,
                256,
                "records",
                "Records asked for in one fetch.",
            ),
            commit_interval: fetch.duration_ms(
                "commitIntervalMs",
                0..=60_000,
                50,
                "Least time between two commits. OCI allows 5 a second: 200.",
            ),
            timeout: fetch.duration_ms(
                "timeoutMs",
                100..=60_000,
                5_000,
                "Time limit of one request to the Stream.",
            ),
        }
    }
}

impl WindowConfig {
    fn read(window: &mut Section<'_>) -> Self {
        Self {
            in_flight_max: window.count(
                "inFlight",
                1..=10_000,
                64,
                "calls",
                "Calls in flight to targets, per drain.",
            ),
            per_turn_max: window.count(
                "perTurn",
                1..=10_000,
                8,
                "calls",
                "Attempts started in one turn of the worker's event loop. Clients' requests go on \
                 between two turns, so a smaller number leaves them more of a busy worker.",
            ),
            calls_max: window.count(
                "calls",
                1..=100_000,
                1_024,
                "calls",
                "Unsettled calls held in memory, per drain; at the limit nothing is fetched.",
            ),
            bytes_max: window.count(
                "bytes",
                1_048_576..=536_870_912,
                16_777_216,
                "bytes",
                "Bytes of the records held; at the limit nothing is fetched. One answer of the \
                 Stream may pass it.",
            ),
            uncommitted_max: window.count(
                "uncommitted",
                1..=1_000_000,
                20_000,
                "calls",
                "Settled calls that wait for an earlier one before they can be committed; at the \
                 limit nothing is fetched.",
            ),
        }
    }
}

impl AttemptConfig {
    fn read(attempt: &mut Section<'_>) -> Self {
        Self {
            timeout: attempt.duration_ms(
                "timeoutMs",
                100..=300_000,
                30_000,
                "Time limit of one attempt.",
            ),
            attempts_max: u32::try_from(attempt.integer(
                "attempts",
                1..=1_000,
                20,
                "attempts",
                "Attempts before a call becomes a dead letter.",
            ))
            .unwrap_or(u32::MAX),
            backoff_base: attempt.duration_ms(
                "backoffBaseMs",
                1..=60_000,
                250,
                "Upper bound of the first back-off; it doubles with each attempt, and the wait is \
                 random below it (full jitter).",
            ),
            backoff_max: attempt.duration_ms(
                "backoffMaxMs",
                1..=600_000,
                10_000,
                "Upper bound of every back-off.",
            ),
            retry_after_max: attempt.duration_ms(
                "retryAfterMaxMs",
                0..=600_000,
                60_000,
                "Longest Retry-After that is obeyed; a longer one is cut to this.",
            ),
        }
    }
}
