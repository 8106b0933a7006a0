//! The group by itself: every partition holds `END` messages, reads deliver up to a limit.

mod hand_over;
mod random;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const END: u64 = 100;
const TIMEOUT_MS: u32 = 10_000;

struct World {
    group: Group,
    now: TimeMs,
}

fn world(partitions: u32) -> World {
    let positions = (0..partitions)
        .map(|p| (p, CommittedPosition::default()))
        .collect();
    let (key, stream_key, name, incarnation) = (1, 1, "g".to_owned(), 0);
    let record = GroupRecord {
        key,
        stream_key,
        name,
        incarnation,
        positions,
    };
    World {
        group: Group::new(record),
        now: TimeMs(1_000_000),
    }
}

impl World {
    fn join_as(&mut self, instance: &str, commit_on_get: bool) -> GroupCursor {
        let join = Join {
            instance: instance.to_owned(),
            timeout_ms: TIMEOUT_MS,
            commit_on_get,
        };
        self.group.join(self.now, join).unwrap()
    }

    fn join(&mut self, instance: &str) -> GroupCursor {
        self.join_as(instance, true)
    }

    /// Returns a GetMessages that delivers at most `count` messages of each partition.
    fn get(
        &mut self,
        cursor: &GroupCursor,
        count: u64,
    ) -> Result<(Vec<(u32, u64)>, GroupCursor), GroupError> {
        let get = self.group.begin_get(self.now, cursor)?;
        self.group.finish_commit(&get.commit);
        let read = self.group.begin_read(&get.cursor, |_| END)?;
        let mut messages = Vec::new();
        for range in &read.ranges {
            let end = (range.from + count).min(range.until).min(END);
            messages.extend((range.from..end).map(|offset| (range.partition, offset)));
        }
        let delivered = messages.iter().copied().collect();
        Ok((messages, self.group.finish_read(read, &delivered)?))
    }

    fn commit(&mut self, cursor: &GroupCursor) -> Result<GroupCursor, GroupError> {
        let commit = self.group.begin_commit(self.now, cursor)?;
        self.group.finish_commit(&commit);
        self.group.cursor_after_commit(cursor)
    }

    fn owners(&mut self) -> Vec<String> {
        let holder = |line: Reservation| line.holder.map_or(String::new(), |(name, _)| name);
        self.group
            .reservations(self.now)
            .into_iter()
            .map(holder)
            .collect()
    }

    fn committed(&mut self) -> Vec<Option<u64>> {
        self.group
            .reservations(self.now)
            .into_iter()
            .map(|line| line.committed)
            .collect()
    }

    fn owned_by(&mut self, name: &str) -> usize {
        self.owners().iter().filter(|owner| *owner == name).count()
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }
}

#[test]
fn partitions_are_shared_evenly_whatever_the_numbers() {
    for partitions in 1..12 {
        let mut world = world(partitions);
        for instances in 1..9_usize {
            world.join(&format!("i{instances}"));
            let mut counts = BTreeMap::new();
            for owner in world.owners() {
                *counts.entry(owner).or_insert(0_usize) += 1;
            }
            assert!(
                !counts.contains_key(""),
                "{partitions} partitions: one has no owner"
            );
            let share = partitions as usize / instances;
            let fair = |count: &usize| (share..=share + 1).contains(count);
            assert!(
                counts.values().all(fair),
                "{partitions} by {instances}: {counts:?}"
            );
        }
    }
}

#[test]
fn a_get_commits_what_its_cursor_has_read_and_reads_on() {
    let mut world = world(1);
    let first = world.join("a");
    let (messages, second) = world.get(&first, 2).unwrap();
    assert_eq!(messages, [(0, 0), (0, 1)]);
    assert_eq!(world.committed(), [None], "commits are lazy");
    let (messages, third) = world.get(&second, 2).unwrap();
    assert_eq!(
        (messages, world.committed()),
        (vec![(0, 2), (0, 3)], vec![Some(1)])
    );
    let (again, _) = world.get(&second, 2).unwrap();
    assert_eq!(
        again,
        [(0, 2), (0, 3)],
        "a lost answer can be asked for again"
    );
    world.commit(&third).unwrap();
    assert_eq!(world.committed(), [Some(3)]);
}

#[test]
fn a_commit_goes_as_far_as_its_cursor_and_never_back() {
    let mut world = world(1);
    let start = world.join_as("a", false);
    let (_, two) = world.get(&start, 2).unwrap();
    let (_, four) = world.get(&two, 2).unwrap();
    let (_, six) = world.get(&four, 2).unwrap();
    assert_eq!(world.committed(), [None], "reading does not commit here");
    for (cursor, committed) in [(&four, 3), (&two, 3), (&start, 3), (&six, 5), (&four, 5)] {
        let returned = world.commit(cursor).unwrap();
        assert_eq!(world.committed(), [Some(committed)]);
        let position = |cursor: &GroupCursor| cursor.positions.get(&0).copied();
        let reads_on = position(&returned).unwrap_or(committed + 1);
        let asked = position(cursor).unwrap_or(committed + 1);
        assert_eq!(reads_on, asked, "the read position stays");
    }
    let (messages, _) = world.get(&six, 1).unwrap();
    assert_eq!(messages, [(0, 6)]);
}

#[test]
fn silence_gives_the_partitions_to_the_others_at_the_committed_offset() {
    let mut world = world(2);
    let a = world.join("a");
    let b = world.join("b");
    let (_, a) = world.get(&a, 5).unwrap();
    world.pass(u64::from(TIMEOUT_MS) - 1);
    world.group.heartbeat(world.now, &b).unwrap();
    assert_eq!(world.owned_by("a"), 1);
    world.pass(1);
    assert_eq!(world.owned_by("b"), 2);
    assert_eq!(world.get(&a, 5), Err(GroupError::UnreservedPartition(0)));
    assert_eq!(world.commit(&a), Err(GroupError::UnreservedPartition(0)));
    let (messages, _) = world.get(&b, 1).unwrap();
    assert_eq!(
        messages,
        [(0, 0), (1, 0)],
        "what a had not committed comes again"
    );
}

#[test]
fn heartbeats_commits_and_gets_keep_an_instance_alive() {
    let mut world = world(1);
    let mut cursor = world.join("a");
    for round in 0..9 {
        world.pass(u64::from(TIMEOUT_MS) - 1);
        cursor = match round % 3 {
            0 => world.get(&cursor, 1).unwrap().1,
            1 => world.commit(&cursor).unwrap(),
            _ => world.group.heartbeat(world.now, &cursor).unwrap(),
        };
    }
    assert_eq!(world.owners(), ["a"]);
}

#[test]
fn an_instance_that_came_and_went_has_used_the_group() {
    let mut world = world(1);
    let before = world.now;
    assert!(
        !world.group.was_used_since(before, before),
        "nobody was there"
    );
    let cursor = world.join("a");
    world.pass(1_000);
    let committed_at = world.now;
    world.commit(&cursor).unwrap();
    world.pass(u64::from(TIMEOUT_MS) + 1);
    let now = world.now;
    assert_eq!(world.group.members_count(now), 0);
    assert!(world.group.was_used_since(committed_at, now));
    let later = TimeMs(committed_at.0 + 1);
    assert!(!world.group.was_used_since(later, now));
}

#[test]
fn a_slow_poller_with_nothing_uncommitted_joins_again_by_itself() {
    let mut world = world(1);
    let cursor = world.join("a");
    world.pass(u64::from(TIMEOUT_MS));
    assert_eq!(world.owners(), [""]);
    assert_eq!(
        world.group.heartbeat(world.now, &cursor),
        Err(GroupError::CursorInvalid)
    );
    let (messages, _) = world.get(&cursor, 1).unwrap();
    assert_eq!(
        (messages, world.owners()),
        (vec![(0, 0)], vec!["a".to_owned()])
    );
    assert_eq!(
        world.get(&cursor, 1),
        Err(GroupError::CursorInvalid),
        "its name lives again"
    );
}

#[test]
fn a_moved_group_starts_anew_and_late_commits_do_not_undo_the_move() {
    let mut world = world(1);
    let cursor = world.join("a");
    let (_, read) = world.get(&cursor, 50).unwrap();
    let late = world.group.begin_commit(world.now, &read).unwrap();
    let positions = BTreeMap::from([(
        0,
        CommittedPosition {
            start: 10,
            committed: None,
        },
    )]);
    let moved = GroupRecord {
        incarnation: 1,
        positions,
        ..world.group.record().clone()
    };
    world.group.reset(world.now, moved);
    world.group.finish_commit(&late);
    assert_eq!(world.get(&read, 1), Err(GroupError::CursorInvalid));
    let cursor = world.join("a");
    assert_eq!(world.get(&cursor, 1).unwrap().0, [(0, 10)]);
}

#[test]
fn an_instance_with_many_partitions_reads_all_of_them_in_turn() {
    let mut world = world(200);
    for commit_on_get in [true, false] {
        let mut cursor = world.join_as("a", commit_on_get);
        let mut seen = BTreeSet::new();
        for _ in 0..8 {
            let (messages, next) = world.get(&cursor, 1).unwrap();
            assert!(next.positions.len() <= crate::limits::CURSOR_POSITIONS_MAX);
            seen.extend(messages.iter().map(|(partition, _)| *partition));
            cursor = if commit_on_get {
                next
            } else {
                world.commit(&next).unwrap()
            };
        }
        assert_eq!(seen.len(), 200, "commit on get: {commit_on_get}");
    }
}

#[test]
fn instances_are_bounded() {
    let mut world = world(1);
    for n in 0..INSTANCES_PER_GROUP_MAX {
        world.join(&format!("i{n}"));
    }
    let (instance, timeout_ms) = ("one more".to_owned(), TIMEOUT_MS);
    let join = Join {
        instance,
        timeout_ms,
        commit_on_get: true,
    };
    assert_eq!(
        world.group.join(world.now, join),
        Err(GroupError::TooManyInstances)
    );
    world.join("i0");
}
