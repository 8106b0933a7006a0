//! Which offset of the source is which offset of the copy.

use super::error::CopyError;
use super::limits::RUNS_MAX;

/// Messages whose offsets have no gaps at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    source: u64,
    copy: u64,
    count: u64,
}

/// The offsets of one partition, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OffsetMap {
    runs: Vec<Run>,
}

impl OffsetMap {
    /// Notes the next message.
    pub(super) fn add(&mut self, source: u64, copy: u64) -> Result<(), CopyError> {
        if let Some(run) = self.runs.last_mut()
            && run.source.saturating_add(run.count) == source
            && run.copy.saturating_add(run.count) == copy
        {
            run.count = run.count.saturating_add(1);
            return Ok(());
        }
        if self.runs.len() >= RUNS_MAX {
            let problem = format!("the offsets of a partition have more than {RUNS_MAX} gaps");
            return Err(CopyError::Refused(problem));
        }
        let count = 1;
        self.runs.push(Run {
            source,
            copy,
            count,
        });
        Ok(())
    }

    /// Returns the offset of the copy of the last message up to this one; `None` if there is none.
    pub(super) fn copy_of(&self, source: u64) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.source <= source);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let last = run.count.saturating_sub(1);
        let steps = source.saturating_sub(run.source).min(last);
        Some(run.copy.saturating_add(steps))
    }

    /// Returns the offsets of the first message and of its copy.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.runs.first().map(|run| (run.source, run.copy))
    }

    /// Returns the offsets of the last message and of its copy.
    pub(super) fn last(&self) -> Option<(u64, u64)> {
        let run = self.runs.last()?;
        let steps = run.count.saturating_sub(1);
        let end = |first: u64| first.saturating_add(steps);
        Some((end(run.source), end(run.copy)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committed_offset_leads_to_the_copy_of_the_same_message() {
        let mut map = OffsetMap::default();
        for (source, copy) in [(5, 0), (6, 1), (9, 2), (10, 3), (11, 4)] {
            map.add(source, copy).unwrap();
        }
        assert_eq!(map.runs.len(), 2);
        let copies: Vec<_> = (4..14).map(|source| map.copy_of(source)).collect();
        let expected = [None, Some(0), Some(1), Some(1), Some(1)];
        assert_eq!(copies[..5], expected);
        assert_eq!(copies[5..], [Some(2), Some(3), Some(4), Some(4), Some(4)]);
        assert_eq!((map.first(), map.last()), (Some((5, 0)), Some((11, 4))));
        assert_eq!(OffsetMap::default().last(), None);
    }
}
