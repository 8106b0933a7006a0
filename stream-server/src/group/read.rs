//! Reads: which partitions a GetMessages looks at, from where, and the resulting cursor.

use std::collections::BTreeMap;

use super::{Group, GroupCursor, GroupError};
use crate::limits::CURSOR_POSITIONS_MAX;

/// One partition to read: offsets `from..until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub from: u64,
    /// The offset to stop before.
    pub until: u64,
}

/// A read under way. It must be ended by [`Group::finish_read`], even if it failed.
#[derive(Debug)]
pub struct Read {
    cursor: GroupCursor,
    /// What to read, in this order, as far as the answer's bounds allow.
    pub ranges: Vec<ReadRange>,
    /// A partition whose next message comes after what `next_of` tells, and that message's offset:
    /// messages were removed, or somebody has read more since `next_of` was asked.
    pub behind_the_end: Option<(u32, u64)>,
}

impl Group {
    /// Plans the read of a GetMessages. `next_of` tells the offset after a partition's last
    /// message.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`] if the instance is gone.
    pub fn begin_read(
        &mut self,
        cursor: &GroupCursor,
        next_of: impl Fn(u32) -> u64,
    ) -> Result<Read, GroupError> {
        let cursor = self.reissue(cursor)?;
        let carried = &cursor.positions;
        let member = self
            .members
            .get(&cursor.epoch)
            .ok_or(GroupError::CursorInvalid)?;
        let in_turn = member
            .held
            .range(member.turn..)
            .chain(member.held.range(..member.turn));
        let mut room = CURSOR_POSITIONS_MAX.saturating_sub(carried.len());
        let (mut ranges, mut behind_the_end) = (Vec::new(), None);
        for (partition, held) in in_turn {
            let carried_from = carried.get(partition).copied();
            let from = carried_from.unwrap_or_else(|| self.committed_next(*partition));
            // A leaving partition repeats what was delivered, for a client that has lost an answer.
            let until = if held.leaving {
                held.delivered_next
            } else {
                u64::MAX
            };
            let next = next_of(*partition);
            if from > next {
                behind_the_end = Some((*partition, from));
            }
            if from >= next.min(until) {
                continue;
            }
            if carried_from.is_none() {
                let Some(left) = room.checked_sub(1) else {
                    continue;
                };
                room = left;
            }
            ranges.push(ReadRange {
                partition: *partition,
                from,
                until,
            });
        }
        self.count_reads(cursor.epoch, &ranges, |reads| reads.saturating_add(1));
        Ok(Read {
            cursor,
            ranges,
            behind_the_end,
        })
    }

    /// Ends a read. `delivered` has the last offset that goes to the client, by partition; it is
    /// empty if the read failed. Returns the cursor to go on with.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`] if the instance has gone meanwhile. Then nothing may be
    /// delivered, because others may have its partitions.
    pub fn finish_read(
        &mut self,
        read: Read,
        delivered: &BTreeMap<u32, u64>,
    ) -> Result<GroupCursor, GroupError> {
        let epoch = read.cursor.epoch;
        self.count_reads(epoch, &read.ranges, |reads| reads.saturating_sub(1));
        let mut positions = self.honoured(&read.cursor);
        let member = self
            .members
            .get_mut(&epoch)
            .ok_or(GroupError::CursorInvalid)?;
        for (partition, offset) in delivered {
            let next = offset.saturating_add(1);
            if let Some(held) = member.held.get_mut(partition) {
                held.delivered_next = held.delivered_next.max(next);
                positions.insert(*partition, next);
            }
        }
        if let Some(last) = read
            .ranges
            .iter()
            .rfind(|r| delivered.contains_key(&r.partition))
        {
            member.turn = last.partition.saturating_add(1);
        }
        self.release_leaving();
        Ok(self.cursor(epoch, positions))
    }

    fn count_reads(&mut self, epoch: u64, ranges: &[ReadRange], change: impl Fn(u32) -> u32) {
        let Some(member) = self.members.get_mut(&epoch) else {
            return;
        };
        for range in ranges {
            if let Some(held) = member.held.get_mut(&range.partition) {
                held.reads = change(held.reads);
            }
        }
    }
}
