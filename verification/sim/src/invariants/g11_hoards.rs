//! G11: the waiting calls of an order key stop nobody else's calls.

use super::{Start, Violation};
use crate::ledger::Ledger;

/// Checks the start of an attempt, in a run in which somebody hoards calls and nothing else goes
/// wrong.
///
/// # Errors
/// If a call that was due, and has no order key, is begun late.
pub fn check(ledger: &Ledger, within: u64, start: &Start<'_>) -> Result<(), Violation> {
    let mut places = ledger.places.get(start.call).into_iter().flatten();
    let Some(record) = places.next().and_then(|place| ledger.records.get(place)) else {
        return Ok(());
    };
    let is_free = record
        .head
        .as_ref()
        .is_some_and(|head| head.order_key.is_none() && head.deliver_at.is_none());
    let is_first = ledger.attempts_of(start.call).next().is_none();
    let waited = start.at.saturating_sub(record.at);
    if is_free && is_first && waited > within {
        let text = format!("it was begun {waited} ms after it was stored");
        return Err(Violation::new("G11", start.call, text));
    }
    Ok(())
}
