//! Commits: what a cursor commits, who may commit, and what follows once the commit is durable.

use std::collections::BTreeMap;

use super::member::WhyDeparted;
use super::{Group, GroupCursor, GroupError};
use crate::time::TimeMs;

/// Offsets to make durable. If `committed` is empty, there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The group's key in the store.
    pub group_key: u64,
    /// The group's incarnation at the time: the store ignores a commit of an earlier one.
    pub incarnation: u64,
    /// The last offset to commit, by partition.
    pub committed: BTreeMap<u32, u64>,
}

/// A GetMessages that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The cursor to read with: the given one, or that of a new join.
    pub cursor: GroupCursor,
    /// What to commit before reading.
    pub commit: Commit,
}

impl Group {
    /// Starts a GetMessages: checks the cursor and says what it commits.
    ///
    /// An instance that timed out with nothing uncommitted joins again silently. Slow pollers do
    /// that all the time.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`], [`GroupError::UnreservedPartition`].
    pub fn begin_get(&mut self, now: TimeMs, cursor: &GroupCursor) -> Result<Get, GroupError> {
        self.expire(now);
        let cursor = match self.members.contains_key(&cursor.epoch) {
            true => cursor.clone(),
            false => self.rejoin(now, cursor)?,
        };
        let commits = self.touch(now, cursor.epoch)?.join.commit_on_get;
        let committed = if commits {
            self.to_commit(&cursor)?
        } else {
            BTreeMap::new()
        };
        let commit = self.commit_of(committed);
        Ok(Get { cursor, commit })
    }

    /// Starts a ConsumerCommit: says what to make durable. Positions that are already committed, or
    /// older, need nothing.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`], [`GroupError::UnreservedPartition`].
    pub fn begin_commit(
        &mut self,
        now: TimeMs,
        cursor: &GroupCursor,
    ) -> Result<Commit, GroupError> {
        self.expire(now);
        if !self.members.contains_key(&cursor.epoch) {
            return Err(self.refusal_of_departed(cursor));
        }
        self.touch(now, cursor.epoch)?;
        let committed = self.to_commit(cursor)?;
        Ok(self.commit_of(committed))
    }

    /// Notes a commit that is durable now. Partitions that only waited for it move.
    pub fn finish_commit(&mut self, commit: &Commit) {
        if commit.incarnation != self.record.incarnation {
            return;
        }
        for (partition, offset) in &commit.committed {
            if let Some(position) = self.record.positions.get_mut(partition) {
                position.committed = position.committed.max(Some(*offset));
            }
        }
        self.release_leaving();
    }

    /// Returns the cursor that a ConsumerCommit returns: it reads on from the same place as the
    /// given one.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`] if the instance has gone meanwhile. The commit stays.
    pub fn cursor_after_commit(&self, cursor: &GroupCursor) -> Result<GroupCursor, GroupError> {
        self.reissue(cursor)
    }

    /// Returns the commit of these offsets, whoever has read them.
    #[must_use]
    pub fn commit_at(&self, committed: BTreeMap<u32, u64>) -> Commit {
        self.commit_of(committed)
    }

    fn commit_of(&self, committed: BTreeMap<u32, u64>) -> Commit {
        let (group_key, incarnation) = (self.record.key, self.record.incarnation);
        Commit {
            group_key,
            incarnation,
            committed,
        }
    }

    /// Returns the positions of the cursor that are ahead of what is committed, as offsets to
    /// commit.
    fn to_commit(&self, cursor: &GroupCursor) -> Result<BTreeMap<u32, u64>, GroupError> {
        let member = self
            .members
            .get(&cursor.epoch)
            .ok_or(GroupError::CursorInvalid)?;
        let mut committed = BTreeMap::new();
        for (partition, next) in self.ahead_of_committed(cursor) {
            if !member.holds(partition, cursor.generation) {
                return Err(GroupError::UnreservedPartition(partition));
            }
            committed.insert(partition, next.saturating_sub(1));
        }
        Ok(committed)
    }

    fn ahead_of_committed(&self, cursor: &GroupCursor) -> impl Iterator<Item = (u32, u64)> {
        let entries = cursor
            .positions
            .iter()
            .map(|(partition, next)| (*partition, *next));
        entries.filter(|(partition, next)| *next > self.committed_next(*partition))
    }

    /// Returns the error for a cursor of an instance that is gone.
    fn refusal_of_departed(&self, cursor: &GroupCursor) -> GroupError {
        let timed_out = self.departed.get(&cursor.epoch).map(|d| d.why);
        match (timed_out, self.ahead_of_committed(cursor).next()) {
            (Some(WhyDeparted::TimedOut), Some((partition, _))) => {
                GroupError::UnreservedPartition(partition)
            }
            (_, _) => GroupError::CursorInvalid,
        }
    }

    fn rejoin(&mut self, now: TimeMs, cursor: &GroupCursor) -> Result<GroupCursor, GroupError> {
        let refusal = self.refusal_of_departed(cursor);
        let Some(departed) = self.departed.get(&cursor.epoch) else {
            return Err(refusal);
        };
        let name_lives = self
            .members
            .values()
            .any(|m| m.join.instance == departed.join.instance);
        let read_ahead = self.ahead_of_committed(cursor).next().is_some();
        if departed.why != WhyDeparted::TimedOut || name_lives || read_ahead {
            return Err(refusal);
        }
        let join = departed.join.clone();
        self.join(now, join)
    }
}
