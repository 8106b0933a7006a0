//! What a history amounts to. Pure: the same history gives the same verdict.
//!
//! | what | where |
//! |---|---|
//! | accepted calls have ended, refused ones are not made | [`ends`] |
//! | what is made again has a cause | [`repeats`] |
//! | calls with one order key | [`order`] |
//! | nothing is early | [`early`] |
//! | how long parts need to come back | [`recovery`] |
//! | how long nothing worked | [`outage`] |

pub mod early;
pub mod ends;
pub mod order;
pub mod outage;
pub mod recovery;
pub mod repeats;

use std::collections::BTreeMap;

use crate::history::{Arrival, Fault, Gateway, History, How, Millis, Number, Part, Request, Role};
use outage::Outage;
use recovery::Recovery;
use repeats::Cause;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The request that it is about.
    pub number: Number,
    /// What happened.
    pub what: String,
}

/// The verdict.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Calls answered `202`.
    pub accepted: usize,
    /// Of these, those that a target has taken.
    pub delivered: usize,
    /// Of these, those with a dead letter.
    pub dead: usize,
    /// Requests refused with nothing stored.
    pub refused: usize,
    /// Requests without an answer, and how many of them were made all the same.
    pub unknown: (usize, usize),
    /// Replies that have arrived.
    pub replies: usize,
    /// Accepted calls that have ended nowhere, and results whose reply is missing.
    pub lost: Vec<Violation>,
    /// What was made although it must not be: refused requests, calls with the content of another
    /// call, two calls for one idempotency key, a dead letter of a call that its target accepts.
    pub wrong: Vec<Violation>,
    /// Calls and replies that were made again, by cause.
    pub repeated: BTreeMap<Cause, usize>,
    /// Calls and replies that were made again without a cause.
    pub unexplained: Vec<Violation>,
    /// Attempts before their time.
    pub early: Vec<Violation>,
    /// Calls that have overtaken or overlapped another one of their order key.
    pub disorder: Vec<Violation>,
    /// The longest recovery of each kind of part.
    pub recoveries: Vec<Recovery>,
    /// What each kind of fault cost at most.
    pub outages: BTreeMap<(&'static str, How), Outage>,
    /// How many faults of each kind there were.
    pub faults: BTreeMap<(&'static str, How), usize>,
}

impl Verdict {
    /// Returns all violations.
    pub fn violations(&self) -> impl Iterator<Item = (&'static str, &Violation)> {
        let lists = [
            ("lost", &self.lost),
            ("wrong", &self.wrong),
            ("unexplained duplicate", &self.unexplained),
            ("early", &self.early),
            ("order", &self.disorder),
        ];
        lists
            .into_iter()
            .flat_map(|(kind, list)| list.iter().map(move |violation| (kind, violation)))
    }

    /// Returns whether nothing forbidden has happened.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations().next().is_none()
    }
}

/// A history, sorted by what belongs together.
pub struct Case<'a> {
    /// All of it.
    pub history: &'a History,
    requests: BTreeMap<Number, &'a Request>,
    arrivals: BTreeMap<(Number, Role), Vec<&'a Arrival>>,
}

impl<'a> Case<'a> {
    /// Sorts a history.
    #[must_use]
    pub fn of(history: &'a History) -> Self {
        let requests = history
            .requests
            .iter()
            .map(|request| (request.number, request));
        let requests = requests.collect();
        let mut arrivals: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for arrival in &history.arrivals {
            let key = (arrival.number, arrival.role);
            arrivals.entry(key).or_default().push(arrival);
        }
        Self {
            history,
            requests,
            arrivals,
        }
    }

    /// Returns the request of an arrival.
    #[must_use]
    pub fn request(&self, arrival: &Arrival) -> Option<&'a Request> {
        self.requests.get(&arrival.number).copied()
    }

    /// Returns all arrivals of a call or of a reply, in order.
    #[must_use]
    pub fn arrivals(&self, number: Number, role: Role) -> &[&'a Arrival] {
        self.arrivals
            .get(&(number, role))
            .map_or(&[], Vec::as_slice)
    }

    /// Returns which process of a gateway was alive at a time: how often it had been started again.
    #[must_use]
    pub fn life(&self, gateway: Gateway, at: Millis) -> usize {
        let kills = self.faults(|fault| fault.how == How::Kill);
        let kills = kills.filter(|kill| kill.part == Part::Gateway(gateway));
        kills.filter(|kill| kill.reborn <= at).count()
    }

    /// Returns the faults of some kind.
    pub fn faults(&self, is_meant: impl Fn(&Fault) -> bool) -> impl Iterator<Item = &'a Fault> {
        self.history.faults.iter().filter(move |f| is_meant(f))
    }
}

/// Judges a history.
#[must_use]
pub fn judge(history: &History) -> Verdict {
    let case = Case::of(history);
    let mut verdict = Verdict::default();
    ends::judge(&case, &mut verdict);
    repeats::judge(&case, &mut verdict);
    order::judge(&case, &mut verdict);
    early::judge(&case, &mut verdict);
    recovery::judge(&case, &mut verdict);
    outage::judge(&case, &mut verdict);
    for fault in &history.faults {
        let kind = recovery::kind(fault.part);
        let count = verdict.faults.entry((kind, fault.how)).or_default();
        *count = count.saturating_add(1);
    }
    verdict
}

/// Returns how many accepted calls have not ended yet, including replies.
#[must_use]
pub fn pending(history: &History) -> usize {
    let mut verdict = Verdict::default();
    ends::judge(&Case::of(history), &mut verdict);
    verdict.lost.len()
}
