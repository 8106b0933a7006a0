//! G6: a call whose turn has come is begun soon, once nothing goes wrong any more.

use super::{Start, Violation};
use crate::ledger::{CALLS, EPOCH_MS, Ledger};

/// How long after its turn a call is begun at the latest, in milliseconds.
const BEGUN_WITHIN_MS: u64 = 45_000;

/// Checks the start of an attempt.
///
/// # Errors
/// If the call's turn came long ago.
pub fn check(ledger: &Ledger, calm_at: u64, start: &Start<'_>) -> Result<(), Violation> {
    if ledger.attempts_of(start.call).next().is_some() {
        return Ok(());
    }
    let places = ledger.places.get(start.call).into_iter().flatten();
    let mut places = places.filter(|place| place.stream == CALLS);
    let own = places.find_map(|place| Some((*place, ledger.records.get(place)?)));
    let Some((place, record)) = own else {
        return Ok(());
    };
    let Some(key) = record.order_key() else {
        return Ok(());
    };
    let due = record.head.as_ref().and_then(|head| head.deliver_at);
    let due = due.map_or(0, |due| due.0.saturating_sub(EPOCH_MS));
    let mut turn = record.at.max(due).max(calm_at);
    let partition = crate::ledger::Place { offset: 0, ..place }..place;
    for (_, other) in ledger.records.range(partition) {
        if other.order_key() == Some(key) && other.id != start.call {
            let ended = ledger.ended_at.get(&other.id).copied();
            turn = turn.max(ended.unwrap_or_default());
        }
    }
    let waited = start.at.saturating_sub(turn);
    if waited > BEGUN_WITHIN_MS {
        let text = format!("it was begun {waited} ms after its turn had come");
        return Err(Violation::new("G6", start.call, text));
    }
    Ok(())
}
