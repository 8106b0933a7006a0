//! G1: a call answered `202` is on the Stream, and what an answer says about the Stream is true.

use serde_json::Value;
use sluice::http::OutgoingResponse;

use super::Violation;
use crate::ledger::{CALLS, Ledger, Place};

/// Checks an answer to a client. Returns the call that it names, if any. With `is_keyed` it may be
/// the call of another request.
///
/// # Errors
/// If that call isn't stored, or not where the answer says.
pub fn answered(
    ledger: &mut Ledger,
    client: usize,
    response: &OutgoingResponse,
    is_keyed: bool,
) -> Result<Option<String>, Violation> {
    if response.status != 202 {
        return Ok(None);
    }
    let receipt: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = |name: &str| {
        receipt
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let id = text("id").to_owned();
    let broken = |what: &str| Err(Violation::new("G1", id.clone(), what));
    let place = Place {
        stream: CALLS,
        partition: text("partition").parse().unwrap_or(u32::MAX),
        offset: receipt
            .get("offset")
            .and_then(Value::as_u64)
            .unwrap_or(u64::MAX),
    };
    let places = ledger.places.get(&id).cloned().unwrap_or_default();
    let is_there =
        |found: &Place| (found.partition, found.offset) == (place.partition, place.offset);
    if !places.iter().any(is_there) {
        return broken("it was answered 202 and is not stored where the answer says");
    }
    if ledger.accepted.insert(id.clone(), client).is_some() && !is_keyed {
        return broken("two requests were answered with one call");
    }
    Ok(Some(id))
}
