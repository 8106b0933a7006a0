//! How long a fault kept everything from working: the longest time without any accepted request,
//! and without any arrival of a call.
//!
//! A time counts if it began before the fault was over. Faults of the same moment aren't told
//! apart, so that only those count with which no other fault interfered.

use std::collections::BTreeMap;

use super::recovery::kind;
use super::{Case, Verdict};
use crate::history::{Fault, How, Millis, Role, Told};

/// What faults of one kind cost at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// How many faults were measured.
    pub measured: usize,
    /// The longest time without an accepted request.
    pub accepts: Millis,
    /// The longest time without an arrival of a call.
    pub arrivals: Millis,
}

/// Measures each fault.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    let requests = case.history.requests.iter();
    let accepted = requests.filter(|request| matches!(request.told, Told::Accepted(_)));
    let mut accepts: Vec<Millis> = accepted.map(|request| request.answered).collect();
    let calls = case.history.arrivals.iter();
    let calls = calls.filter(|arrival| arrival.role == Role::Call);
    let mut arrivals: Vec<Millis> = calls.map(|call| call.start).collect();
    accepts.sort_unstable();
    arrivals.sort_unstable();
    let mut outages: BTreeMap<(&'static str, How), Outage> = BTreeMap::new();
    for fault in &case.history.faults {
        let (Some(no_accept), Some(no_arrival)) = (gap(&accepts, fault), gap(&arrivals, fault))
        else {
            continue;
        };
        let from = fault.from.min(no_accept.0).min(no_arrival.0);
        let until = fault.until.max(no_accept.1).max(no_arrival.1);
        let interferes = |other: &Fault| {
            let is_other = (other.part, other.from) != (fault.part, fault.from);
            is_other && other.from <= until && other.until >= from
        };
        if case.faults(interferes).next().is_some() {
            continue;
        }
        let known = outages.entry((kind(fault.part), fault.how)).or_default();
        known.measured = known.measured.saturating_add(1);
        known.accepts = known.accepts.max(length(no_accept));
        known.arrivals = known.arrivals.max(length(no_arrival));
    }
    verdict.outages = outages;
}

fn length((from, until): (Millis, Millis)) -> Millis {
    until.saturating_sub(from)
}

/// Returns the longest time between two of these times that has a part in the time of a fault.
/// `None` if there is nothing before or after it.
fn gap(times: &[Millis], fault: &Fault) -> Option<(Millis, Millis)> {
    let before = times.partition_point(|time| *time < fault.from);
    let after = times.partition_point(|time| *time <= fault.until);
    let around = times.get(before.checked_sub(1)?..=after)?;
    let pairs = around.windows(2).filter_map(|pair| match pair {
        [from, until] => Some((*from, *until)),
        _ => None,
    });
    pairs.max_by_key(|pair| length(*pair))
}
