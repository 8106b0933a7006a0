//! The configuration of the drain role.

use super::Document;
use super::attempt::{read_outcomes, read_retry_policy, read_target_limits};
use super::lanes::read_lanes;
use super::metrics::read_metric_labels;
use super::names::read_sealed_headers;
use super::reader::Section;
use crate::drain::config::{DispatchConfig, DrainConfig, FetchConfig, GroupConfig, WindowConfig};
use crate::egress::TargetsConfig;
use crate::limits::REPLY_BODY_BYTES_MAX;
use crate::record::grammar::is_authority;
use crate::stream::StreamConfig;

impl Document for DrainConfig {
    fn read(root: &mut Section<'_>) -> Self {
        let stream = root.section("stream", StreamConfig::read);
        let dead_stream_id = root.section("deadLetters", |dead| {
            dead.required_text("streamId", "OCID of the stream of dead letters.")
        });
        let dispatch = root.section("dispatch", DispatchConfig::read);
        let targets = TargetsConfig::read(root);
        if targets.signs() && stream.signing.is_none() {
            let message = "has a rule with sign: oci, but there is no stream.signing to sign by";
            root.refuse("targets", message.to_owned());
        }
        Self {
            stream,
            dead_stream_id,
            dispatch,
            targets,
            sealed_headers: read_sealed_headers(root),
            group: root.section("group", GroupConfig::read),
            fetch: root.section("fetch", FetchConfig::read),
            window: root.section("window", WindowConfig::read),
            lanes: read_lanes(root),
            attempt: root.section("attempt", read_retry_policy),
            outcomes: root.section("outcomes", read_outcomes),
            limits: root.section("limits", read_target_limits),
            accept_vm_id: root.section("accept", |accept| {
                accept.text(
                    "vmId",
                    "sluice-accept",
                    "vm_id of the accept filter, which learns here which idempotency keys are free \
                     again.",
                )
            }),
            metric_labels: read_metric_labels(root),
        }
    }
}

impl DispatchConfig {
    fn read(dispatch: &mut Section<'_>) -> Self {
        let default_authority = dispatch.text(
            "defaultAuthority",
            "sluice.invalid",
            "Host of calls whose record has no authority.",
        );
        if !is_authority(&default_authority) {
            let message = "must be a host, with a port or without".to_owned();
            dispatch.refuse("defaultAuthority", message);
        }
        let reply_authority = dispatch.optional_text(
            "replyAuthority",
            "Host of all replies to paths on this gateway; none: `defaultAuthority`. It has to be \
             one that your routes know.",
        );
        let reply_authority = reply_authority.unwrap_or_else(|| default_authority.clone());
        if !is_authority(&reply_authority) {
            let message = "must be a host, with a port or without".to_owned();
            dispatch.refuse("replyAuthority", message);
        }
        dispatch.withdrawn(
            "http2Cluster",
            "is no longer needed: each call has a connection of its own, so that no call can break \
             another one's; remove it, and the cluster that it names",
        );
        Self {
            cluster: dispatch.required_text(
                "cluster",
                "Envoy cluster that leads to the internal listener with the gateway's routes.",
            ),
            https_cluster: dispatch.optional_text(
                "httpsCluster",
                "Envoy cluster that leads to the internal listener for explicit https targets; \
                 without it they become dead letters.",
            ),
            http_cluster: dispatch
                .optional_text("httpCluster", "The same for explicit http targets."),
            default_authority,
            reply_authority,
            reply_bytes_max: dispatch.count(
                "replyBytes",
                0..=REPLY_BODY_BYTES_MAX as u64,
                65_536,
                "bytes",
                "Bytes of a response that a reply carries; more are cut off, and the reply says \
                 so.",
            ),
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
                5_000,
                "A worker that got no health check for this long begins no attempt and leaves the \
                 group.",
            ),
            leave: group.duration_ms(
                "leaveMs",
                0..=3_600_000,
                40_000,
                "How long a worker that leaves waits for attempts under way. Calls that have no \
                 answer then are made again, and no others.",
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
                256,
                "calls",
                "Calls in flight to all targets together, per drain.",
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
                 Stream may pass it. Calls in flight hold half of it at most.",
            ),
            uncommitted_max: window.count(
                "uncommitted",
                1..=1_000_000,
                20_000,
                "calls",
                "Settled calls that wait for an earlier one before they can be committed; at the \
                 limit nothing is fetched.",
            ),
            patience: window.duration_ms(
                "patienceMs",
                10..=600_000,
                1_000,
                "A target whose calls would wait for longer than this, at the pace of the last \
                 quarter of it, is too slow: what waits for such targets in more than half of the \
                 window is moved onto lanes and comes again later.",
            ),
            lane_records_max: window.count(
                "laneRecords",
                1..=10_000,
                256,
                "records",
                "Records of each lane held in memory, per drain.",
            ),
            parked_calls_max: window.count(
                "parkedCalls",
                1..=8_192,
                8_192,
                "calls",
                "Calls with order keys that wait on lanes, for their time or for earlier ones of \
                 their key, per drain. A key gets no more than it leaves to others, and 8 at \
                 least; what is too many becomes a dead letter. With what a drain takes over from \
                 others it is twice as many.",
            ),
        }
    }
}
