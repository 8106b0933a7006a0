//! Step 2e: how far the Stream may forget (G4).
//!
//! A group cursor commits everything that was fetched before it, so the unit of a commit is a
//! fetch. Once every record of the oldest fetches is settled, the cursor behind them is committed.

use std::collections::VecDeque;

use crate::id::RecordId;
use crate::stream::consume::Cursor;

/// A fetch of this session, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchNumber(u64);

#[derive(Debug)]
struct Fetch {
    /// The cursor that came with the records; committing it commits them.
    cursor: Cursor,
    records: Vec<RecordId>,
    unsettled: usize,
}

/// The fetches that aren't committed yet, in order.
#[derive(Debug, Default)]
pub struct CommitTracker {
    fetches: VecDeque<Fetch>,
    first: u64,
}

impl CommitTracker {
    /// Adds a fetch. Its records follow by [`Self::add`].
    pub fn fetched(&mut self, cursor: Cursor) -> FetchNumber {
        let number = self.first.saturating_add(self.fetches.len() as u64);
        self.fetches.push_back(Fetch {
            cursor,
            records: Vec::new(),
            unsettled: 0,
        });
        FetchNumber(number)
    }

    /// Adds a record to a fetch.
    pub fn add(&mut self, number: FetchNumber, record: RecordId, settled: bool) {
        if let Some(fetch) = self.fetch(number) {
            fetch.records.push(record);
            fetch.unsettled += usize::from(!settled);
        }
    }

    /// Something else than a record holds up the commit of this fetch, until [`Self::settle`].
    pub fn hold(&mut self, number: FetchNumber) {
        if let Some(fetch) = self.fetch(number) {
            fetch.unsettled = fetch.unsettled.saturating_add(1);
        }
    }

    /// A record of this fetch is settled.
    pub fn settle(&mut self, number: FetchNumber) {
        if let Some(fetch) = self.fetch(number) {
            fetch.unsettled = fetch.unsettled.saturating_sub(1);
        }
    }

    /// Returns the furthest cursor that commits nothing unsettled, with the last fetch that it
    /// commits.
    #[must_use]
    pub fn committable(&self) -> Option<(FetchNumber, &Cursor)> {
        let settled = self.fetches.iter().take_while(|fetch| fetch.unsettled == 0);
        let (index, fetch) = settled.enumerate().last()?;
        Some((
            FetchNumber(self.first.saturating_add(index as u64)),
            &fetch.cursor,
        ))
    }

    /// Forgets the fetches up to this one, and returns their records.
    pub fn committed(&mut self, number: FetchNumber) -> Vec<RecordId> {
        let mut records = Vec::new();
        while self.first <= number.0 {
            let Some(fetch) = self.fetches.pop_front() else {
                break;
            };
            self.first += 1;
            records.extend(fetch.records);
        }
        records
    }

    /// Returns whether everything that was fetched is committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// Forgets everything, because the session's cursors have become invalid.
    pub fn clear(&mut self) {
        self.first = self.first.saturating_add(self.fetches.len() as u64);
        self.fetches.clear();
    }

    fn fetch(&mut self, number: FetchNumber) -> Option<&mut Fetch> {
        let index = usize::try_from(number.0.checked_sub(self.first)?).ok()?;
        self.fetches.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Position, StreamName};

    fn position(offset: u64) -> RecordId {
        RecordId::new(
            StreamName::Calls,
            Position {
                partition: 0,
                offset,
            },
            "2026",
        )
    }

    fn cursor(name: &str) -> Cursor {
        Cursor(name.to_owned())
    }

    #[test]
    fn only_the_settled_prefix_is_committed() {
        let mut tracker = CommitTracker::default();
        let first = tracker.fetched(cursor("a"));
        tracker.add(first, position(0), false);
        tracker.add(first, position(1), false);
        let second = tracker.fetched(cursor("b"));
        tracker.add(second, position(2), false);
        assert_eq!(tracker.committable(), None);
        tracker.settle(second);
        assert_eq!(
            tracker.committable(),
            None,
            "the first fetch is still unsettled"
        );
        tracker.settle(first);
        assert_eq!(tracker.committable(), None, "one record of it is");
        tracker.settle(first);
        assert_eq!(tracker.committable(), Some((second, &cursor("b"))));
        assert_eq!(
            tracker.committed(second),
            [position(0), position(1), position(2)]
        );
        assert_eq!(tracker.committable(), None);
    }

    #[test]
    fn fetches_of_a_lost_session_are_never_committed() {
        let mut tracker = CommitTracker::default();
        let old = tracker.fetched(cursor("old"));
        tracker.add(old, position(0), false);
        tracker.clear();
        let new = tracker.fetched(cursor("new"));
        tracker.add(new, position(0), false);
        tracker.settle(old);
        assert_eq!(tracker.committable(), None);
        tracker.settle(new);
        assert_eq!(tracker.committable(), Some((new, &cursor("new"))));
    }
}
