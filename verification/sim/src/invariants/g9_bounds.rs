//! G9: memory is bounded: what is held never exceeds the configuration.

use std::collections::BTreeMap;

use sluice::accept::config::AcceptConfig;
use sluice::drain::config::DrainConfig;
use sluice::metric::Metric;

use super::Violation;
use crate::ledger::{CALLS, Engine, Ledger};

/// Returns how much all sessions of one drain may hold.
fn session_max(drain: &DrainConfig) -> usize {
    let lanes = drain.lanes.iter().count();
    let lanes = lanes.saturating_mul(drain.window.lane_records_max);
    drain.window.calls_max.saturating_add(lanes)
}

/// Checks that a drain may ask a stream for up to `limit` records. The check sees what is settled
/// and committed from above, never later than the drain learns of it.
///
/// # Errors
/// If it would hold more of the stream than it may.
pub fn fetch(
    ledger: &Ledger,
    drain: &DrainConfig,
    session: (Engine, usize),
    limit: usize,
) -> Result<(), Violation> {
    let (_, stream) = session;
    let fetched = ledger.fetched.get(&session).into_iter().flatten();
    let unsettled = fetched.clone().filter(|place| {
        ledger.is_settled(**place).is_err() && !ledger.has_ended_elsewhere(**place)
    });
    let unsettled_max = match stream {
        CALLS => drain.window.calls_max,
        _ => drain.window.lane_records_max,
    };
    let bounds = [
        ("unsettled", unsettled.count(), unsettled_max),
        ("uncommitted", fetched.count(), drain.window.uncommitted_max),
    ];
    for (what, held, max) in bounds {
        if held.saturating_add(limit) > max {
            let text = format!(
                "{held} records of stream {stream} are {what}, and {limit} more are asked for: \
                 the bound is {max}"
            );
            return Err(Violation::new("G9", "", text));
        }
    }
    Ok(())
}

/// The gauges of one engine.
#[derive(Default)]
pub struct Gauges(BTreeMap<Metric, i64>);

impl Gauges {
    /// Counts what an engine counts.
    ///
    /// # Errors
    /// If a gauge is below zero or above its bound.
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
        // What sessions hold, as much again for lost sessions, and what is under way.
        let held = session_max(drain).saturating_mul(2);
        let held = held.saturating_add(drain.window.in_flight_max);
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

    /// Returns the present value.
    #[must_use]
    pub fn value(&self, metric: Metric) -> i64 {
        self.0.get(&metric).copied().unwrap_or_default()
    }
}
