//! No call is made before its time (G5), nor before the pause is over that its target has asked for.

use super::{Case, Verdict, Violation};
use crate::history::{Fate, Role};

/// Compares each attempt with its time.
pub fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    for request in &case.history.requests {
        let calls = case.arrivals(request.number, Role::Call);
        for (index, call) in calls.iter().enumerate() {
            let mut say = |what: String| {
                let number = request.number;
                verdict.early.push(Violation { number, what });
            };
            if let Some(due) = request.due_unix.filter(|due| call.start_unix < *due) {
                let by = due.saturating_sub(call.start_unix);
                say(format!("{by} ms before its time: {call:?}"));
            }
            let Some(before) = index.checked_sub(1).and_then(|index| calls.get(index)) else {
                continue;
            };
            let Fate::Again(pause) = before.fate else {
                continue;
            };
            // Another process may not know of it.
            let is_told = before.gateway == call.gateway
                && case.life(call.gateway, before.start) == case.life(call.gateway, call.start)
                && call.attempt > before.attempt;
            if is_told && call.start < before.end.saturating_add(pause) {
                say(format!(
                    "{call:?} before the pause after {before:?} was over"
                ));
            }
        }
    }
}
