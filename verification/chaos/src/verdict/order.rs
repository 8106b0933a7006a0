//! Calls with one order key neither overlap nor overtake (G6), as `docs/ordering.md` has it.
//!
//! - The first arrival of a call comes after an earlier call of its key has come to its end,
//!   whatever was in trouble. Earlier is what one client was told to be accepted before it sent the
//!   next.
//! - Two attempts of one key are under way at the same time only if the gateway of the earlier one
//!   has died or may have lost its session meanwhile, and another process makes the later one.
//!
//! That an earlier call comes again after a later one is a repetition, and needs a cause as such.

use std::collections::BTreeMap;

use super::repeats::{TRANSIT, is_under_way, loses, meets};
use super::{Case, Verdict, Violation};
use crate::history::{Arrival, Fault, Request, Role, Told};

/// Judges each order key.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    let mut keys: BTreeMap<usize, Vec<&Request>> = BTreeMap::new();
    for request in &case.history.requests {
        if let Some(key) = request.wish.order_key {
            keys.entry(key).or_default().push(request);
        }
    }
    for requests in keys.values_mut() {
        requests.sort_by_key(|request| request.at);
        overtaken(case, requests, verdict);
        overlapping(case, requests, verdict);
    }
}

fn overtaken(case: &Case<'_>, requests: &[&Request], verdict: &mut Verdict) {
    let is_accepted = |request: &&&Request| matches!(request.told, Told::Accepted(_));
    let accepted: Vec<_> = requests.iter().filter(is_accepted).collect();
    for pair in accepted.windows(2) {
        let [before, after] = pair else { continue };
        let Some(first) = case.arrivals(after.number, Role::Call).first() else {
            continue;
        };
        let earlier = case.arrivals(before.number, Role::Call);
        let is_over = |call: &&Arrival| call.is_conclusive() && call.end <= first.start;
        if !earlier.iter().any(is_over) {
            verdict.disorder.push(Violation {
                number: after.number,
                what: format!(
                    "{first:?} came before the end of {}: {earlier:?}",
                    before.number
                ),
            });
        }
    }
}

fn overlapping(case: &Case<'_>, requests: &[&Request], verdict: &mut Verdict) {
    let arrivals = requests.iter();
    let arrivals = arrivals.flat_map(|request| case.arrivals(request.number, Role::Call));
    let mut arrivals: Vec<&Arrival> = arrivals.copied().collect();
    arrivals.sort_by_key(|arrival| arrival.start);
    for (index, later) in arrivals.iter().enumerate() {
        let before = arrivals.get(..index).unwrap_or_default();
        for earlier in before
            .iter()
            .filter(|earlier| is_under_way(case, earlier, later))
        {
            if !is_excused(case, earlier, later) {
                verdict.disorder.push(Violation {
                    number: later.number,
                    what: format!("{later:?} overlaps {earlier:?}"),
                });
            }
        }
    }
}

/// Returns whether an overlap is excused: the maker of the earlier attempt may not know that it is
/// still under way at its target, or may have been considered dead.
fn is_excused(case: &Case<'_>, earlier: &Arrival, later: &Arrival) -> bool {
    let span = (earlier.start, later.start);
    let is_way = |fault: &Fault| fault.part.is_on_the_way(earlier.gateway, earlier.target);
    let is_lost = case.faults(is_way).any(|fault| meets(fault, span, TRANSIT));
    let is_taken_over = earlier.gateway != later.gateway && loses(case, earlier.gateway, span);
    is_lost || is_taken_over
}
