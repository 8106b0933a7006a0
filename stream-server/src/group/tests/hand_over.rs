//! Partitions that move from one live instance to another, and cursors that come too late.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::{END, TIMEOUT_MS, world};

#[test]
fn clean_partitions_move_at_once_and_read_ones_after_their_commit() {
    let mut world = world(4);
    let a = world.join("a");
    world.join("b");
    assert_eq!(
        world.owned_by("b"),
        2,
        "nothing was read, so nothing holds them back"
    );
    let (messages, a) = world.get(&a, 3).unwrap();
    assert_eq!(messages.len(), 6);
    let c = world.join("c");
    assert_eq!(world.owned_by("c"), 1, "b had read nothing of its two");
    let d = world.join("d");
    assert_eq!((world.owned_by("a"), world.owned_by("d")), (2, 0));
    assert_eq!(world.get(&d, 3).unwrap().0, []);
    let (messages, _) = world.get(&a, 3).unwrap();
    assert_eq!(
        messages.len(),
        3,
        "the get committed, one partition went, the other reads on"
    );
    let (first_of_d, _) = world.get(&d, 1).unwrap();
    assert_eq!(first_of_d[0].1, 3, "d goes on where a had committed");
    assert_eq!(world.get(&c, 1).unwrap().0.len(), 1);
}

#[test]
fn a_leaving_partition_gives_nothing_new_but_repeats_until_all_is_committed() {
    let mut world = world(2);
    let start = world.join_as("a", false);
    let (_, early) = world.get(&start, 2).unwrap();
    let (_, late) = world.get(&early, 2).unwrap();
    world.join_as("b", false);
    assert_eq!(world.owned_by("a"), 2);
    let (messages, _) = world.get(&late, 9).unwrap();
    let partitions: BTreeSet<u32> = messages.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(
        partitions.len(),
        1,
        "nothing new of the partition that leaves"
    );
    let (repeated, _) = world.get(&early, 9).unwrap();
    let of_one = |n: u32| repeated.iter().filter(|(p, _)| *p == n).count();
    assert_eq!(
        BTreeSet::from([of_one(0), of_one(1)]),
        BTreeSet::from([2, 9])
    );
    world.commit(&early).unwrap();
    assert_eq!(
        world.owned_by("b"),
        0,
        "half of what was delivered is not enough"
    );
    world.commit(&late).unwrap();
    assert_eq!(world.owned_by("b"), 1);
}

#[test]
fn a_partition_that_is_being_read_does_not_move() {
    let mut world = world(2);
    let cursor = world.join("a");
    let get = world.group.begin_get(world.now, &cursor).unwrap();
    let read = world.group.begin_read(&get.cursor, |_| END).unwrap();
    world.join("b");
    assert_eq!(world.owned_by("a"), 2);
    world.group.finish_read(read, &BTreeMap::new()).unwrap();
    assert_eq!(world.owned_by("b"), 1, "the read delivered nothing");
}

#[test]
fn a_name_that_joins_again_keeps_its_partitions_and_fences_its_old_cursors() {
    let mut world = world(4);
    let old = world.join("a");
    world.join("b");
    let before = world.owners();
    let (_, old) = world.get(&old, 2).unwrap();
    let new = world.join("a");
    assert_eq!(world.owners(), before);
    for refused in [
        world.get(&old, 1).map(|_| ()),
        world.commit(&old).map(|_| ()),
        world.group.heartbeat(world.now, &old).map(|_| ()),
    ] {
        assert_eq!(refused, Err(GroupError::CursorInvalid));
    }
    let (messages, _) = world.get(&new, 1).unwrap();
    assert!(
        messages.iter().all(|(_, offset)| *offset == 0),
        "from what is committed"
    );
}

#[test]
fn a_position_of_an_earlier_reservation_is_forgotten() {
    let mut world = world(2);
    let a = world.join("a");
    let (_, read) = world.get(&a, 5).unwrap();
    let a = world.commit(&read).unwrap();
    let b = world.join("b");
    let moved = world
        .owners()
        .iter()
        .position(|owner| owner == "b")
        .unwrap() as u32;
    let (_, b) = world.get(&b, 5).unwrap();
    world.commit(&b).unwrap();
    world.pass(u64::from(TIMEOUT_MS) - 1);
    world.group.heartbeat(world.now, &a).unwrap();
    world.pass(1);
    assert_eq!(world.owned_by("a"), 2, "b fell silent");
    let (messages, _) = world.get(&read, 1).unwrap();
    assert!(
        messages.contains(&(moved, 10)),
        "a goes on where b had committed: {messages:?}"
    );
    let mut expected = [Some(4); 2];
    expected[moved as usize] = Some(9);
    assert_eq!(world.committed(), expected);
}
