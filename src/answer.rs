//! The answer role: it holds a target's answer until it is complete, or cuts it.
//!
//! Envoy gives the answer to a callout only if it is complete: Envoy buffers up to 32 MiB, and
//! drops even the status if more comes or the time runs out. So answers are held on their way to
//! the drain, up to a limit. If an answer is longer, or takes longer than the attempt may, the
//! drain gets its head and as much of its content as has come, and Envoy ends the target's answer.
//!
//! This engine is pure like the others, but simpler: each question has its answer at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::headers::ANSWER_CUT;
use crate::http::{Fields, is_hop_by_hop, named_by_connection};
use crate::id::RequestId;
use crate::limits::RESPONSES_PER_CALLBACK_MAX;
use crate::time::Steady;

/// How long before the end of its attempt's time an answer is cut: a tenth of that time, within
/// these bounds.
const MARGIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// The configuration of the answer role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerConfig {
    /// Bytes of content that an answer keeps.
    pub body_bytes_max: usize,
}

/// What to do with an answer, or with the part of it that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer goes on, with what was held.
    Pass,
    /// The answer waits for more.
    Hold,
    /// The drain gets what has come so far.
    Cut,
}

/// The answers of one worker that aren't complete.
#[derive(Debug)]
pub struct AnswerEngine {
    body_bytes_max: usize,
    held: BTreeMap<RequestId, Steady>,
    deadlines: BTreeSet<(Steady, RequestId)>,
}

impl AnswerEngine {
    /// Returns an engine that cuts answers with more content than this.
    #[must_use]
    pub const fn new(body_bytes_max: usize) -> Self {
        Self {
            body_bytes_max,
            held: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Returns how many bytes of content an answer keeps.
    #[must_use]
    pub const fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Handles the head of an answer. `due` is the latest time at which the answer has to be given.
    pub fn head(&mut self, id: RequestId, due: Steady, end_of_stream: bool) -> Verdict {
        if end_of_stream {
            return Verdict::Pass;
        }
        self.gone(id);
        self.held.insert(id, due);
        self.deadlines.insert((due, id));
        Verdict::Hold
    }

    /// Handles content: so many bytes have come in all.
    pub fn body(&mut self, id: RequestId, bytes: usize, end_of_stream: bool) -> Verdict {
        if !self.held.contains_key(&id) {
            return Verdict::Pass;
        }
        let verdict = if bytes > self.body_bytes_max {
            Verdict::Cut
        } else if end_of_stream {
            Verdict::Pass
        } else {
            return Verdict::Hold;
        };
        self.gone(id);
        verdict
    }

    /// An answer is complete, or nobody waits for it any more.
    pub fn gone(&mut self, id: RequestId) {
        if let Some(due) = self.held.remove(&id) {
            self.deadlines.remove(&(due, id));
        }
    }

    /// Returns answers that can't be held any longer and have to be cut; few enough for one
    /// callback.
    pub fn overdue(&mut self, now: Steady) -> Vec<RequestId> {
        let overdue = self.deadlines.iter().take_while(|(due, _)| *due <= now);
        let overdue = overdue.take(RESPONSES_PER_CALLBACK_MAX);
        let overdue: Vec<RequestId> = overdue.map(|(_, id)| *id).collect();
        for id in &overdue {
            self.gone(*id);
        }
        overdue
    }

    /// Returns when to ask for overdue answers; `None` while nothing is held.
    #[must_use]
    pub fn wakeup(&self) -> Option<Steady> {
        self.deadlines.first().map(|(due, _)| *due)
    }
}

/// Returns when the answer to an attempt that began at `start` and may take `limit` has to be
/// given: shortly before the drain gives it up.
#[must_use]
pub fn due(start: Steady, limit: Duration) -> Steady {
    let (least, most) = MARGIN;
    let margin = (limit / 10).clamp(least, most);
    start.plus(limit.saturating_sub(margin))
}

/// Returns the head of an answer that is cut: the target's own fields, except those about its
/// connection and its length.
#[must_use]
pub fn cut_head(fields: Fields) -> (u16, Fields) {
    let named = named_by_connection(&fields);
    let mut status = 0;
    let mut kept = Fields::with_capacity(fields.len());
    for (name, value) in fields {
        if name == ":status" {
            let text = std::str::from_utf8(&value).unwrap_or_default();
            status = text.parse().unwrap_or_default();
        } else if !name.starts_with(':')
            && name != "content-length"
            && name != ANSWER_CUT
            && !is_hop_by_hop(&name, &named)
        {
            kept.push((name, value));
        }
    }
    kept.push((ANSWER_CUT.to_owned(), b"true".to_vec()));
    (status, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: RequestId = RequestId(1);

    fn engine() -> AnswerEngine {
        AnswerEngine::new(10)
    }

    #[test]
    fn what_is_whole_in_time_passes() {
        let mut engine = engine();
        assert_eq!(engine.head(ONE, Steady(50), true), Verdict::Pass);
        assert_eq!(engine.wakeup(), None);
        assert_eq!(engine.head(ONE, Steady(50), false), Verdict::Hold);
        assert_eq!(engine.wakeup(), Some(Steady(50)));
        assert_eq!(engine.body(ONE, 9, false), Verdict::Hold);
        assert_eq!(engine.body(ONE, 10, true), Verdict::Pass);
        assert_eq!(engine.wakeup(), None);
        assert!(engine.overdue(Steady(60)).is_empty());
    }

    #[test]
    fn what_is_longer_is_cut_once() {
        let mut engine = engine();
        engine.head(ONE, Steady(50), false);
        assert_eq!(engine.body(ONE, 11, false), Verdict::Cut);
        assert_eq!(engine.body(ONE, 12, true), Verdict::Pass);
        assert!(engine.overdue(Steady(60)).is_empty());
    }

    #[test]
    fn what_takes_longer_is_cut_a_few_at_a_time() {
        let mut engine = engine();
        for id in 0..100 {
            engine.head(RequestId(id), Steady(50), false);
        }
        engine.gone(RequestId(7));
        assert!(engine.overdue(Steady(49)).is_empty());
        let first = engine.overdue(Steady(50));
        assert_eq!(first.len(), RESPONSES_PER_CALLBACK_MAX);
        assert!(!first.contains(&RequestId(7)));
        assert_eq!(engine.overdue(Steady(50)).len(), 99 - first.len());
        assert_eq!(engine.wakeup(), None);
    }

    #[test]
    fn it_is_due_shortly_before_the_attempt_ends() {
        let due = |limit| due(Steady(1_000), Duration::from_millis(limit)).0 - 1_000;
        assert_eq!(due(100), 90);
        assert_eq!(due(30_000), 29_750);
        assert_eq!(due(20), 15);
        assert_eq!(due(1), 0);
    }

    #[test]
    fn the_targets_own_head_stays() {
        let fields = [
            (":status", "201"),
            ("content-length", "99999"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("location", "/7"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            (ANSWER_CUT, "forged"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
        let (status, kept) = cut_head(fields.to_vec());
        let kept: Vec<String> = kept
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(status, 201);
        assert_eq!(
            kept,
            [
                "location=/7",
                "set-cookie=a",
                "set-cookie=b",
                "async-answer-cut=true"
            ]
        );
    }
}
