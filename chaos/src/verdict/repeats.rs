//! A call is made again only where its outcome is unknown to whoever makes it again (G3).
//!
//! An arrival is a *repetition* of an earlier one if that had an outcome after which nobody who knows
//! it tries again, or was still under way. For each of them there has to be a cause:
//!
//! - **the answer was lost**: while the earlier one was under way, its target, the way there, or its
//!   gateway was in trouble;
//! - **its drain died**: the gateway of the earlier one was killed between the two, so that nobody
//!   knows what it had not committed;
//! - **its session was lost**: its gateway stood still, or the stream server or the way there was in
//!   trouble, between the two, *and* another process has made the later one. The drain that has lost
//!   its session remembers what it has done;
//! - **it was stored twice**: a reply, or a call on its way over lanes, for which a PutMessages was in
//!   doubt. Two records of a call that the same drain reads are one to it; replies are not compared;
//! - **the call was made twice**, with one of the causes above, and each has its reply.

use super::{Case, Verdict, Violation};
use crate::history::{Arrival, Fault, Gateway, How, Millis, Part, Request, Role};

/// How long an answer may be on its way on a busy machine.
pub const TRANSIT: Millis = 500;

/// How long after a trouble is over a drain may not have noticed yet that its session is lost, or
/// have partitions moved because of it: the group's time limit and that of a request.
pub const AFTERMATH: Millis = 2_500;

/// Why something was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The answer was lost on its way to the drain.
    AnswerLost,
    /// The drain died before it had committed.
    DrainDied,
    /// Another drain took over what the first one had not committed.
    SessionLost,
    /// A PutMessages was in doubt, and its records were stored twice.
    StoredTwice,
    /// A reply for each of the times that its call was made.
    CallMadeTwice,
}

impl Cause {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerLost => "its answer was lost",
            Self::DrainDied => "its drain died before the commit",
            Self::SessionLost => "another drain took over before the commit",
            Self::StoredTwice => "a PutMessages was in doubt",
            Self::CallMadeTwice => "a reply to a call that was made twice",
        }
    }
}

/// Finds a cause for each repetition.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    for request in &case.history.requests {
        for role in [Role::Call, Role::Reply] {
            let arrivals = case.arrivals(request.number, role);
            for (index, later) in arrivals.iter().enumerate() {
                let earlier = arrivals.get(..index).unwrap_or_default();
                judge_one(case, request, earlier, later, verdict);
            }
        }
    }
}

fn judge_one(
    case: &Case<'_>,
    request: &Request,
    before: &[&Arrival],
    later: &Arrival,
    verdict: &mut Verdict,
) {
    let mut found = None;
    let repeated = |earlier: &&&Arrival| {
        earlier.id == later.id && (earlier.is_conclusive() || earlier.end > later.start)
    };
    for earlier in before.iter().filter(repeated) {
        match cause(case, request, earlier, later) {
            // The strongest one: the least that is excused by it comes first.
            Some(cause) => found = found.max(Some(cause)),
            None => {
                let what = format!("{later:?} repeats {earlier:?}");
                let number = request.number;
                verdict.unexplained.push(Violation { number, what });
                return;
            }
        }
    }
    if let Some(cause) = found {
        let count = verdict.repeated.entry(cause).or_default();
        *count = count.saturating_add(1);
    }
}

fn cause(case: &Case<'_>, request: &Request, earlier: &Arrival, later: &Arrival) -> Option<Cause> {
    let between = (earlier.start, later.start);
    let under_way = (earlier.start, earlier.end.saturating_add(TRANSIT));
    let same_process = is_same_process(case, earlier, later);
    let gateway = earlier.gateway;
    let is_way = |fault: &Fault| match fault.part {
        Part::Target(target) => target == earlier.target,
        Part::ToTarget(from, target) => from == gateway && target == earlier.target,
        Part::Gateway(one) => one == gateway,
        Part::Stream | Part::ToStream(_) => false,
    };
    if case.faults(is_way).any(|fault| meets(fault, under_way, 0)) {
        return Some(Cause::AnswerLost);
    }
    let is_death = |fault: &Fault| fault.part == Part::Gateway(gateway) && fault.how == How::Kill;
    if !same_process && case.faults(is_death).any(|fault| meets(fault, between, 0)) {
        return Some(Cause::DrainDied);
    }
    let takes_session = |fault: &Fault| takes_session(fault, gateway);
    let mut losses = case.faults(takes_session);
    if !same_process && losses.any(|fault| meets(fault, between, AFTERMATH)) {
        return Some(Cause::SessionLost);
    }
    stored_twice(case, request, earlier, later, same_process)
}

/// A doubt may be much older than its two records: they wait on a lane, or behind others.
fn stored_twice(
    case: &Case<'_>,
    request: &Request,
    earlier: &Arrival,
    later: &Arrival,
    same_process: bool,
) -> Option<Cause> {
    let calls = case.arrivals(request.number, Role::Call);
    let conclusive = || calls.iter().filter(|call| call.is_conclusive());
    let since = match earlier.role {
        Role::Call => request.at,
        Role::Reply => conclusive().map(|call| call.start).min()?,
    };
    let is_doubt = |fault: &Fault| match fault.part {
        Part::Stream | Part::ToStream(_) | Part::Gateway(_) => true,
        Part::Target(_) | Part::ToTarget(..) => false,
    };
    let is_excused = match earlier.role {
        Role::Call => !same_process && may_hop(request, calls),
        Role::Reply => true,
    };
    let mut doubts = case.faults(is_doubt);
    if is_excused && doubts.any(|fault| meets(fault, (since, later.start), AFTERMATH)) {
        return Some(Cause::StoredTwice);
    }
    let replies = case.arrivals(request.number, Role::Reply);
    let before = replies.iter().filter(|reply| reply.start < later.start);
    let made = conclusive().filter(|call| call.start < later.start).count();
    let is_own = earlier.role == Role::Reply && before.count() < made;
    is_own.then_some(Cause::CallMadeTwice)
}

/// Whether a call may have been on a lane: deferred, or put off for as long as the shortest one.
fn may_hop(request: &Request, calls: &[&Arrival]) -> bool {
    let has_failed = calls.iter().any(|call| !call.is_conclusive());
    request.wish.delay.is_some() || has_failed
}

/// Whether one process of one gateway has made both.
fn is_same_process(case: &Case<'_>, one: &Arrival, other: &Arrival) -> bool {
    let life = |arrival: &Arrival| case.life(arrival.gateway, arrival.start);
    one.gateway == other.gateway && life(one) == life(other)
}

/// Whether a gateway's drain may lose its partitions by this.
#[must_use]
pub fn takes_session(fault: &Fault, gateway: Gateway) -> bool {
    match fault.part {
        Part::Gateway(one) | Part::ToStream(one) => one == gateway,
        Part::Stream => true,
        Part::Target(_) | Part::ToTarget(..) => false,
    }
}

/// Whether a fault, with what comes after it, meets a span of time.
#[must_use]
pub fn meets(fault: &Fault, (from, until): (Millis, Millis), aftermath: Millis) -> bool {
    fault.from <= until && fault.until.saturating_add(aftermath) >= from
}
