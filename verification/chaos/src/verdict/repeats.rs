//! A call is made again only where its outcome is unknown to whoever makes it again (G3).
//!
//! An arrival is a *repetition* of an earlier one if that had an outcome after which nobody who
//! knows it tries again, or was still under way. For each of them there has to be a cause:
//!
//! - **the answer was lost**: while the earlier one was under way, its target, the way there, or
//!   its gateway was in trouble;
//! - **its drain died**: the gateway of the earlier one was killed between the two, so that nobody
//!   knows what it had not committed. Nothing stays uncommitted for longer than [`COMMIT_LAG`];
//! - **its session was lost**: its gateway stood still, or the stream server or the way there was
//!   in trouble, between the two, and another process has made the later one. The drain that has
//!   lost its session remembers what it has done;
//! - **the later one's session was lost**: the same of the later one's gateway, which had not heard
//!   of that yet. Calls with an order key wait until it has (`docs/ordering.md`);
//! - **there were two records of it**: a drain had put the call onto a lane, or back from one, and
//!   was in trouble before it had committed that. So there are the record that it was and its hop,
//!   or two hops (`docs/deferral.md`). A drain that reads both knows when the call has ended by one
//!   of them, and makes it again only if both are under way at once, which order keys prevent;
//! - **the reply was stored twice**: a PutMessages was in doubt. Replies are not compared;
//! - **the call was made twice**, with one of the causes above, and each has its reply.

use super::{Case, Verdict, Violation};
use crate::history::{Arrival, Engine, Fate, Fault, Gateway, How, Millis, Part, Request, Role};
use crate::plan::GATEWAYS;

/// How long an answer may be on its way on a busy machine.
pub const TRANSIT: Millis = 500;

/// How long after a trouble a drain may not have noticed that its session is lost, or have
/// partitions moved because of it: the group's time limit and that of a request.
pub const AFTERMATH: Millis = 2_500;

/// The same on Kafka: the group's time limit and that of a request are longer there.
pub const AFTERMATH_ON_KAFKA: Millis = 5_000;

/// How long after a trouble of brokers or fronts groups may still move: until another broker leads,
/// and another front has waited long enough to serve.
pub const TAKE_OVER: Millis = 10_000;

/// How long after its outcome a call may still be uncommitted. A commit waits for everything that
/// was read before: for its retries, its turn behind others of its key, and what has to be stored.
pub const COMMIT_LAG: Millis = 30_000;

/// Why something was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The answer was lost on its way to the drain.
    AnswerLost,
    /// The drain died before it had committed.
    DrainDied,
    /// Another drain took over what the first one had not committed.
    SessionLost,
    /// A drain went on with what another one had taken over, before it had learned of that.
    NotHeardYet,
    /// A drain had put the call onto a lane, and had not committed that.
    TwoRecords,
    /// A PutMessages was in doubt, and its reply was stored twice.
    ReplyStoredTwice,
    /// There is a reply for each time that its call was made.
    CallMadeTwice,
}

impl Cause {
    /// Returns the cause's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerLost => "its answer was lost",
            Self::DrainDied => "its drain died before the commit",
            Self::SessionLost => "another drain took over before the commit",
            Self::NotHeardYet => "its drain had not heard yet that another one took over",
            Self::TwoRecords => "its drain was in trouble between a hop and its commit",
            Self::ReplyStoredTwice => "a reply whose PutMessages was in doubt",
            Self::CallMadeTwice => "a reply to a call that was made twice",
        }
    }
}

/// Finds a cause for each repetition.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    for request in &case.history.requests {
        for role in [Role::Call, Role::Reply] {
            let arrivals = case.arrivals(request.number, role);
            // Some are replies of their own, not repetitions of one of them.
            let mut own = 1;
            for (index, later) in arrivals.iter().enumerate() {
                let earlier = arrivals.get(..index).unwrap_or_default();
                match judge_one(case, request, earlier, later, own) {
                    Ok(None) => {}
                    Ok(Some(cause)) => {
                        own += usize::from(cause == Cause::CallMadeTwice);
                        let count = verdict.repeated.entry(cause).or_default();
                        *count = count.saturating_add(1);
                    }
                    Err(violation) => verdict.unexplained.push(violation),
                }
            }
        }
    }
}

fn judge_one(
    case: &Case<'_>,
    request: &Request,
    before: &[&Arrival],
    later: &Arrival,
    own_replies: usize,
) -> Result<Option<Cause>, Violation> {
    let mut found = None;
    let repeated = |earlier: &&&Arrival| {
        let is_open = is_under_way(case, earlier, later);
        earlier.id == later.id && (earlier.is_conclusive() || is_open)
    };
    for earlier in before.iter().filter(repeated) {
        match cause(case, request, earlier, later, own_replies) {
            // The strongest cause counts, because it excuses the least.
            Some(cause) => found = found.max(Some(cause)),
            None => {
                let what = format!("{later:?} repeats {earlier:?}");
                let number = request.number;
                return Err(Violation { number, what });
            }
        }
    }
    Ok(found)
}

fn cause(
    case: &Case<'_>,
    request: &Request,
    earlier: &Arrival,
    later: &Arrival,
    own_replies: usize,
) -> Option<Cause> {
    let committed = earlier.end.saturating_add(COMMIT_LAG);
    let between = (earlier.start, later.start.min(committed));
    let gateway = earlier.gateway;
    if is_unheard(case, earlier) {
        return Some(Cause::AnswerLost);
    }
    if !is_same_process(case, earlier, later) {
        let is_death =
            |fault: &Fault| fault.part == Part::Gateway(gateway) && fault.how == How::Kill;
        if case.faults(is_death).any(|fault| meets(fault, between, 0)) {
            return Some(Cause::DrainDied);
        }
        if loses(case, gateway, between) {
            return Some(Cause::SessionLost);
        }
        if request.wish.order_key.is_none() && loses(case, later.gateway, between) {
            return Some(Cause::NotHeardYet);
        }
    }
    match earlier.role {
        Role::Call => two_records(case, request, later)
            .then_some(Cause::TwoRecords)
            .filter(|_| may_make_both(case, request, earlier, later)),
        Role::Reply => reply_stored_twice(case, request, later, own_replies),
    }
}

/// Returns whether the drain may not have heard the answer of the target.
#[must_use]
pub fn is_unheard(case: &Case<'_>, arrival: &Arrival) -> bool {
    let is_way = |fault: &Fault| fault.part.is_on_the_way(arrival.gateway, arrival.target);
    let under_way = (arrival.start, arrival.end.saturating_add(TRANSIT));
    // What a fault has held back arrives when it is over. The drain may have given it up.
    let mut faults = case.faults(is_way);
    faults.any(|fault| meets(fault, under_way, TRANSIT))
}

/// Returns whether the drain of the later arrival may make both of two records of a call, because
/// it doesn't know that the earlier one has ended.
fn may_make_both(case: &Case<'_>, request: &Request, earlier: &Arrival, later: &Arrival) -> bool {
    let is_at_once = later.start < earlier.end.saturating_add(TRANSIT);
    let is_ordered = request.wish.order_key.is_some();
    !is_same_process(case, earlier, later) || is_at_once && !is_ordered
}

/// Returns whether there may be two records of the call. They may be read long after the trouble,
/// because they wait on lanes.
#[must_use]
pub fn two_records(case: &Case<'_>, request: &Request, later: &Arrival) -> bool {
    let key = request.wish.order_key;
    let is_before = |other: &&Request| {
        other.number == request.number
            || key.is_some() && other.wish.order_key == key && other.at <= request.at
    };
    let ahead = case.history.requests.iter().filter(is_before);
    let since = ahead.filter_map(|ahead| on_a_lane_since(case, ahead, later.start));
    // Nobody can see who reads which lane.
    since.min().is_some_and(|since| {
        let span = (since, later.start);
        (0..GATEWAYS).any(|gateway| loses(case, gateway, span))
    })
}

/// Returns since when a call, and later calls of its order key, may have been on lanes: since the
/// call was deferred, has failed, or could not reach its target before `until`.
fn on_a_lane_since(case: &Case<'_>, request: &Request, until: Millis) -> Option<Millis> {
    let calls = case.arrivals(request.number, Role::Call).iter();
    let failures = calls.filter(|call| !call.is_conclusive() && call.start < until);
    let failures = failures.map(|call| call.start);
    let unreached = case.faults(|fault| {
        matches!(fault.part, Part::Target(target) | Part::ToTarget(_, target)
            if target == request.wish.target)
    });
    let unreached = unreached.filter(|fault| meets(fault, (request.at, until), 0));
    let unreached = unreached.map(|fault| fault.from.max(request.at));
    let deferred = request.wish.delay.map(|_| request.at).into_iter();
    deferred.chain(failures).chain(unreached).min()
}

fn reply_stored_twice(
    case: &Case<'_>,
    request: &Request,
    later: &Arrival,
    own_replies: usize,
) -> Option<Cause> {
    let calls = case.arrivals(request.number, Role::Call).iter();
    let is_before = |call: &&&Arrival| call.is_conclusive() && call.start < later.start;
    let made: Vec<_> = calls.filter(is_before).collect();
    let doubtful = |call: &&&Arrival| loses(case, call.gateway, (call.start, later.start));
    if made.iter().any(doubtful) {
        return Some(Cause::ReplyStoredTwice);
    }
    (own_replies < made.len()).then_some(Cause::CallMadeTwice)
}

/// Returns whether an attempt was under way when a later one began. An attempt that hangs has ended
/// for the drain that goes on with the next number. The target, which may have read it late, can't
/// see when the drain gave it up.
#[must_use]
pub fn is_under_way(case: &Case<'_>, earlier: &Arrival, later: &Arrival) -> bool {
    let next = earlier.attempt.and_then(|attempt| attempt.checked_add(1));
    let is_given_up = earlier.fate == Fate::Silence
        && earlier.number == later.number
        && later.attempt == next
        && is_same_process(case, earlier, later);
    earlier.end > later.start && !is_given_up
}

/// Returns whether the same process of the same gateway has made both.
fn is_same_process(case: &Case<'_>, one: &Arrival, other: &Arrival) -> bool {
    let life = |arrival: &Arrival| case.life(arrival.gateway, arrival.start);
    one.gateway == other.gateway && life(one) == life(other)
}

/// Returns whether a gateway's drain may have lost its partitions within a span of time.
#[must_use]
pub fn loses(case: &Case<'_>, gateway: Gateway, span: (Millis, Millis)) -> bool {
    let takes_session = |fault: &Fault| match fault.part {
        Part::Gateway(one) | Part::ToStream(one) => one == gateway,
        Part::Target(_) | Part::ToTarget(..) => false,
        // Any front may be asked, and any may serve a group.
        Part::Stream
        | Part::Broker(_)
        | Part::Controller
        | Part::BetweenBrokers(_)
        | Part::Front(_)
        | Part::ToFront(..)
        | Part::ToBrokers(_) => true,
    };
    let mut losses = case.faults(takes_session);
    losses.any(|fault| meets(fault, span, aftermath(case, fault.part)))
}

fn aftermath(case: &Case<'_>, part: Part) -> Millis {
    match case.history.engine {
        Engine::Embedded => AFTERMATH,
        Engine::Kafka if part.is_of_brokers() || part.is_of_fronts() => TAKE_OVER,
        Engine::Kafka => AFTERMATH_ON_KAFKA,
    }
}

/// Returns whether a fault and its aftermath overlap a span of time.
#[must_use]
pub fn meets(fault: &Fault, (from, until): (Millis, Millis), aftermath: Millis) -> bool {
    fault.from <= until && fault.until.saturating_add(aftermath) >= from
}
