//! What others publish with an order key, or as a note, under another message key than a drain
//! would give it: it never stands beside the calls of its key (G6).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sluice::engine::Callout;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, at, messages_with_keys, records};

fn lab() -> Lab {
    let mut lab = Lab::joined(r#","lanes":[{"streamId":"second","delayMs":1000}]"#);
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    lab
}

/// The stream of calls has these, under these message keys.
fn bring(lab: &mut Lab, offset: usize, records: &[(Option<&str>, Value)]) {
    let keys: Vec<Option<String>> = records
        .iter()
        .map(|(key, _)| key.map(str::to_owned))
        .collect();
    let texts: Vec<String> = records
        .iter()
        .map(|(_, record)| record.to_string())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let stored_at = at(lab.millis).wall.to_string();
    let result = messages_with_keys(&stored_at, offset, &texts, &keys);
    lab.bring_answer("calls", result);
}

fn keyed(path: &str) -> Value {
    json!({ "id": path, "path": path, "orderKey": "a" })
}

/// Returns the message keys of a PutMessages request.
fn keys(put: &Callout) -> Vec<Option<Vec<u8>>> {
    let body: Value = serde_json::from_slice(&put.request.body).unwrap();
    let key = |message: &Value| Some(BASE64.decode(message["key"].as_str()?).unwrap());
    body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(key)
        .collect()
}

#[test]
fn a_call_under_another_message_key_is_put_under_its_own_and_not_made() {
    let mut lab = lab();
    let without_id = json!({ "path": "/x", "orderKey": "a", "unknown": 1.50,
        "progress": { "order": { "partition": 0, "offset": 0 } } });
    let list = [
        (Some("other"), keyed("/1")),
        (None, without_id),
        (Some("a"), keyed("/3")),
    ];
    bring(&mut lab, 0, &list);
    assert_eq!(lab.calls(), ["GET /3"], "it waits for nobody");
    let put = lab.take("POST calls/messages");
    assert_eq!(keys(&put), [Some(b"a".to_vec()), Some(b"a".to_vec())]);
    let moved = records(&put);
    assert_eq!(moved[0]["id"], "/1");
    assert_eq!(moved[1]["id"], "p0-o1", "the same however often it is read");
    assert_eq!(moved[1]["unknown"], 1.50);
    for call in &moved {
        assert_eq!(call["progress"], json!({ "hops": 1, "rekeyed": 1 }));
    }
    let stored = support::stored(&put, 3);
    lab.input(sluice::drain::Input::CalloutDone(put.ticket, stored));
    assert_eq!(lab.said.counted(Metric::Rekeyed), 2);
    lab.deliver("/3");
    // Both were put twice, as after a crash: each is made once.
    let again = moved
        .iter()
        .chain(&moved)
        .map(|call| (Some("a"), call.clone()));
    bring(&mut lab, 3, &again.collect::<Vec<_>>());
    for path in ["/1", "/x"] {
        assert_eq!(lab.calls(), [format!("GET {path}")]);
        lab.deliver(path);
    }
    assert!(lab.calls().is_empty());
    assert_eq!(lab.said.counted(Metric::RepeatedHops), 2);
}

#[test]
fn a_call_without_an_order_key_may_have_any_message_key() {
    let mut lab = lab();
    let call = json!({ "path": "/free" });
    bring(&mut lab, 0, &[(Some("whatever"), call)]);
    lab.deliver("/free");
    assert!(!lab.is_open("POST calls/messages"));
}

#[test]
fn a_stream_that_keeps_no_keys_is_said_and_nothing_goes_round() {
    let mut lab = lab();
    let mut call = keyed("/1");
    for offset in 0..3 {
        bring(&mut lab, offset, &[(None, call)]);
        call = lab.put("calls").remove(0);
    }
    bring(&mut lab, 3, &[(None, call)]);
    let letter = lab.put("dead").remove(0);
    assert_eq!(letter["reason"], "unreadable_record");
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.contains("message key"), "{detail}");
    assert!(lab.calls().is_empty());
}

#[test]
fn a_note_under_another_message_key_is_none() {
    let note = |route: &str| {
        json!({ "version": 1, "parked": { "by": "x", "epoch": 0, "serial": 0, "partition": 0,
            "route": route, "keys": [["ca978112ca1bbdca", [[0, at(60_000).wall.0]]]] } })
    };
    for key in [None, Some("b"), Some("a")] {
        let mut lab = lab();
        bring(
            &mut lab,
            1,
            &[(key, note("a")), (Some("a"), keyed("/next"))],
        );
        let is_ours = key == Some("a");
        assert_eq!(lab.is_open("dead/messages"), !is_ours, "{key:?}");
        assert_eq!(
            lab.calls().is_empty(),
            is_ours,
            "it waits for what the note tells of"
        );
    }
}
