//! The answers to the clients of a scenario.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::client::{Answer, Ended};

/// Statuses that ask a client to come again, so that they have to say when (RFC 9110 §10.2.3).
const COME_AGAIN: [u16; 2] = [429, 503];

/// Counted answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// How often each status came.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// The calls that got their `202`: they have to arrive.
    pub(crate) promised: Vec<String>,
    /// Refusals that ask to come again and don't say when.
    pub(crate) unclear: usize,
    /// `202` without the id of a call.
    pub(crate) nameless: usize,
    /// Connections and streams that the gateway ended without an answer.
    pub(crate) closed: usize,
    /// Requests that were never answered.
    pub(crate) hung: usize,
}

impl Tally {
    /// Counts how a request ended.
    pub(crate) fn add(&mut self, ended: Ended) {
        match ended {
            Ended::Answered(answer) => self.answered(answer),
            Ended::Closed => self.closed += 1,
            Ended::Hung => self.hung += 1,
        }
    }

    fn answered(&mut self, answer: Answer) {
        *self.statuses.entry(answer.status).or_default() += 1;
        if COME_AGAIN.contains(&answer.status) && !answer.has_retry_after {
            self.unclear += 1;
        }
        if answer.status == 202 {
            match answer.call_id {
                Some(call) => self.promised.push(call),
                None => self.nameless += 1,
            }
        }
    }

    /// Counts another tally's requests too.
    pub(crate) fn merge(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.promised.extend(other.promised);
        self.unclear += other.unclear;
        self.nameless += other.nameless;
        self.closed += other.closed;
        self.hung += other.hung;
    }

    /// Returns how often a status came.
    pub(crate) fn of(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Returns the number of all requests.
    pub(crate) fn requests(&self) -> usize {
        self.statuses.values().sum::<usize>() + self.closed + self.hung
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests:", self.requests())?;
        for (status, count) in &self.statuses {
            write!(f, " {status} × {count},")?;
        }
        write!(f, " closed {}, hung {}", self.closed, self.hung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, has_retry_after: bool, call: Option<&str>) -> Ended {
        Ended::Answered(Answer {
            status,
            has_retry_after,
            is_last: false,
            call_id: call.map(str::to_owned),
        })
    }

    #[test]
    fn a_202_is_a_promise_and_needs_an_id() {
        let mut tally = Tally::default();
        tally.add(answer(202, false, Some("a")));
        tally.add(answer(202, false, None));
        assert_eq!((tally.promised.len(), tally.nameless), (1, 1));
        assert_eq!(tally.of(202), 2);
    }

    #[test]
    fn who_shall_come_again_has_to_be_told_when() {
        let mut tally = Tally::default();
        for (status, has_retry_after) in [(503, true), (503, false), (429, false), (413, false)] {
            tally.add(answer(status, has_retry_after, None));
        }
        assert_eq!(tally.unclear, 2);
    }

    #[test]
    fn merged_tallies_have_all_requests() {
        let mut tally = Tally::default();
        tally.add(Ended::Hung);
        let mut other = Tally::default();
        other.add(Ended::Closed);
        other.add(answer(202, false, Some("b")));
        tally.merge(other);
        assert_eq!(tally.requests(), 3);
        assert_eq!(tally.to_string(), "3 requests: 202 × 1, closed 1, hung 1");
    }
}
