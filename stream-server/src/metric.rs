//! What the server counts, as Prometheus reads it. The table of `docs/stream-server.md` lists them.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::limits::LAG_SERIES_MAX;

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: u16,
}

/// Labels of a group's place in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LagLabels {
    pub(crate) stream: String,
    pub(crate) group: String,
    pub(crate) partition: u32,
}

/// Values that are only computed when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) groups: usize,
    pub(crate) members: usize,
    pub(crate) database_bytes: u64,
    pub(crate) lags: Vec<(LagLabels, u64)>,
}

/// All counters of one server. Cheap to count, and shared by its threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    pub(crate) stored: Counter,
    pub(crate) stored_bytes: Counter,
    pub(crate) read: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) removed: Counter,
    pub(crate) failed: Counter,
    writes: Histogram,
    seconds: Histogram,
    pub(crate) connections: Gauge<i64, AtomicI64>,
    pub(crate) displaced: Counter,
    groups: Gauge<i64, AtomicI64>,
    members: Gauge<i64, AtomicI64>,
    database: Gauge<i64, AtomicI64>,
    lag: Family<LagLabels, Gauge<i64, AtomicI64>>,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("stream_server"),
            requests: Family::default(),
            stored: Counter::default(),
            stored_bytes: Counter::default(),
            read: Counter::default(),
            read_bytes: Counter::default(),
            removed: Counter::default(),
            failed: Counter::default(),
            writes: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            connections: Gauge::default(),
            displaced: Counter::default(),
            groups: Gauge::default(),
            members: Gauge::default(),
            database: Gauge::default(),
            lag: Family::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register(
            "requests",
            "Requests, by operation and status",
            self.requests.clone(),
        );
        to.register(
            "messages_stored",
            "Messages that are durable",
            self.stored.clone(),
        );
        to.register(
            "messages_stored_bytes",
            "Bytes of their values",
            self.stored_bytes.clone(),
        );
        to.register(
            "messages_read",
            "Messages read for clients",
            self.read.clone(),
        );
        to.register(
            "messages_read_bytes",
            "Bytes of their values",
            self.read_bytes.clone(),
        );
        to.register(
            "messages_removed",
            "Messages that retention removed",
            self.removed.clone(),
        );
        to.register(
            "transactions_failed",
            "Transactions that failed",
            self.failed.clone(),
        );
        to.register(
            "transaction_writes",
            "Writes of one transaction",
            self.writes.clone(),
        );
        let help = "Time of one transaction, to the disk and back";
        to.register("transaction_seconds", help, self.seconds.clone());
        to.register(
            "connections_open",
            "Connections of clients",
            self.connections.clone(),
        );
        to.register(
            "connections_displaced",
            "Waiting connections that were closed to make room",
            self.displaced.clone(),
        );
        to.register("groups", "Consumer groups", self.groups.clone());
        to.register(
            "group_members",
            "Live instances of all groups",
            self.members.clone(),
        );
        to.register(
            "database_bytes",
            "Bytes of the messages' files and of stream.db",
            self.database.clone(),
        );
        let help = "Messages that a group has not committed";
        to.register("group_lag", help, self.lag.clone());
    }

    pub(crate) fn count_request(&self, operation: &'static str, status: u16) {
        self.requests
            .get_or_create(&RequestLabels { operation, status })
            .inc();
    }

    pub(crate) fn count_transaction(&self, writes: usize, took: Duration) {
        self.writes
            .observe(f64::from(u32::try_from(writes).unwrap_or(u32::MAX)));
        self.seconds.observe(took.as_secs_f64());
    }

    /// Returns all metrics in OpenMetrics' text format.
    pub(crate) fn text(&self, now: Snapshot) -> String {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.groups.set(whole(now.groups));
        self.members.set(whole(now.members));
        self.database
            .set(i64::try_from(now.database_bytes).unwrap_or(i64::MAX));
        self.lag.clear();
        for (labels, lag) in now.lags.into_iter().take(LAG_SERIES_MAX) {
            let gauge = self.lag.get_or_create(&labels);
            gauge.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
