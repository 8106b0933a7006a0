//! Every accepted call ends, delivered or as a dead letter, and its result is told to its reply
//! address (G1, G2). Refused requests are not made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Verdict, Violation};
use crate::history::{Arrival, Fate, Request, Role, Told};

/// Counts ends, and notes what is missing or must not exist.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    let mut letters: BTreeMap<&str, &str> = BTreeMap::new();
    for letter in &case.history.letters {
        letters.insert(&letter.id, &letter.reason);
    }
    let mut known = BTreeSet::new();
    for request in &case.history.requests {
        known.insert(request.number);
        let calls = case.arrivals(request.number, Role::Call);
        let replies = case.arrivals(request.number, Role::Reply);
        match &request.told {
            Told::Accepted(id) => {
                verdict.accepted += 1;
                let letter = letters.remove(id.as_str());
                accepted(request, calls, letter, verdict);
                replied(request, replies, verdict);
                same_call(case, request, id, calls, verdict);
            }
            Told::Unknown => {
                verdict.unknown.0 += 1;
                verdict.unknown.1 += usize::from(!calls.is_empty());
                letters.retain(|id, _| calls.iter().all(|call| call.id != *id));
            }
            Told::Refused(status) => {
                verdict.refused += 1;
                not_made(
                    request,
                    calls,
                    &format!("was refused with {status}"),
                    verdict,
                );
            }
            Told::NotSent => not_made(request, calls, "could not be sent", verdict),
        }
    }
    strays(case, &known, &letters, verdict);
}

fn accepted(request: &Request, calls: &[&Arrival], letter: Option<&str>, verdict: &mut Verdict) {
    let number = request.number;
    let is_taken = calls.iter().any(|call| call.fate == Fate::Taken);
    let is_refused = calls.iter().any(|call| call.fate == Fate::Refused);
    verdict.delivered += usize::from(is_taken);
    verdict.dead += usize::from(letter.is_some());
    match letter {
        None if !is_taken => verdict.lost.push(Violation {
            number,
            what: format!("accepted and not settled, {} attempts", calls.len()),
        }),
        Some(reason) if !is_refused => verdict.wrong.push(Violation {
            number,
            what: format!("a dead letter, {reason}, although no target has refused it"),
        }),
        None | Some(_) => {}
    }
}

fn replied(request: &Request, replies: &[&Arrival], verdict: &mut Verdict) {
    let is_here = replies.iter().any(|reply| reply.fate == Fate::Taken);
    verdict.replies += usize::from(is_here);
    if request.wish.reply && !is_here {
        verdict.lost.push(Violation {
            number: request.number,
            what: "its reply is missing".to_owned(),
        });
    }
    if !request.wish.reply && !replies.is_empty() {
        verdict.wrong.push(Violation {
            number: request.number,
            what: "a reply that nobody wanted".to_owned(),
        });
    }
}

/// Checks that one request is one call: it has the same id wherever it arrives, and for a client
/// that asks again with its idempotency key, as long as the same gateway lives.
fn same_call(
    case: &Case<'_>,
    request: &Request,
    id: &str,
    calls: &[&Arrival],
    verdict: &mut Verdict,
) {
    let number = request.number;
    let mut ids = BTreeSet::from([id]);
    let mut doubts = 0;
    if let Some((at, answered, told)) = &request.again {
        let gateway = request.gateway;
        let forgets = case.life(gateway, request.at) != case.life(gateway, *answered)
            || case
                .faults(|fault| fault.part == crate::history::Part::Gateway(gateway))
                .any(|fault| fault.from <= *answered && fault.until >= *at);
        match told {
            Told::Accepted(second) if second == id => {}
            Told::Accepted(second) if forgets => {
                ids.insert(second);
            }
            Told::Accepted(second) => verdict.wrong.push(Violation {
                number,
                what: format!("one idempotency key for two calls, {id} and {second}"),
            }),
            // A client that asks a gateway that has forgotten the key may make a call without
            // learning its id.
            Told::Unknown if forgets => doubts = 1,
            Told::Unknown | Told::NotSent | Told::Refused(429 | 503) => {}
            Told::Refused(status) => verdict.wrong.push(Violation {
                number,
                what: format!("refused with {status} when it was sent again"),
            }),
        }
    }
    let others: BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    let others: Vec<_> = others.difference(&ids).collect();
    if others.len() > doubts {
        verdict.wrong.push(Violation {
            number,
            what: format!("arrived as {others:?}, accepted as {ids:?}"),
        });
    }
    if calls.iter().any(|call| !call.is_whole) {
        verdict.wrong.push(Violation {
            number,
            what: "arrived with another one's content".to_owned(),
        });
    }
}

fn not_made(request: &Request, calls: &[&Arrival], why: &str, verdict: &mut Verdict) {
    if !calls.is_empty() {
        verdict.wrong.push(Violation {
            number: request.number,
            what: format!("made, although it {why}"),
        });
    }
}

/// Finds arrivals and letters that nobody has asked for.
fn strays(
    case: &Case<'_>,
    known: &BTreeSet<u64>,
    letters: &BTreeMap<&str, &str>,
    verdict: &mut Verdict,
) {
    for arrival in &case.history.arrivals {
        if !known.contains(&arrival.number) {
            verdict.wrong.push(Violation {
                number: arrival.number,
                what: "arrived, although nobody has sent it".to_owned(),
            });
        }
    }
    // Calls whose id no client knows have their letters too: they arrived, or died before.
    let unknown = case.history.requests.iter();
    let unknown = unknown.filter(|r| r.told == Told::Unknown || r.again.is_some());
    if letters.len() > unknown.count() {
        verdict.wrong.push(Violation {
            number: 0,
            what: format!("dead letters of nobody's calls: {letters:?}"),
        });
    }
}
