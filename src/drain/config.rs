//! The configuration of the drain.

use std::time::Duration;

use crate::drain::outcome::OutcomeTable;
use crate::drain::retry::RetryPolicy;
use crate::drain::target_queue::TargetLimits;
use crate::egress::TargetsConfig;
use crate::lanes::Lanes;
use crate::metric::Labels;
use crate::record::names::NameList;
use crate::stream::StreamConfig;

/// The configuration of the drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainConfig {
    /// Where calls are read from.
    pub stream: StreamConfig,
    /// OCID of the stream of dead letters, reached as `stream` is.
    pub dead_stream_id: String,
    /// Where attempts are sent.
    pub dispatch: DispatchConfig,
    /// Where calls and replies may go besides the gateway's own routes.
    pub targets: TargetsConfig,
    /// Headers of replies whose values are sealed where they are stored.
    pub sealed_headers: NameList,
    /// Membership in the consumer group.
    pub group: GroupConfig,
    /// How records are fetched and commits are made.
    pub fetch: FetchConfig,
    /// How much is held and made at once.
    pub window: WindowConfig,
    /// Where calls wait that are not due yet.
    pub lanes: Lanes,
    /// How often and how long a call is attempted.
    pub attempt: RetryPolicy,
    /// What the results of attempts mean.
    pub outcomes: OutcomeTable,
    /// The limits of one target.
    pub limits: TargetLimits,
    /// The `vm_id` of the accept role that learns which idempotency keys are free again.
    pub accept_vm_id: String,
    /// How labels stand in the names of metrics.
    pub metric_labels: Labels,
}

/// Where attempts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchConfig {
    /// The Envoy cluster that leads back into the gateway.
    pub cluster: String,
    /// The cluster that leads to explicit `https` targets; `None` if there are no such calls.
    pub https_cluster: Option<String>,
    /// The cluster that leads to explicit `http` targets; `None` if there are no such calls.
    pub http_cluster: Option<String>,
    /// The `Host` of calls whose record has none.
    pub default_authority: String,
    /// The `Host` of every reply to a path on this gateway, whatever its record says.
    pub reply_authority: String,
    /// Bytes of a response that a reply carries.
    pub reply_bytes_max: usize,
}

/// Membership in the consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// The group's name; every drain of a stream has the same.
    pub name: String,
    /// After this long without a sign of life the Stream gives this drain's partitions to others.
    pub timeout: Duration,
    /// A worker without a health check for this long stops fetching.
    pub lease: Duration,
    /// After that, a worker waits this long for the attempts under way. Then it leaves them in
    /// doubt, so that the calls of others can be committed.
    pub leave: Duration,
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
    /// Bytes of their records. A single fetch may exceed it.
    pub bytes_max: usize,
    /// Settled calls that can't be committed yet, because an earlier one isn't settled.
    pub uncommitted_max: usize,
    /// How long the first call of a full queue waits before the others are moved onto a lane.
    pub patience: Duration,
    /// Records of one lane held in memory.
    pub lane_records_max: usize,
    /// Calls with order keys that are known to be away on lanes.
    pub parked_calls_max: usize,
}
