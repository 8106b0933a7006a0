//! Behaviour of the lines.

use super::*;
use crate::id::{Position, Source};

fn record(offset: u64) -> RecordId {
    let position = Position {
        partition: 0,
        offset,
    };
    RecordId::new(Source::Calls, position, "")
}

fn lines(in_flight_max: usize, per_second_max: Option<u32>) -> Lines {
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
    Lines::new(TargetLimits { default, own })
}

fn offsets(records: impl IntoIterator<Item = RecordId>) -> Vec<u64> {
    let records = records.into_iter();
    records.map(|record| record.position.offset).collect()
}

fn all_that_may(lines: &mut Lines, now: u64) -> Vec<u64> {
    offsets(std::iter::from_fn(|| lines.next(1_000_000, Steady(now))))
}

#[test]
fn targets_take_turns_and_each_line_keeps_its_order() {
    let mut lines = lines(10, None);
    let (a, b): (Rc<str>, Rc<str>) = ("a".into(), "b".into());
    for offset in 0..4 {
        lines.add(&a, record(offset), Steady(0));
    }
    lines.add(&b, record(9), Steady(0));
    assert_eq!(lines.waiting(), 5);
    assert_eq!(all_that_may(&mut lines, 0), [0, 9, 1, 2, 3]);
    assert_eq!(lines.waiting(), 0);
}

#[test]
fn a_full_target_waits_and_others_go_on() {
    let mut lines = lines(10, None);
    let (slow, quick): (Rc<str>, Rc<str>) = ("slow".into(), "quick".into());
    for offset in 0..3 {
        lines.add(&slow, record(offset), Steady(0));
    }
    lines.add(&quick, record(7), Steady(0));
    assert_eq!(all_that_may(&mut lines, 0), [0, 7]);
    assert!(all_that_may(&mut lines, 5).is_empty());
    lines.ended(&slow, Steady(6));
    assert_eq!(all_that_may(&mut lines, 6), [1]);
}

#[test]
fn a_rate_spreads_the_attempts_and_tells_when_to_come_again() {
    let mut lines = lines(1_000, Some(100));
    let target: Rc<str> = "t".into();
    for offset in 0..1_000 {
        lines.add(&target, record(offset), Steady(0));
    }
    let mut now = 0;
    let mut started = all_that_may(&mut lines, now).len();
    while let Some(due) = lines.wakeup().filter(|due| due.0 <= 2_000) {
        assert!(due.0 > now, "it never spins");
        now = due.0;
        started += all_that_may(&mut lines, now).len();
    }
    assert_eq!(started, 1 + 200);
}

#[test]
fn a_fast_rate_is_reached_although_the_clock_ticks_in_milliseconds() {
    let mut lines = lines(100_000, Some(5_000));
    let target: Rc<str> = "t".into();
    for offset in 0..20_000 {
        lines.add(&target, record(offset), Steady(0));
    }
    let started: usize = (0..=1_000)
        .map(|now| all_that_may(&mut lines, now).len())
        .sum();
    assert!((5_000..=5_005).contains(&started), "{started}");
}

#[test]
fn stuck_lines_lose_their_ends_and_keep_their_first() {
    let mut lines = lines(10, None);
    let (slow, quick): (Rc<str>, Rc<str>) = ("slow".into(), "quick".into());
    for offset in 0..5 {
        lines.add(&slow, record(offset), Steady(0));
    }
    lines.add(&quick, record(7), Steady(900));
    assert!(lines.take_stuck(10, Steady(0), |_| true).is_empty());
    assert_eq!(offsets(lines.take_stuck(2, Steady(500), |_| true)), [4, 3]);
    assert_eq!(offsets(lines.take_stuck(10, Steady(500), |_| true)), [2, 1]);
    assert_eq!(lines.waiting(), 2);
    assert_eq!(all_that_may(&mut lines, 900), [0, 7]);
}

#[test]
fn calls_that_may_not_leave_hide_none_that_may() {
    let mut lines = lines(10, None);
    let target: Rc<str> = "t".into();
    for offset in 0..6 {
        lines.add(&target, record(offset), Steady(0));
    }
    let taken = lines.take_stuck(2, Steady(500), |id| id.position.offset < 3);
    assert_eq!(offsets(taken), [2, 1]);
    assert_eq!(all_that_may(&mut lines, 900), [0, 3, 4, 5]);
}

#[test]
fn a_removed_call_has_no_turn() {
    let mut lines = lines(10, None);
    let target: Rc<str> = "t".into();
    lines.add(&target, record(1), Steady(0));
    lines.remove(&target, record(1));
    assert_eq!(
        (lines.waiting(), lines.next(1_000_000, Steady(0))),
        (0, None)
    );
    lines.add(&target, record(2), Steady(0));
    assert_eq!(all_that_may(&mut lines, 0), [2]);
}

#[test]
fn targets_that_hang_leave_slots_for_others() {
    const SLOTS: usize = 256;
    let mut lines = lines(64, None);
    let mut in_flight = 0;
    let mut all_that_may = |lines: &mut Lines| {
        let mut started = 0;
        while lines.next(SLOTS - in_flight, Steady(0)).is_some() {
            in_flight += 1;
            started += 1;
        }
        started
    };
    let mut got = Vec::new();
    for number in 0..7 {
        let target: Rc<str> = format!("hangs-{number}").into();
        for offset in 0..100 {
            lines.add(&target, record(offset), Steady(0));
        }
        got.push(all_that_may(&mut lines));
    }
    assert_eq!(
        got,
        [64, 64, 64, 43, 14, 5, 2],
        "each newcomer gets a part of what is left"
    );
}
