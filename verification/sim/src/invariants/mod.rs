//! The guarantees of ARCHITECTURE.md as code, one file each. They are checked at every attempt,
//! every stored record, every commit, every answer, and at the end.

pub mod expiry;
pub mod g10_lives;
pub mod g11_hoards;
pub mod g11_shares;
pub mod g1_stored;
pub mod g2_ends;
pub mod g3_repeats;
pub mod g4_commit;
pub mod g5_time;
pub mod g6_order;
pub mod g6_waits;
pub mod g7_allowed;
pub mod g8_headers;
pub mod g9_bounds;
pub mod keys;

use std::fmt;
use std::time::Duration;

use sluice::drain::config::DrainConfig;
use sluice::engine::Callout;

use crate::ledger::{Attempt, Engine, Ledger};
use crate::snapshot::Snapshot;

/// A guarantee that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The guarantee: `G1` to `G11`, `keys`, or `age`.
    pub guarantee: &'static str,
    /// The call concerned; empty if there is none.
    pub call: String,
    /// What happened instead.
    pub text: String,
}

impl Violation {
    /// Returns a violation of this guarantee by this call.
    pub fn new(guarantee: &'static str, call: impl Into<String>, text: impl Into<String>) -> Self {
        let (call, text) = (call.into(), text.into());
        Self {
            guarantee,
            call,
            text,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} does not hold", self.guarantee)?;
        if !self.call.is_empty() {
            write!(formatter, " for call {}", self.call)?;
        }
        write!(formatter, ": {}", self.text)
    }
}

/// An attempt that starts.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The engine that makes it.
    pub by: Engine,
    /// The time, in milliseconds.
    pub at: u64,
    /// The latest time that the wall clock of its gateway has shown.
    pub latest_wall: u64,
    /// The number of the callout.
    pub exchange: u64,
    /// The call id that it carries.
    pub call: &'a str,
    /// The request.
    pub callout: &'a Callout,
}

/// Checks the start of an attempt.
///
/// # Errors
/// The first guarantee that it breaks.
pub fn at_an_attempt(
    ledger: &mut Ledger,
    config: &DrainConfig,
    start: &Start<'_>,
) -> Result<(), Violation> {
    g8_headers::check(ledger, start)?;
    g7_allowed::check(ledger, start)?;
    g5_time::check(ledger, config, start)?;
    g6_order::check(ledger, start)?;
    g11_shares::check(ledger, config, start)?;
    g3_repeats::check(ledger, config, start)?;
    let attempts = ledger.attempts.entry(start.call.to_owned()).or_default();
    attempts.push(Attempt {
        by: start.by,
        at: start.at,
        exchange: start.exchange,
        deadline: start.at.saturating_add(millis(start.callout.timeout)),
        end: None,
        end_wall: 0,
        is_left: false,
    });
    Ok(())
}

/// Returns whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Checks the end of a run.
///
/// # Errors
/// The first guarantee that doesn't hold.
pub fn at_the_end(ledger: &Ledger, snapshot: &Snapshot) -> Result<(), Violation> {
    g2_ends::check(ledger)?;
    g10_lives::check(snapshot)
}
