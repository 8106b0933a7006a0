//! Calls with an order key that can't be made now leave the window, hold back nobody's commits, and
//! are made in their order all the same, whoever reads their partition (G6, G11).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at, ids, messages_stored_at};

/// How long the longer one of two lanes is.
const LONG: u64 = 20_000;

fn lab(more: &str) -> Lab {
    let mut lab = Lab::joined(&format!(
        r#","attempt":{{"backoffBaseMs":1}},"lanes":[{{"streamId":"second","delayMs":1000}},
        {{"streamId":"long","delayMs":20000}}]{more}"#
    ));
    for lane in ["second", "long"] {
        let start = answer(200, &[], r#"{"value":"start"}"#);
        lab.answer(&format!("{lane}/groupCursors"), start);
    }
    lab
}

fn keyed(path: &str, key: &str) -> Value {
    json!({ "id": path, "path": path, "orderKey": key })
}

fn deferred(path: &str, key: &str, millis: u64) -> Value {
    let mut call = keyed(path, key);
    call["deliverAt"] = json!(at(millis).wall.to_string());
    call
}

/// Takes everything that is put onto a lane.
fn leaving(lab: &mut Lab, lane: &str) -> Vec<Value> {
    let mut all = Vec::new();
    while lab.is_open(&format!("POST {lane}/messages")) {
        all.extend(lab.put(lane));
    }
    all
}

/// As they come back to the stream of calls.
fn back(mut calls: Vec<Value>) -> Vec<Value> {
    for call in &mut calls {
        let hops = call["progress"]["hops"].as_u64().unwrap();
        call["progress"]["hops"] = json!(hops + 1);
    }
    calls
}

#[test]
fn a_key_whose_first_call_is_not_due_leaves_with_all_its_calls() {
    let mut lab = lab("");
    let list = [
        deferred("/1", "a", 2 * LONG),
        keyed("/2", "a"),
        keyed("/other", "b"),
        keyed("/3", "a"),
    ];
    lab.bring("calls", 0, &list);
    lab.deliver("/other");
    let away = leaving(&mut lab, "long");
    assert_eq!(ids(&away), ["/1", "/2", "/3"]);
    for (index, offset) in [0, 1, 3].into_iter().enumerate() {
        let place = json!({ "partition": 0, "offset": offset });
        assert_eq!(away[index]["progress"]["order"], place);
    }
    assert!(!lab.is_open("calls/commit?"), "no note tells of them yet");
    let notes = lab.take_notes();
    let said: Vec<u64> = notes
        .iter()
        .flat_map(|note| note["parked"]["keys"][0][1].as_array().unwrap())
        .map(|call| call[0].as_u64().unwrap())
        .collect();
    assert!(
        [0, 1, 3].iter().all(|number| said.contains(number)),
        "{notes:?}"
    );
    lab.live(2_000);
    assert!(lab.said.counted(Metric::Committed) > 0, "{:?}", lab.open);
}

#[test]
fn a_full_window_of_one_key_is_nobody_elses_trouble() {
    let mut lab = lab(r#","window":{"calls":16},"fetch":{"records":16}"#);
    let mut list: Vec<Value> = (1..16).map(|n| keyed(&format!("/{n}"), "a")).collect();
    list.insert(0, deferred("/0", "a", LONG + 1_000));
    lab.bring("calls", 0, &list);
    let mut offset = 16;
    for number in 0..50 {
        for _ in 0..10 {
            lab.take_notes();
            leaving(&mut lab, "long");
            leaving(&mut lab, "second");
            lab.wait(200);
        }
        let path = format!("/other/{number}");
        lab.bring("calls", offset, &[keyed(&path, "b"), keyed("/more", "a")]);
        offset += 2;
        lab.deliver(&path);
    }
    assert_eq!(lab.said.counted(Metric::Delivered), 50);
    assert!(lab.calls().is_empty());
}

/// What another drain's note says keeps later calls waiting, until all of them are back.
#[test]
fn whoever_reads_the_partition_next_knows_what_is_away() {
    let mut first = lab("");
    first.bring(
        "calls",
        0,
        &[deferred("/1", "a", LONG + 10), keyed("/2", "a")],
    );
    let away = leaving(&mut first, "long");
    let mut note = first.take_notes().pop().unwrap();
    note["parked"]["by"] = json!("the first");
    assert_eq!(ids(&away), ["/1", "/2"]);
    // It is gone, and another one reads on behind the calls.
    let mut second = lab("");
    second.bring("calls", 2, &[keyed("/3", "a"), keyed("/other", "b"), note]);
    assert_eq!(second.calls(), ["GET /other"]);
    second.deliver("/other");
    let later = leaving(&mut second, "long");
    assert_eq!(ids(&later), ["/3"], "it follows them");
    second.take_notes();
    second.live(LONG + 100);
    second.take_notes();
    let mut all = back(later);
    all.extend(back(away));
    all.reverse();
    // Even what comes back in the wrong order is made in the right one.
    second.bring("calls", 5, &all);
    for path in ["/1", "/2", "/3"] {
        assert_eq!(second.calls(), [format!("GET {path}")]);
        second.deliver(path);
    }
}

#[test]
fn a_call_is_not_made_before_the_end_was_seen_once() {
    let mut lab = lab(r#","fetch":{"records":2}"#);
    lab.bring("calls", 0, &[keyed("/1", "a"), keyed("/free", "b")]);
    assert!(lab.calls().is_empty(), "a note may be behind them");
    lab.bring("calls", 2, &[json!({ "path": "/3" })]);
    let mut calls = lab.calls();
    calls.sort();
    assert_eq!(calls, ["GET /1", "GET /3", "GET /free"]);
}

#[test]
fn what_is_too_many_of_one_key_is_a_dead_letter_and_others_go_on() {
    let mut lab = lab(r#","window":{"parkedCalls":20}"#);
    let list: Vec<Value> = (0..40)
        .map(|n| deferred(&format!("/{n}"), "a", LONG + 10_000))
        .collect();
    lab.bring("calls", 0, &list);
    while lab.is_open("dead/messages") {
        lab.put("dead");
    }
    assert_eq!(leaving(&mut lab, "long").len(), 10, "half of the room");
    assert_eq!(lab.said.counted(Metric::DeadTooMany), 30);
    let other = deferred("/other", "b", LONG + 10_000);
    lab.take_notes();
    lab.bring("calls", 40, &[other]);
    lab.take_notes();
    assert_eq!(ids(&leaving(&mut lab, "long")), ["/other"]);
}

#[test]
fn one_caller_with_many_keys_leaves_room_for_another() {
    let mut lab = lab(r#","window":{"parkedCalls":30}"#);
    let of = |path: &str, caller: char| {
        let mut call = deferred(path, path, LONG + 10_000);
        call["caller"] = json!(caller.to_string().repeat(32));
        call
    };
    let list: Vec<Value> = (0..40).map(|n| of(&format!("/{n}"), 'a')).collect();
    lab.bring("calls", 0, &list);
    while lab.is_open("dead/messages") {
        lab.put("dead");
    }
    assert_eq!(
        leaving(&mut lab, "long").len(),
        20,
        "two thirds of the room"
    );
    lab.take_notes();
    lab.bring("calls", 40, &[of("/other", 'b')]);
    lab.take_notes();
    assert_eq!(ids(&leaving(&mut lab, "long")), ["/other"]);
}

#[test]
fn a_call_behind_one_that_is_away_ends_at_its_own_time() {
    let mut lab = lab("");
    let mut short = keyed("/short", "a");
    short["maxAgeMs"] = json!(8_000);
    lab.bring("calls", 0, &[deferred("/first", "a", 3_600_000), short]);
    leaving(&mut lab, "long");
    let mut offset = 2;
    let mut seconds = 0;
    while !lab.is_open("dead/messages") {
        lab.live(1_000);
        seconds += 1;
        assert!(seconds < 60, "it never ends");
        lab.take_notes();
        for lane in ["second", "long"] {
            let mut away = leaving(&mut lab, lane);
            away.retain(|call| call["id"] == "/short");
            if !away.is_empty() {
                lab.live(if lane == "long" { 20_000 } else { 1_000 });
                lab.bring("calls", offset, &back(away));
                offset += 1;
            }
        }
    }
    assert_eq!(lab.put("dead")[0]["reason"], "expired");
    assert!(lab.calls().is_empty(), "neither was made");
}

#[test]
fn a_call_that_never_comes_back_is_not_waited_for_for_ever() {
    let mut lab = lab("");
    lab.bring("calls", 0, &[deferred("/lost", "a", 5_000)]);
    leaving(&mut lab, "second");
    lab.bring("calls", 1, &[keyed("/next", "a")]);
    let mut offset = 2;
    while lab.calls().is_empty() {
        lab.live(1_000);
        lab.take_notes();
        let mut away = leaving(&mut lab, "second");
        away.retain(|call| call["id"] == "/next");
        if !away.is_empty() {
            lab.live(10_000);
            lab.bring("calls", offset, &back(away));
            offset += 1;
        }
        assert!(lab.millis < 300_000, "{:?}", lab.open);
    }
    assert!(lab.millis > 60_000);
    lab.deliver("/next");
}

/// Another drain's note that the first call of key "a" is away.
fn foreign_note(back_in: u64) -> Value {
    let back_at = at(back_in).wall.0;
    json!({ "version": 1, "parked": {
        "by": "another", "epoch": 1, "serial": 1, "partition": 0, "route": "a",
        "keys": [["ca978112ca1bbdca", [[0, back_at]]]],
    } })
}

/// The first call of key "a", as it comes back.
fn first_call_back() -> Value {
    let mut call = keyed("/1", "a");
    call["progress"] = json!({ "hops": 2, "order": { "partition": 0, "offset": 0 } });
    call
}

/// The same records, stored at the same time.
fn bring_same(lab: &mut Lab, offset: usize, list: &[Value]) {
    let stored_at = at(0).wall.to_string();
    let list: Vec<String> = list.iter().map(Value::to_string).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    lab.bring_answer("calls", messages_stored_at(&stored_at, offset, &list));
}

fn lose_session(lab: &mut Lab) {
    let lost = r#"{"code":"InvalidParameter","message":"expired"}"#;
    lab.bring_answer("calls", answer(400, &[], lost));
    lab.wait(200);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("calls/groupCursors", start);
}

#[test]
fn a_call_that_is_back_is_not_away_again_because_its_note_is_read_again() {
    let mut lab = lab("");
    let list = [foreign_note(LONG), first_call_back()];
    bring_same(&mut lab, 1, &list);
    lab.deliver("/1");
    lose_session(&mut lab);
    bring_same(&mut lab, 1, &list);
    lab.take_notes();
    lab.bring("calls", 3, &[keyed("/2", "a")]);
    assert_eq!(lab.calls(), ["GET /2"]);
}

#[test]
fn a_call_that_has_come_back_to_another_drain_is_not_waited_for() {
    let mut lab = lab("");
    lab.bring("calls", 0, &[deferred("/1", "a", LONG + 10)]);
    leaving(&mut lab, "long");
    lab.take_notes();
    // Another drain has the partition meanwhile, makes the call, and commits that.
    lose_session(&mut lab);
    lab.bring("calls", 7, &[keyed("/2", "a")]);
    assert!(lab.calls().is_empty(), "a note may be behind it");
    let own = lab.take_notes();
    assert_eq!(own.len(), 1, "it asks how far the partition was read");
    lab.bring("calls", 8, &own);
    assert_eq!(lab.calls(), ["GET /2"]);
}

#[test]
fn a_call_that_is_away_is_still_away_after_a_lost_session() {
    let mut lab = lab("");
    lab.bring("calls", 0, &[deferred("/1", "a", LONG + 10)]);
    leaving(&mut lab, "long");
    let notes = lab.take_notes();
    bring_same(&mut lab, 1, &notes);
    lose_session(&mut lab);
    let mut again = notes;
    again.push(keyed("/2", "a"));
    bring_same(&mut lab, 1, &again);
    for offset in 3..6 {
        let own = lab.take_notes();
        lab.bring("calls", offset, &own);
    }
    assert!(lab.calls().is_empty(), "/1 is away");
}

#[test]
fn a_note_of_a_drain_that_has_lost_the_partition_comes_too_late() {
    let mut lab = lab("");
    lab.bring("calls", 1, &[json!({ "path": "/other" })]);
    lab.deliver("/other");
    lab.bring("calls", 2, &[foreign_note(LONG)]);
    lab.bring("calls", 3, &[keyed("/2", "a")]);
    assert_eq!(lab.calls(), ["GET /2"]);
}

#[test]
fn a_call_is_back_when_the_next_note_of_the_same_drain_does_not_tell_of_it() {
    let mut lab = lab(r#","fetch":{"records":2}"#);
    let mut later = foreign_note(LONG);
    later["parked"]["serial"] = json!(2);
    later["parked"]["keys"] = json!([]);
    lab.bring("calls", 5, &[foreign_note(LONG), keyed("/2", "a")]);
    lab.bring("calls", 7, &[later]);
    assert_eq!(lab.calls(), ["GET /2"]);
    // The other way round it is a copy that has landed late.
    let mut lab = self::lab(r#","fetch":{"records":2}"#);
    let mut earlier = foreign_note(LONG);
    earlier["parked"]["serial"] = json!(0);
    earlier["parked"]["keys"] = json!([]);
    lab.bring("calls", 5, &[foreign_note(LONG), keyed("/2", "a")]);
    lab.bring("calls", 7, &[earlier]);
    assert!(lab.calls().is_empty());
}
