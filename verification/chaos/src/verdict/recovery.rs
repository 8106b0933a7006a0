//! How long parts need until they work again.

use super::{Case, Verdict};
use crate::history::{Arrival, Fault, How, Millis, Part};

/// The recovery of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The kind of part, and what was done to it.
    pub kind: (&'static str, How),
    /// The time from its return to the next call by it, through it, or at it. Calls that a gateway
    /// had in memory when it lost the stream server prove nothing; only calls that were sent since
    /// do.
    pub took: Millis,
}

/// Returns the kind of part.
#[must_use]
pub fn kind(part: Part) -> &'static str {
    match part {
        Part::Gateway(_) => "gateway",
        Part::Stream => "stream server",
        Part::Target(_) => "target",
        Part::ToStream(_) => "way to the stream server",
        Part::ToTarget(..) => "way to a target",
        Part::Broker(_) => "broker",
        Part::Controller => "active controller",
        Part::BetweenBrokers(_) => "way between a broker and the others",
        Part::Front(_) => "front",
        Part::ToFront(..) => "way to a front",
        Part::ToBrokers(_) => "way from a front to the brokers",
    }
}

/// Returns the name of a kind of fault, such as `broker killed`.
#[must_use]
pub fn name((part, how): (Part, How)) -> String {
    format!("{} {how}", kind(part))
}

/// Finds the longest recovery of each kind. A recovery that another fault has interrupted doesn't
/// count.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    for fault in &case.history.faults {
        let mut arrivals = case.history.arrivals.iter();
        let next = arrivals.find(|call| call.start >= fault.until && proves(case, call, fault));
        let Some(next) = next else { continue };
        let others = |other: &Fault| other.from > fault.from && other.from < next.start;
        let overlaps = |other: &Fault| other.until > fault.from && other.from < fault.from;
        if case
            .faults(|other| others(other) || overlaps(other))
            .next()
            .is_some()
        {
            continue;
        }
        let recovery = Recovery {
            kind: (kind(fault.part), fault.how),
            took: next.start.saturating_sub(fault.until),
        };
        let mut known = verdict.recoveries.iter_mut();
        match known.find(|known| known.kind == recovery.kind) {
            Some(known) => known.took = known.took.max(recovery.took),
            None => verdict.recoveries.push(recovery),
        }
    }
}

/// Returns whether an arrival shows that a part works.
fn proves(case: &Case<'_>, arrival: &Arrival, fault: &Fault) -> bool {
    let request = case.request(arrival);
    let is_new = request.is_some_and(|request| request.at >= fault.until);
    match fault.part {
        Part::Gateway(gateway) | Part::ToStream(gateway) => is_new && arrival.gateway == gateway,
        Part::Stream
        | Part::Broker(_)
        | Part::Controller
        | Part::BetweenBrokers(_)
        | Part::Front(_)
        | Part::ToFront(..)
        | Part::ToBrokers(_) => is_new,
        Part::Target(target) => arrival.target == target,
        Part::ToTarget(gateway, target) => (arrival.gateway, arrival.target) == (gateway, target),
    }
}
