//! Where calls go, how many at a time (G7).

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
use support::{answer, at, field, records};

fn fetch(lab: &mut Lab, offset: usize, list: &[Value]) {
    lab.bring("calls", offset, list);
}

#[test]
fn explicit_targets_go_out_where_the_list_has_them_and_nowhere_else() {
    let allowed = r#","targets":{"allow":[{"host":"api.example.com","pathPrefix":"/in"}]}"#;
    let mut lab = Lab::joined(allowed);
    fetch(
        &mut lab,
        0,
        &[
            json!({ "target": "https://api.example.com/in?x=1", "method": "PUT" }),
            json!({ "target": "https://api.example.com/out" }),
            json!({ "target": "https://169.254.169.254/in" }),
            json!({ "target": "nonsense" }),
        ],
    );
    let letters = lab.take("dead/messages");
    let reasons: Vec<Value> = records(&letters)
        .into_iter()
        .map(|letter| letter["reason"].clone())
        .collect();
    assert_eq!(reasons, ["denied"; 4]);
    let told = |line: &&String| {
        line.starts_with("event=dead_letter call_id=p0-o") && line.contains(" reason=denied ")
    };
    assert_eq!(
        lab.said.logs.iter().filter(told).count(),
        4,
        "{:?}",
        lab.said.logs
    );
    assert_eq!(
        lab.said.counted(Metric::Attempts),
        0,
        "no way out is configured"
    );
}

#[test]
fn an_allowed_target_is_called_by_its_own_authority() {
    let mut lab = Lab::with_dispatch(
        r#","httpsCluster":"egress-https""#,
        r#","targets":{"allow":[{"host":"*.example.com"}]}"#,
    );
    fetch(
        &mut lab,
        0,
        &[
            json!({ "target": "https://api.example.com/in?x=1", "method": "PUT",
            "authority": "forged", "scheme": "http" }),
        ],
    );
    let call = lab.take("PUT /in?x=1");
    assert_eq!(&*call.cluster, "egress-https");
    assert_eq!(field(&call, ":authority"), "api.example.com");
    assert_eq!(field(&call, ":scheme"), "https");
}

#[test]
fn a_slow_target_has_its_own_line() {
    let mut lab = Lab::joined(r#","limits":{"inFlight":2}"#);
    let slow = |n: usize| json!({ "path": format!("/slow/{n}"), "cluster": "slow" });
    let mut list: Vec<Value> = (0..10).map(slow).collect();
    list.push(json!({ "path": "/quick", "cluster": "quick" }));
    fetch(&mut lab, 0, &list);
    assert_eq!(lab.calls(), ["GET /slow/0", "GET /quick", "GET /slow/1"]);
    lab.deliver("/slow/0");
    assert!(lab.is_open("GET /slow/2"));
}

#[test]
fn a_rate_is_kept() {
    let mut lab =
        Lab::joined(r#","limits":{"targets":[{"target":"orders","perSecond":2,"inFlight":100}]}"#);
    let call = |n: usize| json!({ "path": format!("/{n}"), "cluster": "orders" });
    let list: Vec<Value> = (0..10).map(call).collect();
    fetch(&mut lab, 0, &list);
    assert_eq!(lab.calls().len(), 1);
    lab.wait(499);
    assert_eq!(lab.calls().len(), 1);
    lab.wait(1);
    assert_eq!(lab.calls().len(), 2);
    lab.wait(500);
    assert_eq!(lab.calls().len(), 3);
}

#[test]
fn calls_in_the_way_of_others_are_moved_aside_and_come_back() {
    let mut lab = Lab::joined(
        r#","limits":{"inFlight":1},"window":{"calls":8,"patienceMs":1000},"fetch":{"records":8},
        "lanes":[{"streamId":"second","delayMs":1000}]"#,
    );
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    let slow = |n: usize| json!({ "path": format!("/{n}"), "cluster": "dead" });
    let list: Vec<Value> = (0..8).map(slow).collect();
    fetch(&mut lab, 0, &list);
    assert!(!lab.is_open("GET calls/messages"), "the window is full");
    lab.wait(251);
    let aside = lab.take("POST second/messages");
    assert_eq!(records(&aside).len(), 2, "a quarter of the window");
    assert_eq!(records(&aside)[0]["progress"]["aside"], 1);
    assert!(
        records(&aside)[0]["progress"]["attempts"].is_null(),
        "no attempt was made"
    );
    lab.input(Input::CalloutDone(aside.ticket, support::stored(&aside, 0)));
    lab.wait(100);
    assert!(lab.is_open("GET calls/messages"), "{:?}", lab.open);
    assert_eq!(
        lab.said.counted(Metric::MovedAside),
        4,
        "half of the window"
    );
}

/// Returns a drain with a small window and a lane, whose session is joined.
fn crowded(more: &str) -> Lab {
    let config = r#","window":{"calls":16,"patienceMs":1000},"fetch":{"records":16},
        "lanes":[{"streamId":"second","delayMs":1000}]"#;
    let mut lab = Lab::joined(&format!("{config}{more}"));
    let start = answer(200, &[], r#"{"value":"start"}"#);
    lab.answer("second/groupCursors", start);
    lab
}

#[test]
fn a_window_that_is_too_full_to_fetch_is_emptied_however_full_it_is() {
    let mut lab = crowded(r#","limits":{"inFlight":3}"#);
    let call = |cluster: &str, n: usize| json!({ "path": format!("/{n}"), "cluster": cluster });
    let mut list: Vec<Value> = (0..13).map(|n| call("hangs", n)).collect();
    list.extend((13..16).map(|n| call("quick", n)));
    fetch(&mut lab, 0, &list);
    for n in 13..16 {
        lab.deliver(&format!("/{n}"));
    }
    // What is left is too much for a fetch, but no full window.
    lab.wait(200);
    assert!(!lab.is_open("GET calls/messages"), "{:?}", lab.open);
    assert_eq!(lab.said.counted(Metric::MovedAside), 0);
    let due = lab.engine.wakeup(at(lab.millis).steady);
    assert!(due.is_some_and(|due| due <= at(251).steady), "{due:?}");
    lab.wait(51);
    assert_eq!(lab.put("second").len(), 4, "a quarter of the window");
    lab.bring("calls", 16, &[call("quick", 16)]);
    lab.deliver("/16");
}

#[test]
fn calls_that_rest_between_attempts_do_not_fill_the_window_for_ever() {
    let mut lab = crowded(r#","attempt":{"backoffBaseMs":900,"backoffMaxMs":900}"#);
    let call = |n: usize| json!({ "path": format!("/{n:02}"), "cluster": "gone" });
    let list: Vec<Value> = (0..16).map(call).collect();
    fetch(&mut lab, 0, &list);
    while let Some(open) = lab.calls().first().cloned() {
        lab.answer(&open, answer(503, &[], ""));
    }
    let aside = lab.put("second");
    assert_eq!(aside.len(), 4, "a quarter of the window");
    assert_eq!(aside[0]["progress"]["attempts"], 1);
    lab.bring(
        "calls",
        16,
        &[json!({ "path": "/quick", "cluster": "quick" })],
    );
    lab.deliver("/quick");
}

#[test]
fn calls_with_order_keys_are_moved_aside_as_others_are() {
    let mut lab = crowded(r#","limits":{"inFlight":1}"#);
    fetch(&mut lab, 0, &[json!({ "path": "/first" })]);
    lab.deliver("/first");
    let free = |n: usize| json!({ "path": format!("/{n}"), "cluster": "hangs" });
    let keyed = |n: usize| {
        let key = format!("key-{n}");
        json!({ "path": format!("/{n}"), "cluster": "hangs", "orderKey": key })
    };
    let list: Vec<Value> = (0..8).map(free).chain((8..16).map(keyed)).collect();
    fetch(&mut lab, 1, &list);
    lab.wait(1_001);
    let aside = lab.put("second");
    let is_ordered = |record: &Value| record["orderKey"].is_string();
    assert!(
        aside.len() == 4 && aside.iter().all(is_ordered),
        "{aside:?}"
    );
}

#[test]
fn a_healthy_target_goes_on_beside_many_that_hang() {
    let mut lab = Lab::joined(r#","window":{"inFlight":64},"limits":{"inFlight":32}"#);
    let hanging = |number: usize| {
        let target = number % 6;
        json!({ "path": format!("/hangs/{number}"), "cluster": format!("hanging-{target}") })
    };
    let list: Vec<Value> = (0..240).map(hanging).collect();
    fetch(&mut lab, 0, &list);
    let hanging = lab.calls().len();
    assert!((40..64).contains(&hanging), "{hanging} hang");
    let healthy: Vec<Value> = (0..50)
        .map(|number| json!({ "path": format!("/healthy/{number}"), "cluster": "healthy" }))
        .collect();
    fetch(&mut lab, 240, &healthy);
    for number in 0..50 {
        assert!(
            lab.is_open(&format!("GET /healthy/{number}")),
            "{number} waits"
        );
        lab.deliver(&format!("/healthy/{number}"));
    }
    assert_eq!(lab.said.counted(Metric::Delivered), 50);
}
