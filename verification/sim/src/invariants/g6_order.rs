//! G6: calls with one order key neither overlap nor overtake, with the exceptions of
//! docs/ordering.md.

use super::{Start, Violation};
use crate::ledger::{Attempt, CALLS, Ledger, Place};

/// Checks the start of an attempt.
///
/// # Errors
/// If the same engine has a call of the same key under way; or if this is the call's first attempt,
/// and an earlier call of its key has not ended, wherever it waits.
pub fn check(ledger: &Ledger, start: &Start<'_>) -> Result<(), Violation> {
    let mut heads = ledger.heads(start.call);
    if heads.all(|(_, head)| head.order_key.is_none()) {
        return Ok(());
    }
    let places = ledger.places.get(start.call).into_iter().flatten();
    let mut places = places.filter(|place| place.stream == CALLS);
    let own = places.find_map(|place| {
        let key = ledger.records.get(place)?.order_key()?;
        Some((*place, key))
    });
    let Some((place, key)) = own else {
        let text = "it never stood where the calls of its order key do";
        return Err(Violation::new("G6", start.call, text));
    };
    let is_first = ledger.attempts_of(start.call).next().is_none();
    let range = Place { offset: 0, ..place }..;
    let same_partition = ledger.records.range(range).take_while(|(other, _)| {
        (other.stream, other.partition) == (place.stream, place.partition)
    });
    for (other, record) in same_partition {
        if record.order_key() != Some(key) || record.id == start.call {
            continue;
        }
        if is_first
            && *other < place
            && let Err(what) = ledger.has_ended(*other)
        {
            let text = format!("it overtakes call {}, which {what}", record.id);
            return Err(Violation::new("G6", start.call, text));
        }
        let is_open =
            |attempt: &Attempt| attempt.by == start.by && attempt.end.is_none() && !attempt.is_left;
        // If the host never tells the end of a callout, it is given up after a while.
        let is_open = |a: &Attempt| is_open(a) && start.at < a.at.saturating_add(5_000);
        if ledger.attempts_of(&record.id).any(is_open) {
            let text = format!("it overlaps with call {}", record.id);
            return Err(Violation::new("G6", start.call, text));
        }
    }
    Ok(())
}
