//! G10: nothing that comes from outside stops an engine: at the end it is idle, not stuck. (A panic
//! is caught in [`crate::run`].)

use super::Violation;
use crate::snapshot::Snapshot;

/// Checks the end of a run.
///
/// # Errors
/// If an engine believes that it still holds something.
pub fn check(snapshot: &Snapshot) -> Result<(), Violation> {
    match &snapshot.busy_engine {
        Some(what) => Err(Violation::new("G10", "", what.clone())),
        None => Ok(()),
    }
}
