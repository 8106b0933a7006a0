//! Behaviour of the queues.

use super::*;
use crate::id::{Position, StreamName};

const PATIENCE: Duration = Duration::from_millis(400);
/// At this time it is known how fast a queue moves.
const JUDGED: Steady = Steady(100);

fn record(offset: u64) -> RecordId {
    let position = Position {
        partition: 0,
        offset,
    };
    RecordId::new(StreamName::Calls, position, "")
}

fn target_queues(in_flight_max: usize, per_second_max: Option<u32>) -> TargetQueues {
    let default = TargetLimit {
        in_flight_max,
        per_second_max,
    };
    let own = BTreeMap::from([(
        "slow".to_owned(),
        TargetLimit {
            in_flight_max: 1,
            per_second_max: None,
        },
    )]);
    TargetQueues::new(TargetLimits { default, own }, PATIENCE, 1_000_000)
}

fn who(number: u32) -> CallerKey {
    CallerKey::parse(&format!("{number:032x}")).unwrap()
}

/// Returns a call of this caller.
fn call_of(caller: u32, offset: u64) -> Waiting {
    Waiting {
        record: record(offset),
        caller: who(caller),
        bytes: 1,
        aside: 0,
    }
}

/// Returns a call of a caller that makes no other one.
fn call(offset: u64) -> Waiting {
    call_of(1_000 + u32::try_from(offset).unwrap(), offset)
}

const AWAY_MAX: Duration = Duration::from_secs(10);

/// Returns the calls that are moved aside, if all of them may leave.
fn aside(queues: &mut TargetQueues, count: usize, firsts: bool, now: Steady) -> Vec<u64> {
    let taken = queues.take_slow(count, firsts, AWAY_MAX, now, |_| true);
    offsets(taken.into_iter().map(|(record, _)| record))
}

fn offsets(records: impl IntoIterator<Item = RecordId>) -> Vec<u64> {
    let records = records.into_iter();
    records.map(|record| record.position.offset).collect()
}

fn all_that_may(queues: &mut TargetQueues, now: u64) -> Vec<u64> {
    offsets(std::iter::from_fn(|| queues.next(1_000_000, Steady(now))))
}

#[test]
fn targets_take_turns_and_each_queue_keeps_its_order() {
    let mut queues = target_queues(10, None);
    let (a, b): (Rc<str>, Rc<str>) = ("a".into(), "b".into());
    for offset in 0..4 {
        queues.add(&a, call(offset), Steady(0));
    }
    queues.add(&b, call(9), Steady(0));
    assert_eq!(queues.waiting(), 5);
    assert_eq!(all_that_may(&mut queues, 0), [0, 9, 1, 2, 3]);
    assert_eq!(queues.waiting(), 0);
}

#[test]
fn a_full_target_waits_and_others_go_on() {
    let mut queues = target_queues(10, None);
    let (slow, quick): (Rc<str>, Rc<str>) = ("slow".into(), "quick".into());
    for offset in 0..3 {
        queues.add(&slow, call(offset), Steady(0));
    }
    queues.add(&quick, call(7), Steady(0));
    assert_eq!(all_that_may(&mut queues, 0), [0, 7]);
    assert!(all_that_may(&mut queues, 5).is_empty());
    queues.ended(record(0), Steady(6));
    assert_eq!(all_that_may(&mut queues, 6), [1]);
}

#[test]
fn a_rate_spreads_the_attempts_and_tells_when_to_come_again() {
    let mut queues = target_queues(1_000, Some(100));
    let target: Rc<str> = "t".into();
    for offset in 0..1_000 {
        queues.add(&target, call(offset), Steady(0));
    }
    let mut now = 0;
    let mut started = all_that_may(&mut queues, now).len();
    while let Some(due) = queues.wakeup().filter(|due| due.0 <= 2_000) {
        assert!(due.0 > now, "it never spins");
        now = due.0;
        started += all_that_may(&mut queues, now).len();
    }
    assert_eq!(started, 1 + 200);
}

#[test]
fn a_fast_rate_is_reached_although_the_clock_ticks_in_milliseconds() {
    let mut queues = target_queues(100_000, Some(5_000));
    let target: Rc<str> = "t".into();
    for offset in 0..20_000 {
        queues.add(&target, call(offset), Steady(0));
    }
    let started: usize = (0..=1_000)
        .map(|now| all_that_may(&mut queues, now).len())
        .sum();
    assert!((5_000..=5_005).contains(&started), "{started}");
}

#[test]
fn slow_lines_lose_their_ends_and_keep_each_callers_first() {
    let mut queues = target_queues(10, None);
    let (slow, quick): (Rc<str>, Rc<str>) = ("slow".into(), "quick".into());
    for offset in 0..5 {
        queues.add(&slow, call_of(1, offset), Steady(0));
    }
    queues.add(&slow, call_of(2, 8), Steady(0));
    queues.add(&quick, call_of(1, 7), Steady(90));
    let mut take = |count, firsts, now| (aside(&mut queues, count, firsts, now), queues.waiting());
    assert_eq!(take(10, true, Steady(99)), (vec![], 7), "nothing is known");
    assert_eq!(take(2, false, JUDGED), (vec![3, 4], 5));
    assert_eq!(take(10, false, JUDGED), (vec![1, 2], 3));
    assert_eq!(take(1, true, JUDGED).1, 2, "where nothing else helps");
    assert!(all_that_may(&mut queues, 100).contains(&7));
}

#[test]
fn whoever_has_most_waiting_for_slow_targets_makes_way_first() {
    let mut queues = target_queues(10, None);
    for number in 0..20 {
        let target: Rc<str> = format!("hangs-{}", number % 10).into();
        queues.add(&target, call_of(1, number), Steady(0));
    }
    let stranger: Rc<str> = "hangs-1".into();
    for number in 20..24 {
        queues.add(&stranger, call_of(2, number), Steady(0));
    }
    let taken = aside(&mut queues, 16, true, JUDGED);
    assert!(taken.iter().all(|offset| *offset < 20), "{taken:?}");
}

#[test]
fn a_target_that_keeps_up_keeps_its_calls() {
    let mut queues = target_queues(10, None);
    let target: Rc<str> = "t".into();
    for offset in 0..100 {
        queues.add(&target, call_of(1, offset), Steady(0));
    }
    for now in (0..99).step_by(4) {
        let record = queues.next(1_000, Steady(now)).unwrap();
        queues.ended(record, Steady(now));
    }
    assert!(queues.waiting() > 10);
    assert!(aside(&mut queues, 100, true, JUDGED).is_empty());
    assert!(!aside(&mut queues, 100, true, Steady(200)).is_empty());
}

#[test]
fn what_is_moved_aside_comes_back_as_fast_as_its_target_takes_it() {
    let mut queues = target_queues(100, None);
    let target: Rc<str> = "t".into();
    for offset in 0..200 {
        queues.add(&target, call_of(1, offset), Steady(0));
    }
    for now in (0..100).step_by(10) {
        let record = queues.next(1_000, Steady(now)).unwrap();
        queues.ended(record, Steady(now));
    }
    let mut away = |count| {
        let taken = queues.take_slow(count, false, AWAY_MAX, JUDGED, |_| true);
        let waits = taken.into_iter();
        let waits = waits.map(|(id, wait)| (id.position.offset, wait.unwrap().as_millis()));
        waits.collect::<Vec<_>>()
    };
    let first = away(90);
    assert_eq!((first[0], first[89]), ((110, 1_010), (199, 1_900)));
    let second = away(50);
    assert_eq!((second[0].0, second[49].0), (60, 109));
    assert_eq!(
        (second[0].1, second[49].1),
        (1_910, 2_400),
        "behind the others"
    );
    let taken = queues.take_slow(9, true, AWAY_MAX, Steady(1_000), |_| true);
    assert!(
        taken.iter().all(|(_, wait)| wait.is_none()),
        "nothing moves"
    );
}

#[test]
fn what_has_made_way_goes_before_what_has_not() {
    let mut queues = target_queues(10, None);
    let target: Rc<str> = "t".into();
    for (offset, aside) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 1)] {
        let waiting = Waiting {
            aside,
            ..call_of(1, offset)
        };
        queues.add(&target, waiting, Steady(0));
    }
    assert_eq!(all_that_may(&mut queues, 0), [3, 2, 4, 0, 1]);
}

#[test]
fn callers_take_turns_in_a_queue_and_each_has_a_share() {
    let mut queues = target_queues(64, None);
    let target: Rc<str> = "t".into();
    for offset in 0..100 {
        queues.add(&target, call_of(1, offset), Steady(0));
    }
    let hanging = all_that_may(&mut queues, 0);
    assert_eq!(hanging.len(), 43, "others find room");
    queues.add(&target, call_of(2, 200), Steady(1));
    assert_eq!(all_that_may(&mut queues, 1), [200]);
    for offset in 201..204 {
        queues.add(&target, call_of(2, offset), Steady(2));
    }
    for offset in 0..20 {
        queues.ended(record(offset), Steady(3));
    }
    let next = all_that_may(&mut queues, 3);
    assert_eq!(next[..6], [43, 201, 44, 202, 45, 203]);
}

#[test]
fn one_caller_leaves_slots_however_many_targets_hang() {
    let mut queues = target_queues(64, None);
    let in_flight = |queues: &mut TargetQueues, from: u64| {
        let mut started = from;
        while queues
            .next(256 - usize::try_from(started).unwrap(), Steady(0))
            .is_some()
        {
            started += 1;
        }
        started
    };
    for number in 0..256 {
        let target: Rc<str> = format!("hangs-{number}").into();
        queues.add(&target, call_of(1, number), Steady(0));
    }
    let taken = in_flight(&mut queues, 0);
    assert_eq!(taken, 171);
    queues.add(&Rc::from("t"), call_of(2, 999), Steady(0));
    assert_eq!(in_flight(&mut queues, taken), taken + 1);
}

#[test]
fn large_records_in_flight_leave_bytes_for_others() {
    let default = TargetLimit {
        in_flight_max: 64,
        per_second_max: None,
    };
    let own = BTreeMap::new();
    let mut queues = TargetQueues::new(TargetLimits { default, own }, PATIENCE, 1_000);
    let target: Rc<str> = "t".into();
    let large = |caller, offset, bytes| Waiting {
        bytes,
        ..call_of(caller, offset)
    };
    queues.add(&target, large(1, 0, 2_000), Steady(0));
    assert_eq!(all_that_may(&mut queues, 0), [0], "one always goes");
    queues.ended(record(0), Steady(0));
    for offset in 1..20 {
        queues.add(&target, large(1, offset, 100), Steady(0));
    }
    assert_eq!(all_that_may(&mut queues, 0).len(), 7);
    queues.add(&target, large(2, 50, 100), Steady(0));
    assert_eq!(all_that_may(&mut queues, 0), [50]);
}

#[test]
fn calls_that_may_not_leave_hide_none_that_may() {
    let mut queues = target_queues(10, None);
    let target: Rc<str> = "t".into();
    for offset in 0..6 {
        queues.add(&target, call_of(1, offset), Steady(0));
    }
    let may_leave = |id: RecordId| id.position.offset < 3;
    let taken = queues.take_slow(2, false, AWAY_MAX, JUDGED, may_leave);
    assert_eq!(offsets(taken.into_iter().map(|(id, _)| id)), [1, 2]);
    assert_eq!(all_that_may(&mut queues, 900), [0, 3, 4, 5]);
}

#[test]
fn a_removed_call_has_no_turn() {
    let mut queues = target_queues(10, None);
    let target: Rc<str> = "t".into();
    queues.add(&target, call(1), Steady(0));
    queues.remove(&BTreeSet::from([record(1)]));
    assert_eq!(
        (queues.waiting(), queues.next(1_000_000, Steady(0))),
        (0, None)
    );
    queues.add(&target, call(2), Steady(0));
    assert_eq!(all_that_may(&mut queues, 0), [2]);
}

#[test]
fn targets_that_hang_leave_slots_for_others() {
    const SLOTS: usize = 256;
    let mut queues = target_queues(64, None);
    let mut in_flight = 0;
    let mut all_that_may = |queues: &mut TargetQueues| {
        let mut started = 0;
        while queues.next(SLOTS - in_flight, Steady(0)).is_some() {
            in_flight += 1;
            started += 1;
        }
        started
    };
    let mut got = Vec::new();
    for number in 0..7 {
        let target: Rc<str> = format!("hangs-{number}").into();
        for offset in 0..100 {
            queues.add(&target, call(offset), Steady(0));
        }
        got.push(all_that_may(&mut queues));
    }
    assert_eq!(
        got,
        [64, 64, 64, 43, 14, 5, 2],
        "each newcomer gets a part of what is left"
    );
}
