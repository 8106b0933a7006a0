//! G5: no call is made before its time, by the clock of the gateway that makes it; nor before the
//! time that its target has asked for, unless the call would be too old by then.

use sluice::drain::config::DrainConfig;
use sluice::limits::LAST_ATTEMPT_MAX;

use super::expiry::until;
use super::{Start, Violation, millis};
use crate::ledger::{Attempt, EPOCH_MS, End, Engine, Ledger};

/// Checks the start of an attempt.
///
/// # Errors
/// If it is early.
pub fn check(ledger: &Ledger, config: &DrainConfig, start: &Start<'_>) -> Result<(), Violation> {
    for (_, head) in ledger.heads(start.call) {
        let Some(due) = head.deliver_at else { continue };
        if start.latest_wall < due.0 {
            let early = due.0.saturating_sub(start.latest_wall);
            return Err(Violation::new(
                "G5",
                start.call,
                format!("it is {early} ms early"),
            ));
        }
    }
    let own = |attempt: &&Attempt| attempt.by == start.by;
    let last = ledger.attempts_of(start.call).rfind(own);
    let asked_max = millis(config.attempt.retry_after_max);
    if let Some((last, (at, End::Again(asked)))) = last.and_then(|last| Some((last, last.end?)))
        && start.at < at.saturating_add(asked.min(asked_max))
        && !may_have_forgotten(ledger, start.by, at)
        && !is_at_its_end(ledger, config, start, last)
        && ledger
            .places
            .get(start.call)
            .is_some_and(|places| places.len() == 1)
    {
        let text = format!("the target has asked for a pause of {asked} ms at {at}");
        return Err(Violation::new("G5", start.call, text));
    }
    Ok(())
}

/// Returns whether this engine may have forgotten what it heard at a time: after several lost
/// sessions in a row there is more than it may keep, and the oldest is forgotten.
fn may_have_forgotten(ledger: &Ledger, engine: Engine, heard: u64) -> bool {
    let joins = ledger.joins.get(&engine);
    let joins = joins.into_iter().flatten();
    joins.filter(|joined| **joined > heard).count() >= 2
}

/// Returns whether this may be the last attempt in the call's time, for which no pause is too long.
/// The drain computed the call's time when the pause began, by the clock of that moment, which may
/// have been wrong, and waits for it whatever its clock shows since.
fn is_at_its_end(ledger: &Ledger, config: &DrainConfig, start: &Start<'_>, last: &Attempt) -> bool {
    let places = ledger.places.get(start.call).into_iter().flatten();
    let records = places.filter_map(|place| ledger.records.get(place));
    let heads = records.filter_map(|record| Some((record, record.head.as_ref()?)));
    let paused = last.end.map_or(0, |(at, _)| start.at.saturating_sub(at));
    let waited = last.end_wall.saturating_add(paused);
    let wall = start.latest_wall.max(EPOCH_MS.saturating_add(start.at));
    let wall = wall.max(waited);
    let mut ends = heads.map(|(record, head)| until(record, head, config));
    ends.any(|until| wall.saturating_add(millis(LAST_ATTEMPT_MAX)) >= until.0)
}
