//! No call is made before its time (G5), nor during the pause that its target has asked for. There
//! are two exceptions: the drain may not have heard the answer, or there are two records of the
//! call, and each of them knows only its own attempts.

use super::repeats::{is_unheard, two_records};
use super::{Case, Verdict, Violation};
use crate::history::{Arrival, Fate, Role};

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
            let before = calls.get(..index).unwrap_or_default();
            if let Some((before, pause)) = follows(before, call)
                && !is_unheard(case, before)
                && !two_records(case, request, call)
                && call.start < before.end.saturating_add(pause)
            {
                say(format!(
                    "{call:?} before the pause after {before:?} was over"
                ));
            }
        }
    }
}

/// Returns the attempt that this one follows, and the pause that its target has asked for. If there
/// were two attempts with that number, there are two records of the call, and nobody can see which
/// one goes on here.
fn follows<'a>(before: &[&'a Arrival], call: &Arrival) -> Option<(&'a Arrival, u64)> {
    let previous = call.attempt?.checked_sub(1)?;
    let is_previous = |before: &&&Arrival| before.attempt == Some(previous);
    let mut previous = before.iter().filter(is_previous);
    let (Some(before), None) = (previous.next(), previous.next()) else {
        return None;
    };
    match before.fate {
        Fate::Again(pause) => Some((before, pause)),
        Fate::Taken | Fate::Refused | Fate::Silence => None,
    }
}
