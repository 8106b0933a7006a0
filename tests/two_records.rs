//! Two records of one call are on the Stream, because a drain died between storing a hop and
//! committing the record that it replaces: whoever reads both makes the call to its end once (G3).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at};

fn lab() -> Lab {
    let lanes = r#","attempt":{"backoffBaseMs":1},"deadLetters":{"streamId":"dead"},
        "lanes":[{"streamId":"second","delayMs":1000}]"#;
    let mut lab = Lab::joined(lanes);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    lab
}

/// The record of a call after so many hops.
fn record(path: &str, more: &Value, hops: u32) -> Value {
    let mut call = json!({
        "id": path, "path": path, "acceptedAt": at(0).wall.to_string(),
        "progress": { "hops": hops }
    });
    for (name, value) in more.as_object().unwrap() {
        call[name.as_str()] = value.clone();
    }
    call
}

#[test]
fn a_call_with_an_order_key_is_made_once_and_the_next_one_goes() {
    let mut lab = lab();
    let key = json!({ "orderKey": "a" });
    let mut back = record("/1", &key, 2);
    back["progress"]["order"] = json!({ "partition": 0, "offset": 0 });
    let next = record("/2", &key, 0);
    lab.bring("calls", 0, &[record("/1", &key, 0), next, back]);
    assert_eq!(lab.calls(), ["GET /1"]);
    lab.deliver("/1");
    assert_eq!(
        lab.calls(),
        ["GET /2"],
        "the second record of /1 is settled"
    );
    lab.deliver("/2");
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 1);
    assert_eq!(lab.said.counted(Metric::Held), 0);
    lab.live(2_000);
    assert!(lab.said.counted(Metric::Committed) > 0, "{:?}", lab.open);
}

#[test]
fn many_second_records_in_a_row_are_settled() {
    let mut lab = lab();
    let key = json!({ "orderKey": "a" });
    let paths: Vec<String> = (0..300).map(|number| format!("/{number}")).collect();
    let firsts: Vec<Value> = paths.iter().map(|path| record(path, &key, 1)).collect();
    for (chunk, offset) in firsts.chunks(100).zip([0, 100, 200]) {
        lab.bring("calls", offset, chunk);
        for call in chunk {
            lab.deliver(call["path"].as_str().unwrap());
        }
    }
    let seconds: Vec<Value> = paths.iter().map(|path| record(path, &key, 2)).collect();
    lab.bring("calls", 300, &seconds);
    assert!(lab.calls().is_empty(), "{:?}", lab.calls());
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 300);
}

#[test]
fn a_call_that_is_dead_is_not_made_by_its_second_record() {
    let mut lab = lab();
    lab.bring("calls", 0, &[record("/1", &json!({}), 0)]);
    lab.answer("GET /1", answer(400, &[], ""));
    let second = [record("/1", &json!({}), 2)];
    lab.put("dead");
    lab.bring("calls", 1, &second);
    assert!(lab.calls().is_empty(), "{:?}", lab.calls());
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 1);
}

#[test]
fn two_calls_to_which_a_publisher_gives_one_id_are_both_made() {
    let mut lab = lab();
    let mut later = record("/1", &json!({}), 0);
    later["acceptedAt"] = json!(at(5).wall.to_string());
    let mut hop = record("/1", &json!({}), 1);
    hop["acceptedAt"] = json!(at(7).wall.to_string());
    for (offset, call) in [record("/1", &json!({}), 0), later, hop]
        .into_iter()
        .enumerate()
    {
        lab.bring("calls", offset, &[call]);
        lab.deliver("/1");
    }
    // Nor are two records without hops one call, whatever else they say.
    lab.bring("calls", 3, &[record("/1", &json!({}), 0)]);
    lab.deliver("/1");
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 0);
}

#[test]
fn a_redriven_call_is_made_again() {
    let mut lab = lab();
    lab.bring("calls", 0, &[record("/1", &json!({}), 1)]);
    lab.deliver("/1");
    let mut again = record("/1", &json!({}), 1);
    again["progress"]["redrives"] = json!(1);
    lab.bring("calls", 1, &[again]);
    lab.deliver("/1");
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 0);
}
