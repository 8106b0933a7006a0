//! G11: one caller's calls in flight leave slots for others, of all slots of a drain and of those
//! for one target.

use sluice::caller::CallerKey;
use sluice::drain::config::DrainConfig;

use super::{Start, Violation};
use crate::ledger::{Attempt, Ledger};

/// After this time, in milliseconds, a callout is given up if the host never tells its end.
const GIVEN_UP_MS: u64 = 5_000;

/// Checks the start of an attempt.
///
/// # Errors
/// If its caller has more in flight with this engine than twice what would be left for all others.
pub fn check(ledger: &Ledger, drain: &DrainConfig, start: &Start<'_>) -> Result<(), Violation> {
    let caller = caller(ledger, start.call);
    let is_open = |attempt: &Attempt| {
        let is_own = attempt.by == start.by && attempt.end.is_none() && !attempt.is_left;
        is_own && start.at < attempt.at.saturating_add(GIVEN_UP_MS)
    };
    let open = ledger.attempts.iter();
    let own = open.filter(|(call, _)| self::caller(ledger, call) == caller);
    let own: Vec<&str> = own
        .flat_map(|(call, attempts)| {
            let open = attempts.iter().filter(|attempt| is_open(attempt));
            open.map(|_| call.as_str())
        })
        .collect();
    let target = target(ledger, start.call);
    let to_target = own
        .iter()
        .filter(|call| self::target(ledger, call) == target);
    let bounds = [
        ("window.inFlight", own.len(), drain.window.in_flight_max),
        (
            "limits.inFlight",
            to_target.count(),
            drain.limits.default.in_flight_max,
        ),
    ];
    for (what, held, all) in bounds {
        let left = all.saturating_sub(held);
        if held >= left.saturating_mul(2) {
            let text = format!("its caller has {held} of {what} = {all} in flight already");
            return Err(Violation::new("G11", start.call, text));
        }
    }
    Ok(())
}

/// Returns the caller of a call.
fn caller(ledger: &Ledger, call: &str) -> CallerKey {
    let mut heads = ledger.heads(call);
    let head = heads.next().and_then(|(_, head)| head.caller);
    head.unwrap_or(CallerKey::UNKNOWN)
}

/// Returns the target in whose queue the call waits, as far as that tells queues apart.
fn target(ledger: &Ledger, call: &str) -> Option<String> {
    let (_, head) = ledger.heads(call).next()?;
    let origin = head.target.as_deref().map(|url| {
        let parts: Vec<&str> = url.split('/').take(3).collect();
        parts.join("/")
    });
    origin.or(head.cluster.clone()).or(head.authority.clone())
}
