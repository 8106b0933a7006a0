//! One instance of a group, and what it holds.

use std::collections::BTreeMap;

use crate::time::TimeMs;

/// How an instance joins (OCI `CreateGroupCursorDetails`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The instance's name, unique within the group.
    pub instance: String,
    /// Silence after which the instance is removed.
    pub timeout_ms: u32,
    /// Whether a GetMessages commits what its cursor has read.
    pub commit_on_get: bool,
}

/// A live instance.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) join: Join,
    /// The instance is removed at this moment, unless it is heard of before.
    pub(super) alive_until: TimeMs,
    /// What it holds, by partition.
    pub(super) held: BTreeMap<u32, Held>,
    /// The partition that the next read looks at first, so that a busy one cannot starve others.
    pub(super) turn: u32,
}

/// A partition that an instance holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The generation that gave it to the instance.
    pub(super) since: u64,
    /// Whether it has to go to another instance. Nothing new is read, and it goes once everything
    /// is committed.
    pub(super) leaving: bool,
    /// Reads under way. What they will deliver is not known yet.
    pub(super) reads: u32,
    /// The offset after the last one that was delivered.
    pub(super) delivered_next: u64,
}

impl Held {
    /// Returns whether the instance may have messages that are not committed.
    pub(super) fn has_uncommitted(&self, committed_next: u64) -> bool {
        self.reads > 0 || self.delivered_next > committed_next
    }
}

impl Member {
    pub(super) fn new(now: TimeMs, join: Join) -> Self {
        let alive_until = now.plus_ms(u64::from(join.timeout_ms));
        Self {
            join,
            alive_until,
            held: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Takes a partition over at its committed position.
    pub(super) fn hold(&mut self, partition: u32, since: u64, committed_next: u64) {
        let held = Held {
            since,
            leaving: false,
            reads: 0,
            delivered_next: committed_next,
        };
        self.held.insert(partition, held);
    }

    /// Returns whether it has held the partition ever since that generation.
    pub(super) fn holds(&self, partition: u32, generation: u64) -> bool {
        self.held
            .get(&partition)
            .is_some_and(|held| held.since <= generation)
    }
}

/// An instance that is gone, remembered as long as a cursor of it may come back.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) join: Join,
    pub(super) why: WhyDeparted,
    pub(super) forget_at: TimeMs,
}

/// Why an instance is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhyDeparted {
    /// It was silent for longer than its timeout.
    TimedOut,
    /// Its name joined again, or the group was moved.
    Replaced,
}
