//! Counters, gauges and log lines.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{LogLevel, MetricType};

use crate::engine::Level;
use crate::metric::{Kind, Labels, Metric};

/// The host's ids of the metrics. Each is defined only once, because defining it again would leak
/// memory in Envoy.
pub(super) struct Metrics(Vec<(Metric, u32)>);

impl Metrics {
    pub(super) fn define(labels: Labels) -> Self {
        let define = |metric: &Metric| {
            let kind = match metric.kind() {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            hostcalls::define_metric(kind, &metric.name_with(labels))
                .ok()
                .map(|id| (*metric, id))
        };
        Self(Metric::ALL.iter().filter_map(define).collect())
    }

    pub(super) fn count(&self, metric: Metric, by: i64) {
        if let Some(id) = self.id(metric) {
            let _ = hostcalls::increment_metric(id, by);
        }
    }

    pub(super) fn observe(&self, metric: Metric, value: u64) {
        if let Some(id) = self.id(metric) {
            let _ = hostcalls::record_metric(id, value);
        }
    }

    fn id(&self, metric: Metric) -> Option<u32> {
        let index = self.0.binary_search_by_key(&metric, |(metric, _)| *metric);
        Some(self.0.get(index.ok()?)?.1)
    }
}

pub(super) fn log(level: Level, line: &str) {
    let level = match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let _ = hostcalls::log(level, line);
}

/// Writes a line of level `trace`. Envoy is not asked for its level: whoever restricts the filter's
/// capabilities need not have allowed that, and a refused host call ends the VM.
pub(super) fn trace(line: &str) {
    let _ = hostcalls::log(LogLevel::Trace, line);
}
