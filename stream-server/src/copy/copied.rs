//! What has become of a partition.

use sluice_cli::stream::Missed;

use super::bound::Bound;
use super::job::Task;
use super::offsets::OffsetMap;
use super::sums::Sums;
use super::walk::Oddities;

/// Messages of an earlier copy that the source no longer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) count: u64,
    /// The offsets of the first and the last one.
    pub(super) offsets: Option<(u64, u64)>,
    /// The offset at the source, behind which its later messages are, if nothing is left there.
    pub(super) source_end: Option<u64>,
}

/// What has become of a partition.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) task: Task,
    pub(super) offsets: OffsetMap,
    /// What both ends have; at a dry run, what the destination has.
    pub(super) sums: Sums,
    /// Messages that this run has copied; at a dry run, those that it would.
    pub(super) copied: u64,
    pub(super) skipped: Skipped,
    pub(super) oddities: Oddities,
    pub(super) bound: Bound,
    /// What the source no longer had, and what it can't give.
    pub(super) missed: Missed,
    /// The source's offset behind all that was looked at.
    pub(super) reached: u64,
}

impl Copied {
    /// Returns the first and the last message of the copy.
    pub(super) fn ends(&self) -> Option<(u64, u64)> {
        let (skipped, offsets) = (self.skipped.offsets, &self.offsets);
        let first = skipped.map(|(first, _)| first);
        let first = first.or(offsets.first().map(|(_, copy)| copy))?;
        let last = offsets.last().map(|(_, copy)| copy);
        Some((first, last.or(skipped.map(|(_, last)| last))?))
    }
}
