//! A consumer group: who its instances are, who reads which partition, what has been committed.
//!
//! Pure and deterministic: no clock, no store, no lock. The caller gives the time, makes commits
//! durable, and reads messages; a simulation can do the same. One request walks it like this:
//!
//! ```text
//! GetMessages     begin_get ─▶ (store the commit) ─▶ finish_commit
//!                 ─▶ begin_read ─▶ (read) ─▶ finish_read
//! ConsumerCommit  begin_commit ─▶ (store the commit) ─▶ finish_commit ─▶ cursor_after_commit
//! ```
//! Requests of several instances may be between any of these steps at once.
//!
//! Invariants: a partition belongs to at most one instance. Committed offsets never go back, except
//! by [`Group::reset`] (UpdateGroup). While all instances live, no message is given to two of them.

mod balance;
mod commit;
mod member;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use commit::{Commit, Get};
pub use member::Join;
use member::{Departed, Member, WhyDeparted};
pub use read::{Read, ReadRange};

use crate::limits::{CURSOR_LIFE_MS, INSTANCES_PER_GROUP_MAX};
use crate::time::TimeMs;

/// How long a departed instance is remembered: no cursor lives longer.
const DEPARTED_LIFE_MS: u64 = CURSOR_LIFE_MS;
/// How many departed instances are remembered. The oldest are forgotten first.
const DEPARTED_COUNT_MAX: usize = 1_024;

/// What a group's cursor says. It is sealed and opened by [`crate::cursor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCursor {
    /// The group's key in the store.
    pub group_key: u64,
    /// One joining of one instance: a new one for each CreateGroupCursor.
    pub epoch: u64,
    /// The group's assignment when this cursor was issued.
    pub generation: u64,
    /// The next offset to read, for partitions in which it is not the committed position. A commit
    /// commits these.
    pub positions: BTreeMap<u32, u64>,
}

/// Why a group refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// The instance was replaced or has timed out, or the group was moved. A new cursor is needed.
    CursorInvalid,
    /// The cursor would commit this partition, which its instance no longer holds.
    UnreservedPartition(u32),
    /// The group has [`INSTANCES_PER_GROUP_MAX`] live instances.
    TooManyInstances,
}

/// The committed position of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommittedPosition {
    /// Where the group started (its creation, or UpdateGroup): the first offset to read.
    pub start: u64,
    /// The last offset that was committed since.
    pub committed: Option<u64>,
}

impl CommittedPosition {
    /// Returns the first offset that is not committed.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.committed
            .map_or(self.start, |offset| offset.saturating_add(1))
    }
}

/// What the store keeps of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its key in the store, never used twice.
    pub key: u64,
    /// The key of its stream.
    pub stream_key: u64,
    /// Its name.
    pub name: String,
    /// How often it was moved by UpdateGroup. Commits made before a move must not undo it.
    pub incarnation: u64,
    /// One position for each partition of the stream.
    pub positions: BTreeMap<u32, CommittedPosition>,
}

/// One line of GetGroup's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The partition.
    pub partition: u32,
    /// The last offset that was committed.
    pub committed: Option<u64>,
    /// The first offset that is not committed.
    pub next: u64,
    /// The instance that holds it, and until when if nothing is heard of it.
    pub holder: Option<(String, TimeMs)>,
}

/// A group with its live instances.
#[derive(Debug)]
pub struct Group {
    record: GroupRecord,
    /// Counts assignments of partitions, so that a position in an old cursor is not taken for one
    /// of a later reservation of the same partition.
    generation: u64,
    last_epoch: u64,
    /// By epoch.
    members: BTreeMap<u64, Member>,
    /// By epoch.
    departed: BTreeMap<u64, Departed>,
    /// When an instance last joined or was heard of, if one was.
    used_at: Option<TimeMs>,
}

impl Group {
    /// Returns a group without instances, as the store remembers it.
    #[must_use]
    pub fn new(record: GroupRecord) -> Self {
        let (members, departed) = (BTreeMap::new(), BTreeMap::new());
        Self {
            record,
            generation: 0,
            last_epoch: 0,
            members,
            departed,
            used_at: None,
        }
    }

    /// Returns a group without instances, taken over from another server. Joinings are numbered on
    /// from `first`, and so are assignments, so that cursors from before are invalid.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub(crate) fn taken_over(record: GroupRecord, first: u64) -> Self {
        Self {
            generation: first,
            last_epoch: first,
            ..Self::new(record)
        }
    }

    /// Returns what the store keeps of the group.
    #[must_use]
    pub fn record(&self) -> &GroupRecord {
        &self.record
    }

    /// Lets an instance join (CreateGroupCursor). A live instance with the same name is replaced:
    /// its cursors become invalid, and its partitions stay with the name. Reading starts at the
    /// committed position.
    ///
    /// # Errors
    /// [`GroupError::TooManyInstances`].
    pub fn join(&mut self, now: TimeMs, join: Join) -> Result<GroupCursor, GroupError> {
        self.expire(now);
        let alive = self
            .members
            .iter()
            .find(|(_, m)| m.join.instance == join.instance);
        let replaced = alive.map(|(epoch, _)| *epoch);
        if replaced.is_none() && self.members.len() >= INSTANCES_PER_GROUP_MAX {
            return Err(GroupError::TooManyInstances);
        }
        self.used_at = Some(now);
        self.last_epoch = self.last_epoch.saturating_add(1);
        let epoch = self.last_epoch;
        let mut member = Member::new(now, join);
        if let Some(replaced) = replaced
            && let Some(old) = self.depart(replaced, now, WhyDeparted::Replaced)
        {
            for partition in old.held.into_keys() {
                member.hold(partition, self.generation, self.committed_next(partition));
            }
        }
        self.members.insert(epoch, member);
        self.rebalance();
        Ok(self.cursor(epoch, BTreeMap::new()))
    }

    /// Keeps the instance's reservations (ConsumerHeartbeat). The returned cursor reads on from the
    /// same place as the given one.
    ///
    /// # Errors
    /// [`GroupError::CursorInvalid`] if the instance is gone.
    pub fn heartbeat(
        &mut self,
        now: TimeMs,
        cursor: &GroupCursor,
    ) -> Result<GroupCursor, GroupError> {
        self.expire(now);
        self.touch(now, cursor.epoch)?;
        self.reissue(cursor)
    }

    /// Returns how many live instances the group has.
    pub fn members_count(&mut self, now: TimeMs) -> usize {
        self.expire(now);
        self.members.len()
    }

    /// Returns whether the group has a live instance, or had one at this time or later.
    pub fn was_used_since(&mut self, since: TimeMs, now: TimeMs) -> bool {
        self.members_count(now) > 0 || self.used_at.is_some_and(|at| at >= since)
    }

    /// Returns the partitions that one joining of an instance holds now.
    pub(crate) fn held_by(&mut self, now: TimeMs, epoch: u64) -> Vec<u32> {
        self.expire(now);
        let member = self.members.get(&epoch);
        member.map_or_else(Vec::new, |member| member.held.keys().copied().collect())
    }

    /// Returns which instance holds which partition (GetGroup), by partition.
    pub fn reservations(&mut self, now: TimeMs) -> Vec<Reservation> {
        self.expire(now);
        let line = |(partition, position): (&u32, &CommittedPosition)| {
            let holder = self
                .members
                .values()
                .find(|m| m.held.contains_key(partition));
            Reservation {
                partition: *partition,
                committed: position.committed,
                next: position.next(),
                holder: holder.map(|m| (m.join.instance.clone(), m.alive_until)),
            }
        };
        self.record.positions.iter().map(line).collect()
    }

    /// Moves the group to new positions (UpdateGroup). All instances must create a new cursor.
    pub fn reset(&mut self, now: TimeMs, moved: GroupRecord) {
        if moved.incarnation <= self.record.incarnation {
            return;
        }
        for epoch in self.members.keys().copied().collect::<Vec<_>>() {
            self.depart(epoch, now, WhyDeparted::Replaced);
        }
        self.record = moved;
    }

    /// Takes the group as it is kept now: it was moved, and nobody here knew. All instances must
    /// create a new cursor.
    pub(crate) fn follow(&mut self, moved: GroupRecord) {
        self.members.clear();
        self.departed.clear();
        self.record = moved;
    }

    /// Ends all instances as if they had timed out. What they have not committed is free again.
    pub fn forget_members(&mut self, now: TimeMs) {
        for epoch in self.members.keys().copied().collect::<Vec<_>>() {
            self.depart(epoch, now, WhyDeparted::TimedOut);
        }
    }

    /// Removes the instances that have timed out, and gives their partitions to the others.
    fn expire(&mut self, now: TimeMs) {
        self.departed.retain(|_, departed| departed.forget_at > now);
        let silent = self
            .members
            .iter()
            .filter(|(_, member)| member.alive_until <= now)
            .map(|(e, _)| *e);
        let silent: Vec<u64> = silent.collect();
        for epoch in &silent {
            self.depart(*epoch, now, WhyDeparted::TimedOut);
        }
        if !silent.is_empty() {
            self.rebalance();
        }
    }

    fn depart(&mut self, epoch: u64, now: TimeMs, why: WhyDeparted) -> Option<Member> {
        let member = self.members.remove(&epoch)?;
        let forget_at = now.plus_ms(DEPARTED_LIFE_MS);
        let join = member.join.clone();
        self.departed.insert(
            epoch,
            Departed {
                join,
                why,
                forget_at,
            },
        );
        while self.departed.len() > DEPARTED_COUNT_MAX {
            self.departed.pop_first();
        }
        Some(member)
    }

    /// Extends a live instance's reservations.
    fn touch(&mut self, now: TimeMs, epoch: u64) -> Result<&mut Member, GroupError> {
        let member = self
            .members
            .get_mut(&epoch)
            .ok_or(GroupError::CursorInvalid)?;
        let timeout_ms = u64::from(member.join.timeout_ms);
        member.alive_until = member.alive_until.max(now.plus_ms(timeout_ms));
        self.used_at = Some(now);
        Ok(member)
    }

    /// Returns the first offset of a partition that is not committed.
    fn committed_next(&self, partition: u32) -> u64 {
        self.record
            .positions
            .get(&partition)
            .map_or(0, CommittedPosition::next)
    }

    /// Returns the positions of a cursor that are still valid: of partitions that its instance has
    /// held ever since the cursor was issued.
    fn honoured(&self, cursor: &GroupCursor) -> BTreeMap<u32, u64> {
        let Some(member) = self.members.get(&cursor.epoch) else {
            return BTreeMap::new();
        };
        let held = |partition| member.holds(partition, cursor.generation);
        cursor
            .positions
            .iter()
            .filter(|(p, _)| held(**p))
            .map(|(p, next)| (*p, *next))
            .collect()
    }

    /// Returns a fresh cursor with the read position of the given one.
    fn reissue(&self, cursor: &GroupCursor) -> Result<GroupCursor, GroupError> {
        if !self.members.contains_key(&cursor.epoch) {
            return Err(GroupError::CursorInvalid);
        }
        Ok(self.cursor(cursor.epoch, self.honoured(cursor)))
    }

    fn cursor(&self, epoch: u64, mut positions: BTreeMap<u32, u64>) -> GroupCursor {
        // A committed position needs no place in the cursor.
        positions.retain(|partition, next| *next != self.committed_next(*partition));
        GroupCursor {
            group_key: self.record.key,
            epoch,
            generation: self.generation,
            positions,
        }
    }
}
