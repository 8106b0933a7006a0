//! Credentials at rest: what is stored is sealed, and opened when the call is made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use sluice::accept::Input;
use sluice::metric::Metric;
use sluice::record::seal::SealKeys;

use support::lab::Lab;
use support::{accept, accept_engine, at, drain_engine, field, records, request};

const OLD: &str = "old:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "new:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn keys(text: &str) -> Option<SealKeys> {
    Some(SealKeys::parse(text).unwrap())
}

/// Returns the record of a call with credentials, as a gateway with these keys stores it.
fn stored(text: &str) -> Value {
    let mut engine = accept_engine("").sealed_by(keys(text));
    let fields = [("authorization", "Bearer of-alice"), ("x-a", "1")];
    accept(&mut engine, request(1, &fields), at(0), b"");
    let said = accept(&mut engine, Input::Wake, at(0), b"");
    records(&said.callouts[0]).remove(0)
}

fn lab(keys: Option<SealKeys>) -> Lab {
    Lab::with_engine(drain_engine("", "").sealed_by(keys))
}

#[test]
fn a_call_is_sealed_where_it_is_stored_and_open_where_it_is_made() {
    for (sealed_by, opened_by) in [
        (OLD.to_owned(), OLD.to_owned()),
        (OLD.to_owned(), format!("{NEW} {OLD}")),
        (format!("{NEW} {OLD}"), format!("{OLD} {NEW}")),
    ] {
        let record = stored(&sealed_by);
        assert!(!record.to_string().contains("alice"), "{record}");
        let mut lab = lab(keys(&opened_by));
        lab.bring("calls", 0, &[record]);
        let call = lab.take("POST /orders");
        assert_eq!(field(&call, "authorization"), "Bearer of-alice");
        assert_eq!(field(&call, "x-a"), "1");
        assert_eq!(field(&call, "async-attempt"), "1");
    }
}

#[test]
fn a_call_whose_key_is_gone_is_not_made_and_waits_for_it() {
    let mut record = stored(OLD);
    record["maxAgeMs"] = json!(60_000);
    for keys in [None, keys(NEW)] {
        let mut lab = lab(keys);
        lab.bring("calls", 0, std::slice::from_ref(&record));
        while lab.said.counted(Metric::GatewayFaults) < 3 {
            lab.live(500);
            assert!(
                lab.millis < 60_000 && lab.calls() == [""; 0],
                "{:?}",
                lab.open
            );
        }
        while !lab.is_open("POST dead") {
            lab.live(500);
            assert!(
                lab.millis < 70_000 && lab.calls() == [""; 0],
                "{:?}",
                lab.open
            );
        }
        let letter = lab.put("dead").remove(0);
        assert_eq!(letter["reason"], "expired");
        let detail = letter["detail"].as_str().unwrap();
        assert!(
            detail.contains("sealed by the key old, which this gateway hasn't got"),
            "{detail}"
        );
        assert_eq!(
            letter["call"]["headers"], record["headers"],
            "it stays sealed"
        );
    }
}

#[test]
fn a_record_that_was_changed_is_buried_at_once() {
    let mut record = stored(OLD);
    record["path"] = json!("/elsewhere");
    let mut lab = lab(keys(OLD));
    lab.bring("calls", 0, &[record]);
    assert!(!lab.is_open("/elsewhere"), "{:?}", lab.open);
    let letter = lab.put("dead").remove(0);
    assert_eq!(letter["reason"], "unreadable_record");
    assert_eq!(lab.said.counted(Metric::Held), 0);
}
