//! G4: nothing past an unsettled call is committed.

use super::Violation;
use crate::ledger::{Ledger, Place};

/// Checks records that were just committed.
///
/// # Errors
/// The first record that isn't settled.
pub fn check(ledger: &Ledger, places: impl Iterator<Item = Place>) -> Result<(), Violation> {
    for place in places {
        if let Err(what) = ledger.is_settled(place)
            && !ledger.has_ended_elsewhere(place)
        {
            let id = ledger.records.get(&place).map(|record| record.id.clone());
            let text = format!("{place:?} was committed and {what}");
            return Err(Violation::new("G4", id.unwrap_or_default(), text));
        }
    }
    Ok(())
}
