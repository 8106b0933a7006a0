//! G10: nothing that comes from outside stops an engine: at the end it is idle, not stuck. (A panic
//! is caught in [`crate::run`].)

use super::Violation;
use crate::world::World;

/// Everything is done.
///
/// # Errors
/// An engine believes that it still holds something.
pub fn check(world: &World) -> Result<(), Violation> {
    match world.busy_engine() {
        Some(what) => Err(Violation::new("G10", "", what)),
        None => Ok(()),
    }
}
