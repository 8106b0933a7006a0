//! The group under random histories: what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;

const PARTITIONS: u32 = 7;
const TIMEOUT_MS: u32 = 1_000;

/// What the outside world knows.
struct History {
    group: Group,
    now: TimeMs,
    random: fastrand::Rng,
    /// All cursors that were ever issued, with the epoch's name.
    cursors: Vec<GroupCursor>,
    /// Who was given each offset, while that is not committed.
    given: BTreeMap<(u32, u64), u64>,
    committed: BTreeMap<u32, Option<u64>>,
}

impl History {
    fn new(seed: u64) -> Self {
        let positions = (0..PARTITIONS)
            .map(|p| (p, CommittedPosition::default()))
            .collect();
        let (name, incarnation) = ("g".to_owned(), 0);
        let record = GroupRecord {
            key: 1,
            stream_key: 1,
            name,
            incarnation,
            positions,
        };
        let (given, committed) = (BTreeMap::new(), BTreeMap::new());
        let (group, cursors) = (Group::new(record), Vec::new());
        let random = fastrand::Rng::with_seed(seed);
        Self {
            group,
            now: TimeMs(1),
            random,
            cursors,
            given,
            committed,
        }
    }

    fn step(&mut self) {
        let some_cursor = self.random.choice(&self.cursors).cloned();
        match (self.random.u8(0..10), some_cursor) {
            (0, _) | (_, None) => self.join(),
            (1..=5, Some(cursor)) => self.get(&cursor),
            (6..=7, Some(cursor)) => {
                if let Ok(commit) = self.group.begin_commit(self.now, &cursor) {
                    self.group.finish_commit(&commit);
                    self.cursors.extend(self.group.cursor_after_commit(&cursor));
                }
            }
            (8, Some(cursor)) => self.cursors.extend(self.group.heartbeat(self.now, &cursor)),
            (_, Some(_)) => self.now = self.now.plus_ms(self.random.u64(0..400)),
        }
        if self.cursors.len() > 20 {
            self.cursors.remove(0);
        }
        self.check();
    }

    fn join(&mut self) {
        let instance = format!("i{}", self.random.u8(0..5));
        let commit_on_get = self.random.bool();
        let join = Join {
            instance,
            timeout_ms: TIMEOUT_MS,
            commit_on_get,
        };
        self.cursors.extend(self.group.join(self.now, join));
    }

    fn get(&mut self, cursor: &GroupCursor) {
        let Ok(get) = self.group.begin_get(self.now, cursor) else {
            return;
        };
        self.group.finish_commit(&get.commit);
        let Ok(read) = self.group.begin_read(&get.cursor, |_| 1_000) else {
            return;
        };
        let mut delivered = BTreeMap::new();
        let mut messages = Vec::new();
        for range in &read.ranges {
            let end = (range.from + self.random.u64(0..4))
                .min(range.until)
                .min(1_000);
            messages.extend((range.from..end).map(|offset| (range.partition, offset)));
            if end > range.from {
                delivered.insert(range.partition, end - 1);
            }
        }
        let next = self.group.finish_read(read, &delivered).unwrap();
        for message in messages {
            let before = self.given.insert(message, next.epoch);
            let other = before.filter(|epoch| *epoch != next.epoch);
            let lives = other.is_some_and(|epoch| self.group.members.contains_key(&epoch));
            assert!(!lives, "{message:?} was given to two live instances");
        }
        self.cursors.push(next);
    }

    fn check(&mut self) {
        let mut owned = BTreeSet::new();
        for member in self.group.members.values() {
            for partition in member.held.keys() {
                assert!(
                    owned.insert(*partition),
                    "partition {partition} has two owners"
                );
            }
        }
        for line in self.group.reservations(self.now) {
            let before = self
                .committed
                .insert(line.partition, line.committed)
                .flatten();
            assert!(line.committed >= before, "a committed offset went back");
            let lowest = line.committed.map_or(0, |offset| offset + 1);
            self.given
                .retain(|(partition, offset), _| *partition != line.partition || *offset >= lowest);
            let anybody = !self.group.members.is_empty();
            assert_eq!(
                line.holder.is_some(),
                anybody,
                "partitions are owned while anyone lives"
            );
        }
    }
}

#[test]
fn random_histories_keep_the_invariants() {
    for seed in 0..300 {
        let mut history = History::new(seed);
        for _ in 0..300 {
            history.step();
        }
    }
}
