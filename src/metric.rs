//! Everything that is counted. Envoy shows these at `/stats` (as `wasmcustom.NAME`) and at
//! `/stats/prometheus`. `filter-config/README.md` documents them; a test keeps the two in step.

use std::borrow::Cow;

/// Counter, gauge or histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter only grows.
    Counter,
    /// A gauge is the sum of the present values of all workers.
    Gauge,
    /// A histogram shows how values are distributed.
    Histogram,
}

/// How labels stand in the name of an Envoy stat: Envoy's tags come out of names, by regular
/// expressions of its bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// `.label=value;.`, as the `stats_tags` of our own bootstraps expect it.
    #[default]
    Envoy,
    /// `.label=.=value;.;`, as Istio's bootstrap expects it of what `extraStatTags` names.
    Istio,
}

macro_rules! metrics {
    ($($variant:ident $kind:ident $name:literal $help:literal)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// All metrics, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name of the Envoy stat, with labels in the form [`Labels::Envoy`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns whether it is a counter, a gauge or a histogram.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// Returns what is counted, as a sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

metrics! {
    Accepted Counter "sluice_accepted_total"
        "Calls answered 202: stored on the Stream."
    RefusedBadOption Counter "sluice_refused.reason=bad_option;.total"
        "Marked requests refused: an option is wrong (400)."
    RefusedNotAllowed Counter "sluice_refused.reason=not_allowed;.total"
        "Marked requests refused: a target or reply address is not allowed (403)."
    RefusedNoRoute Counter "sluice_refused.reason=no_route;.total"
        "Marked requests refused: no such route (404)."
    RefusedTooLarge Counter "sluice_refused.reason=too_large;.total"
        "Marked requests refused: too large (413)."
    RefusedBadHead Counter "sluice_refused.reason=bad_head;.total"
        "Marked requests refused: a part of the head can't be sent (400), or it is too large (431)."
    RefusedKeyReused Counter "sluice_refused.reason=key_reused;.total"
        "Marked requests refused: the idempotency key stands for another request (422)."
    RefusedTooManyWaiting Counter "sluice_refused.reason=too_many_waiting;.total"
        "Marked requests refused: too many wait already, of all callers or of one (429)."
    RefusedTooManyDeferred Counter "sluice_refused.reason=too_many_deferred;.total"
        "Marked requests refused: their caller has too many calls that aren't due yet (429)."
    RefusedNotAsynchronous Counter "sluice_refused.reason=not_asynchronous;.total"
        "Marked requests refused: such a request can't be a call (501)."
    RefusedStreamUnavailable Counter "sluice_refused.reason=stream_unavailable;.total"
        "Marked requests refused: the Stream is unreachable, slow or refusing (503)."
    RepeatedRequests Counter "sluice_repeated_requests_total"
        "Requests whose idempotency key was known: answered with the first call's 202."
    ClientsGone Counter "sluice_clients_gone_total"
        "Clients that left before their answer; their calls may have been stored."
    WaitingRequests Gauge "sluice_waiting_requests"
        "Marked requests that wait for their body or for the Stream."
    Buffered Gauge "sluice_buffered_calls"
        "Calls answered 202 that aren't stored yet (`ack: immediate`)."
    Lost Counter "sluice_lost_calls_total"
        "Calls answered 202 that could not be stored in time (`ack: immediate`); alert on it."
    PublishedBatches Counter "sluice_published_batches_total"
        "PutMessages that the Stream answered with 200."
    PublishedRecords Counter "sluice_published_records_total"
        "Call records that the Stream has stored."
    PublishFailures Counter "sluice_publish_failures_total"
        "PutMessages that failed as a whole."
    Fetched Counter "sluice_fetched_records_total"
        "Records that the drain has read, repeated ones included."
    Delivered Counter "sluice_delivered_total"
        "Calls that their target answered with 2xx or 3xx."
    Attempts Counter "sluice_attempts_total"
        "Attempts made."
    Retried Counter "sluice_retried_total"
        "Attempts that failed and are followed by another one."
    SentAgain Counter "sluice_sent_again_total"
        "Attempts whose connection was closed before any answer and that were sent once more."
    GatewayFaults Counter "sluice_gateway_faults_total"
        "Attempts that the gateway itself could not make; they don't count as attempts."
    EnteredLanes Counter "sluice_entered_lanes_total"
        "Records put onto a lane: deferrals, long back-offs, hops from lane to lane."
    LeftLanes Counter "sluice_left_lanes_total"
        "Records that have waited long enough and went back to the calls."
    MovedAside Counter "sluice_moved_aside_total"
        "Calls put onto a lane because their target is too slow and they were in the way of others."
    RepeatedHops Counter "sluice_repeated_hops_total"
        "Records that came twice from another stream and were recognised."
    Rekeyed Counter "sluice_rekeyed_records_total"
        "Calls put again under their order key, because it was not their message key."
    Replies Counter "sluice_replies_total"
        "Replies put onto the stream of calls."
    Lateness Histogram "sluice_lateness_milliseconds"
        "From the moment at which a call was due to its first attempt."
    DeadRejected Counter "sluice_dead_lettered.reason=rejected;.total"
        "Dead letters: the target refused for good."
    DeadExhausted Counter "sluice_dead_lettered.reason=attempts_exhausted;.total"
        "Dead letters: all attempts failed."
    DeadUnreadable Counter "sluice_dead_lettered.reason=unreadable_record;.total"
        "Dead letters: the record can't be understood."
    DeadExpired Counter "sluice_dead_lettered.reason=expired;.total"
        "Dead letters: too old."
    DeadDenied Counter "sluice_dead_lettered.reason=denied;.total"
        "Dead letters: target or reply address not allowed."
    DeadTooMany Counter "sluice_dead_lettered.reason=too_many_waiting;.total"
        "Dead letters: too many calls wait for earlier ones of their order keys."
    DeadUnstorable Counter "sluice_dead_lettered.reason=unstorable;.total"
        "Dead letters: the Stream refuses to store the call again, or its reply."
    Unstorable Counter "sluice_unstorable_messages_total"
        "Hops, replies, notes and dead letters that the Stream refuses for good; the log has each."
    OutboxFailures Counter "sluice_outbox_failures_total"
        "PutMessages of hops, replies and dead letters that failed, if only in part."
    InFlight Gauge "sluice_calls_in_flight"
        "Attempts that wait for their target."
    Held Gauge "sluice_calls_held"
        "Unsettled calls in the drains' memory."
    Committed Counter "sluice_commits_total"
        "ConsumerCommits that the Stream answered with 200."
    Sessions Counter "sluice_group_sessions_total"
        "Group cursors created: starts, and recoveries from expired or invalid cursors."
    Memberships Gauge "sluice_group_memberships"
        "Groups of which this Envoy's drains are members, one for each stream; 0 if none."
    ActiveDrains Gauge "sluice_active_drains"
        "Workers whose drain has health checks, and so makes calls; 0 once the gateway leaves."
    LeftAttempts Counter "sluice_left_attempts_total"
        "Attempts that a leaving drain no longer waited for (`group.leaveMs`): in doubt."
    StreamFailures Counter "sluice_stream_failures_total"
        "Fetches, commits and heartbeats that failed."
    Unauthenticated Counter "sluice_stream_unauthenticated_total"
        "Answers 401 of the Stream: signature, clock or key; the log says which."
    PrincipalTokens Counter "sluice_principal_tokens_total"
        "Session tokens that were had (`stream.signing.principal`): one worker asks for all."
    PrincipalFailures Counter "sluice_principal_failures_total"
        "Session tokens that could not be had; the log says why. Alert when it grows."
    OutsideRetention Counter "sluice_group_outside_retention_total"
        "Groups moved on because the Stream no longer kept what was next: calls may be lost."
    Heartbeats Counter "sluice_drain_heartbeats_total"
        "Health checks that the drain has answered; alert when it stands still."
    AcceptMemory Gauge "sluice_accept_memory_bytes"
        "Wasm memory of the accept role. It never shrinks, and a VM that has trapped still counts."
    DrainMemory Gauge "sluice_drain_memory_bytes"
        "Wasm memory of the drain role. It never shrinks, and a VM that has trapped still counts."
}

impl Metric {
    /// Returns the name of the Envoy stat with labels in this form.
    #[must_use]
    pub fn name_with(self, labels: Labels) -> Cow<'static, str> {
        match labels {
            Labels::Envoy => self.name().into(),
            Labels::Istio => self.name().replace('=', "=.=").replace(";.", ";.;").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_in_the_form_that_was_asked_for() {
        let plain = Metric::DeadRejected;
        assert_eq!(
            plain.name_with(Labels::Envoy),
            "sluice_dead_lettered.reason=rejected;.total"
        );
        assert_eq!(
            plain.name_with(Labels::Istio),
            "sluice_dead_lettered.reason=.=rejected;.;total"
        );
        let without = Metric::Accepted;
        assert_eq!(without.name_with(Labels::Istio), without.name());
    }
}
