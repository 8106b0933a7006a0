//! A timer that a former state of a record has left does nothing, and counts for nothing.

use super::*;
use crate::config::Document;
use crate::drain::commit::CommitTracker;
use crate::drain::config::DrainConfig;
use crate::drain::plan::Plan;
use crate::id::{Position, StreamName};
use crate::record;
use crate::stream::consume::{Cursor, Message};
use crate::time::Wall;

/// Two calls with the same order key: the second is behind the first.
const RECORD: &str = r#"{"path":"/a","orderKey":"k","progress":{"attempts":1}}"#;

const BEGIN: Steady = Steady(0);
/// When the second call is looked at again, while it is behind.
const LOOK: Steady = Steady(100);
/// When its wait ends.
const END: Steady = Steady(5_000);

fn config() -> DrainConfig {
    let config = r#"{"stream":{"cluster":"stream","authority":"s","streamId":"calls"},
        "deadLetters":{"streamId":"dead"},"dispatch":{"cluster":"dispatch"}}"#;
    DrainConfig::from_json(config.as_bytes()).unwrap()
}

fn position(offset: u64) -> Position {
    Position {
        partition: 0,
        offset,
    }
}

fn id(offset: u64) -> RecordId {
    RecordId::new(StreamName::Calls, position(offset), "")
}

/// Returns a window with both calls; the second one is behind, and is looked at again at [`LOOK`].
fn window() -> Window {
    let config = config();
    let mut window = Window::new(&config);
    let fetch = CommitTracker::default().fetched(Cursor("c".to_owned()));
    for offset in [0, 1] {
        let message = Message {
            position: position(offset),
            key: None,
            value: RECORD.into(),
            stored_at: String::new(),
        };
        window.take_in(id(offset), message, fetch);
        let call = record::decode(RECORD.as_bytes()).unwrap();
        let plan = Plan::new(&call, "id", Wall(0), &config.attempt);
        let tracked = window.get_mut(id(offset)).unwrap();
        tracked.progress.clone_from(&call.head.progress);
        tracked.plan = Some(plan);
        let is_first = window.stand_in_order(id(offset), BEGIN);
        assert_eq!(is_first, offset == 0);
    }
    window.apply(id(0), Transition::Enqueue, BEGIN);
    let stay = Transition::StayBehind { look: Some(LOOK) };
    window.apply(id(1), stay, BEGIN);
    window.check().unwrap();
    window
}

#[test]
fn a_waiting_call_counts_once_when_room_is_made_whatever_timers_it_has_left() {
    for end in [END, LOOK] {
        let mut window = window();
        window.apply(id(1), Transition::Wait { until: end }, BEGIN);
        window.check().unwrap();
        let of_two = window.take_resting(2, 10, BEGIN);
        assert_eq!(of_two, [], "there are no two calls that rest");
        let of_one = window.take_resting(1, 10, BEGIN);
        assert_eq!(of_one, [(end, id(1))]);
        assert_eq!(window.take_resting(1, 10, BEGIN), [], "it is taken already");
    }
}

#[test]
fn a_timer_of_a_former_state_does_not_end_a_wait() {
    let mut window = window();
    window.apply(id(1), Transition::Wait { until: END }, BEGIN);
    assert_eq!(window.next_timer(), Some(LOOK));
    assert_eq!(window.pop_timer(LOOK), None, "it waits until {END:?}");
    window.check().unwrap();
    assert_eq!(window.next_timer(), Some(END), "the old timer is gone");
    assert_eq!(window.pop_timer(END), Some(id(1)));
    assert_eq!(window.pop_timer(END), None);
}

#[test]
fn a_timer_of_a_record_that_is_settled_or_forgotten_does_nothing() {
    let mut window = window();
    window.apply(id(1), Transition::Leave { messages: 1 }, BEGIN);
    window.apply(id(1), Transition::Settle, BEGIN);
    assert_eq!(window.pop_timer(LOOK), None);
    window.check().unwrap();

    let mut window = self::window();
    window.apply(id(1), Transition::Leave { messages: 1 }, BEGIN);
    window.apply(id(1), Transition::Settle, BEGIN);
    window.committed(&[id(1)]);
    assert_eq!(window.pop_timer(LOOK), None);
    window.check().unwrap();
}
