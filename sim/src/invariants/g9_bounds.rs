//! G9: memory is bounded: what is held never exceeds what is configured.

use std::collections::BTreeMap;

use sluice::config::{AcceptConfig, DrainConfig};
use sluice::metric::Metric;

use super::Violation;

/// What one engine has counted.
#[derive(Default)]
pub struct Gauges(BTreeMap<Metric, i64>);

impl Gauges {
    /// An engine counts.
    ///
    /// # Errors
    /// A gauge is below zero or above its bound.
    pub fn count(
        &mut self,
        metric: Metric,
        change: i64,
        drain: &DrainConfig,
        accept: &AcceptConfig,
    ) -> Result<(), Violation> {
        let value = self.0.entry(metric).or_default();
        *value = value.saturating_add(change);
        let value = *value;
        let lanes = drain.lanes.iter().count();
        let lanes = lanes.saturating_mul(drain.window.lane_records_max);
        // Once for what a session holds, once for what sessions that were lost have left, and what
        // is under way.
        let held = drain
            .window
            .calls_max
            .saturating_add(lanes)
            .saturating_mul(3);
        let bounds = [
            (Metric::Held, held),
            (Metric::InFlight, drain.window.in_flight_max),
            (Metric::WaitingRequests, accept.limits.waiting_requests_max),
        ];
        let bound = bounds.into_iter().find(|(bounded, _)| *bounded == metric);
        let max = bound.map_or(usize::MAX, |(_, max)| max);
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        if value < 0 || value > max {
            let text = format!("{metric:?} is {value}, with a bound of {max}");
            return Err(Violation::new("G9", "", text));
        }
        Ok(())
    }

    /// The value now.
    #[must_use]
    pub fn value(&self, metric: Metric) -> i64 {
        self.0.get(&metric).copied().unwrap_or_default()
    }
}
