//! Age: no call is given up as too old before its time, by the clock of the gateway that gives it
//! up.

use std::time::Duration;

use serde_json::Value;
use sluice::drain::config::DrainConfig;
use sluice::record::CallHead;
use sluice::time::Wall;
use sluice::time_text::parse_rfc_3339;

use super::Violation;
use crate::ledger::{EPOCH_MS, Ledger, Place, Record};

/// Checks a stored dead letter, for the record at this place.
///
/// # Errors
/// If it says that the call is too old, and the call isn't.
pub fn check(
    ledger: &Ledger,
    config: &DrainConfig,
    source: Place,
    letter: &Value,
) -> Result<(), Violation> {
    let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
    let record = ledger.records.get(&source);
    let Some((record, head)) = record.and_then(|record| Some((record, record.head.as_ref()?)))
    else {
        return Ok(());
    };
    if text("reason") != "expired" {
        return Ok(());
    }
    let until = until(record, head, config);
    let dead_at = parse_rfc_3339(text("deadAt")).unwrap_or_default();
    if dead_at > until {
        return Ok(());
    }
    let text = format!("it expired at {dead_at}, and had time until {until}");
    Err(Violation::new("age", record.id.clone(), text))
}

/// Returns until when a call may be made, by its record.
pub fn until(record: &Record, head: &CallHead, config: &DrainConfig) -> Wall {
    let accepted = head.accepted_at.as_deref().and_then(parse_rfc_3339);
    let stored = Wall(EPOCH_MS.saturating_add(record.at));
    let earliest = head.deliver_at.or(accepted).unwrap_or(stored);
    let since = earliest.max(head.progress.since.unwrap_or_default());
    let max_age = head.max_age_ms.map(Duration::from_millis);
    let max_age = max_age.unwrap_or(config.attempt.max_age_default);
    since.plus(max_age.min(config.attempt.max_age_max))
}
