//! What the Stream refuses for good holds up nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::drain::Input;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at, ids, records, stored};

fn lab(more: &str) -> Lab {
    let mut lab = Lab::joined(&format!(
        r#","lanes":[{{"streamId":"second","delayMs":1000}}]{more}"#
    ));
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    lab
}

fn deferred(path: &str) -> Value {
    json!({ "id": path, "path": path, "deliverAt": at(5_000).wall.to_string() })
}

/// Plays a Stream that takes everything except what `is_bad`, for so many milliseconds. Returns
/// what it has stored on this stream.
fn serve(lab: &mut Lab, stream: &str, millis: u64, is_bad: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut taken = Vec::new();
    for _ in 0..millis / 100 {
        while lab.is_open(&format!("POST {stream}/messages")) {
            let put = lab.take(&format!("POST {stream}/messages"));
            let all = records(&put);
            let refusal = r#"{"code":"InvalidParameter","message":"no such message"}"#;
            let result = match all.iter().any(&is_bad) {
                true => answer(400, &[], refusal),
                false => {
                    taken.extend(all);
                    stored(&put, 0)
                }
            };
            lab.input(Input::CalloutDone(put.ticket, result));
        }
        lab.live(100);
    }
    taken
}

#[test]
fn one_bad_hop_of_many_becomes_a_dead_letter_and_the_others_go_on() {
    let mut lab = lab("");
    let mut list: Vec<Value> = (0..40).map(|n| deferred(&format!("/{n}"))).collect();
    list[17]["failureTo"] = json!("/inbox");
    lab.bring("calls", 0, &list);
    let taken = serve(&mut lab, "second", 20_000, |call| call["id"] == "/17");
    assert_eq!(taken.len(), 39, "{:?}", ids(&taken));
    let letter = serve(&mut lab, "dead", 20_000, |_| false).remove(0);
    assert_eq!(
        (&letter["id"], &letter["reason"]),
        (&json!("/17"), &json!("unstorable"))
    );
    assert_eq!(letter["call"]["path"], "/17");
    assert!(
        letter["detail"]
            .as_str()
            .unwrap()
            .contains("no such message")
    );
    assert_eq!(lab.said.counted(Metric::Unstorable), 1);
    assert_eq!(lab.said.counted(Metric::DeadUnstorable), 1);
    let replies = serve(&mut lab, "calls", 20_000, |_| false);
    assert_eq!(replies[0]["reply"]["callId"], "/17", "the failure reply");
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_dead_letter_that_is_refused_goes_without_its_record() {
    let mut lab = lab("");
    lab.bring(
        "calls",
        0,
        &[
            json!({ "id": "bad", "path": "/bad" }),
            json!({ "path": "/2" }),
        ],
    );
    for path in ["/bad", "/2"] {
        lab.answer(&format!("GET {path}"), answer(404, &[], ""));
    }
    let taken = serve(&mut lab, "dead", 60_000, |letter| {
        letter["call"]["path"] == "/bad"
    });
    assert_eq!(taken.len(), 2, "{taken:?}");
    let letter = taken.iter().find(|letter| letter["id"] == "bad").unwrap();
    assert_eq!(letter["recordBase64"], "");
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_stream_that_refuses_all_dead_letters_loses_none() {
    let mut lab = lab("");
    lab.bring("calls", 0, &[json!({ "path": "/1" })]);
    lab.answer("GET /1", answer(404, &[], ""));
    let taken = serve(&mut lab, "dead", 300_000, |_| true);
    assert!(taken.is_empty());
    assert_eq!(lab.said.counted(Metric::Held), 1, "it is not settled");
    let taken = serve(&mut lab, "dead", 60_000, |_| false);
    assert_eq!(taken.len(), 1);
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_reply_that_is_refused_is_a_dead_letter_of_its_own() {
    let mut lab = Lab::joined(r#","replies":{"paths":["/inbox"]}"#);
    let call = json!({ "id": "c", "path": "/1", "replyTo": "/inbox" });
    lab.bring("calls", 0, &[call]);
    lab.answer("GET /1", answer(200, &[], "done"));
    let taken = serve(&mut lab, "calls", 60_000, |call| call["reply"].is_object());
    assert!(taken.is_empty());
    let letter = serve(&mut lab, "dead", 20_000, |_| false).remove(0);
    assert_eq!(letter["reason"], "unstorable");
    assert_eq!(letter["call"]["reply"]["callId"], "c");
    assert_eq!(lab.said.counted(Metric::Held), 0);
}

#[test]
fn a_note_that_is_refused_keeps_no_commit_waiting() {
    let mut lab = lab("");
    let mut call = deferred("/1");
    call["orderKey"] = json!("a");
    call["deliverAt"] = json!(at(3_600_000).wall.to_string());
    lab.bring("calls", 0, &[call]);
    assert_eq!(ids(&serve(&mut lab, "second", 100, |_| false)), ["/1"]);
    assert_eq!(lab.said.counted(Metric::Committed), 0);
    let is_note = |message: &Value| message["parked"].is_object();
    serve(&mut lab, "calls", 60_000, is_note);
    assert!(lab.said.counted(Metric::Unstorable) > 0);
    assert!(lab.said.counted(Metric::Committed) > 0);
}

#[test]
fn one_bad_entry_slows_nobody_down() {
    let mut lab = lab("");
    lab.bring("calls", 0, &[deferred("/bad"), deferred("/2")]);
    let put = lab.take("POST second/messages");
    let entries = r#"{"failures":1,"entries":[{"error":"InvalidParameter","errorMessage":"no"},
        {"partition":"0","offset":1}]}"#;
    lab.input(Input::CalloutDone(put.ticket, answer(200, &[], entries)));
    lab.bring("calls", 2, &[deferred("/3")]);
    lab.live(500);
    assert_eq!(ids(&lab.put("second")), ["/3"], "the bad one stands aside");
    let taken = serve(&mut lab, "second", 10_000, |call| call["id"] == "/bad");
    assert!(taken.is_empty());
    assert_eq!(lab.put("dead")[0]["id"], "/bad");
}
