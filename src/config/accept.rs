//! The configuration of the accept role.

use std::time::Duration;

use super::key::TextForm;
use super::lanes::read_lanes;
use super::metrics::read_metric_labels;
use super::names::read_sealed_headers;
use super::reader::Section;
use super::{Document, options};
use crate::accept::config::{
    AcceptConfig, AcceptLimits, BufferLimits, IdempotencyConfig, PublishConfig,
};
use crate::caller::CallersConfig;
use crate::egress::TargetsConfig;
use crate::idempotency::KEYS_PER_SLOT;
use crate::limits::{PUT_BYTES_MAX, RECORD_BYTES_MAX};
use crate::stream::StreamConfig;

impl Document for AcceptConfig {
    fn read(root: &mut Section<'_>) -> Self {
        let stream = root.section("stream", StreamConfig::read);
        let (triggers, options) = options::read(root);
        Self {
            stream,
            triggers,
            normal_paths: root.section("paths", read_normal_paths),
            options,
            publish: root.section("publish", PublishConfig::read),
            limits: root.section("limits", AcceptLimits::read),
            callers: root.section("callers", CallersConfig::read),
            idempotency: root.section("idempotency", IdempotencyConfig::read),
            lanes: read_lanes(root),
            targets: TargetsConfig::read(root),
            sealed_headers: read_sealed_headers(root),
            drain_vm_id: root.section("drain", |drain| {
                drain.text(
                    "vmId",
                    "sluice-drain",
                    "vm_id of the drain that is woken after a publish.",
                )
            }),
            metric_labels: read_metric_labels(root),
        }
    }
}

fn read_normal_paths(paths: &mut Section<'_>) -> bool {
    paths.flag(
        "normal",
        true,
        "Whether a marked request is refused whose path Envoy's normalization would change: where \
         it is called it would not be the path that your filters have judged. Where the gateway's \
         listener normalizes, that are few and odd ones. False is for gateways where neither that \
         listener nor dispatch does.",
    )
}

impl IdempotencyConfig {
    fn read(idempotency: &mut Section<'_>) -> Self {
        let window = Duration::from_secs(idempotency.integer(
            "windowSeconds",
            60..=604_800,
            86_400,
            "seconds",
            "How long a key is known after its call was accepted.",
        ));
        let keys = idempotency.integer(
            "keys",
            8..=1_048_576,
            8_192,
            "keys",
            "Keys known at a time, some 500 bytes each, in one Envoy process. Beyond that the \
             oldest are forgotten early. A change counts for new processes.",
        );
        idempotency.withdrawn(
            "scopeHeaders",
            "was removed: name these headers in callers.headers, which tells callers apart \
             for everything",
        );
        let slots = keys.div_ceil(KEYS_PER_SLOT as u64);
        Self {
            window,
            slots: u32::try_from(slots).unwrap_or(1),
        }
    }
}

impl PublishConfig {
    fn read(publish: &mut Section<'_>) -> Self {
        let buffer = Self::read_ack(publish);
        Self {
            buffer,
            timeout: publish.duration_ms(
                "timeoutMs",
                100..=60_000,
                5_000,
                "How long a client waits for the Stream before it gets 503.",
            ),
            batch_records_max: publish.count(
                "batchRecords",
                1..=1_000,
                256,
                "records",
                "Records in one PutMessages; a batch leaves when it is full or when nothing is in \
                 flight.",
            ),
            batch_bytes_max: publish.count(
                "batchBytes",
                1_024..=PUT_BYTES_MAX as u64,
                PUT_BYTES_MAX as u64,
                "bytes",
                "Bytes of records in one PutMessages, before base64. A single larger record goes \
                 alone.",
            ),
            in_flight_max: publish.count(
                "inFlight",
                1..=64,
                4,
                "requests",
                "Open PutMessages of one worker. A further one starts when its batch is full, or \
                 has half as many records as are under way.",
            ),
        }
    }
}

impl PublishConfig {
    fn read_ack(publish: &mut Section<'_>) -> Option<BufferLimits> {
        let ack = publish.text(
            "ack",
            "durable",
            "When a call is answered 202: `durable`, once the Stream has stored it; `immediate`, \
             before that, from memory, which a crash of Envoy empties: calls with a 202 are lost \
             then.",
        );
        publish.declare_form(TextForm::OneOf(vec!["durable", "immediate"]));
        let is_immediate = match ack.as_str() {
            "durable" => false,
            "immediate" => true,
            _ => {
                publish.refuse("ack", "must be durable or immediate".to_owned());
                false
            }
        };
        let limits = publish.section("buffer", |buffer| BufferLimits {
            calls_max: buffer.count(
                "calls",
                1..=1_000_000,
                10_000,
                "calls",
                "With `immediate`: calls that one worker keeps until the Stream has stored them; \
                 further ones get 429. One caller may have twice as many as are left free.",
            ),
            bytes_max: buffer.count(
                "bytes",
                RECORD_BYTES_MAX as u64..=1 << 30,
                33_554_432,
                "bytes",
                "With `immediate`: bytes of the records of these calls.",
            ),
            age_max: Duration::from_secs(buffer.integer(
                "ageSeconds",
                1..=86_400,
                600,
                "seconds",
                "With `immediate`: how long it is tried to store a call. After that it is lost, \
                 which is logged and counted.",
            )),
        });
        is_immediate.then_some(limits)
    }
}

impl AcceptLimits {
    fn read(limits: &mut Section<'_>) -> Self {
        Self {
            body_bytes_max: limits.count(
                "bodyBytes",
                0..=RECORD_BYTES_MAX as u64,
                655_360,
                "bytes",
                "Largest body of a marked request. Keep it below the listener's \
                 per_connection_buffer_limit_bytes; in a record, binary bodies grow by a third.",
            ),
            waiting_requests_max: limits.count(
                "waitingRequests",
                1..=1_000_000,
                20_000,
                "requests",
                "Marked requests that wait in one worker for their body or for the Stream; \
                 further ones get 429. One caller may have twice as many as are left free: two \
                 thirds of them at most.",
            ),
            waiting_bytes_max: limits.count(
                "waitingBytes",
                2_097_152..=536_870_912,
                268_435_456,
                "bytes",
                "Bytes of the heads (32 more for each field) and bodies of these requests; beyond \
                 that a request gets 429, and one caller beyond twice what is left free. \
                 Bodies are in Envoy's memory, heads in the filter's, which never shrinks.",
            ),
            retry_after: Duration::from_secs(limits.integer(
                "retryAfterSeconds",
                1..=3_600,
                2,
                "seconds",
                "Retry-After of 429 and 503.",
            )),
        }
    }
}
