//! G2: every call on the Stream ends delivered, or as a dead letter, once faults have stopped.

use super::Violation;
use crate::ledger::{End, Ledger};
use crate::snapshot::{Backlog, Snapshot};

/// Returns whether everything on the streams is committed, and every client is answered.
#[must_use]
pub fn is_done(snapshot: &Snapshot) -> bool {
    snapshot.waiting_clients == 0 && !snapshot.backlog.iter().any(is_behind)
}

fn is_behind(backlog: &Backlog) -> bool {
    backlog.committed < backlog.written
}

/// Returns what is not done although it should be.
#[must_use]
pub fn what_is_missing(ledger: &Ledger, snapshot: &Snapshot) -> Violation {
    if let Some(behind) = snapshot.backlog.iter().find(|backlog| is_behind(backlog)) {
        let Backlog {
            stream,
            partition,
            written,
            committed,
        } = behind;
        let text = format!("{stream} {partition} stands at {committed} of {written}");
        return Violation::new("G2", unfinished(ledger), text);
    }
    if let Some(busy) = &snapshot.busy_engine {
        return Violation::new("G10", "", busy.clone());
    }
    Violation::new("G10", "", "clients still wait for an answer")
}

fn unfinished(ledger: &Ledger) -> String {
    let places = ledger.records.keys();
    let mut open = places.filter(|place| ledger.is_settled(**place).is_err());
    let record = open.next().and_then(|place| ledger.records.get(place));
    record.map(|record| record.id.clone()).unwrap_or_default()
}

/// Checks that every call has ended.
///
/// # Errors
/// The first call that hasn't.
pub fn check(ledger: &Ledger) -> Result<(), Violation> {
    for (id, places) in &ledger.places {
        let is_dead = places.iter().any(|place| ledger.dead.contains_key(place));
        if !is_dead && !ledger.has_end(id, End::Delivered) {
            let text = "it has come to no end, and everything is committed";
            return Err(Violation::new("G2", id.clone(), text));
        }
    }
    for id in ledger.accepted.keys() {
        if !ledger.places.contains_key(id) {
            return Err(Violation::new("G2", id.clone(), "it is nowhere"));
        }
    }
    Ok(())
}
