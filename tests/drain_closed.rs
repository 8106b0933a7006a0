//! A connection that is closed before any answer is sent again once, where that can do no harm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::json;
use sluice::http::CalloutResult;
use sluice::metric::Metric;

use support::lab::Lab;
use support::{answer, field};

fn closed() -> CalloutResult {
    let said = "UC upstream_reset_before_response_started{connection_termination}";
    answer(503, &[("async-local-reply", said)], "")
}

#[test]
fn what_may_be_made_twice_is_sent_again_once_and_counts_once() {
    let keyed = json!([["idempotency-key", "k"]]);
    for (method, headers) in [("PUT", json!([])), ("GET", json!([])), ("POST", keyed)] {
        let mut lab = Lab::joined("");
        let record = json!({ "path": "/x", "method": method, "headers": headers, "retries": 0 });
        lab.bring("calls", 0, &[record]);
        let line = format!("{method} /x");
        let first = lab.answer(&line, closed());
        lab.wait(1);
        let second = lab.answer(&line, closed());
        for attempt in [first, second] {
            assert_eq!(field(&attempt, "async-attempt"), "1", "{method}");
        }
        lab.wait(1);
        assert!(!lab.is_open(&line), "{method}: twice is enough");
        assert_eq!(lab.said.counted(Metric::SentAgain), 1);
        let letter = &lab.put("dead")[0];
        assert_eq!(letter["reason"], "attempts_exhausted");
        assert_eq!(letter["attempts"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn nothing_else_is_sent_again() {
    let broken = "UC upstream_reset_after_response_started{connection_termination}";
    let refused = "UF upstream_reset_before_response_started{remote_connection_failure}";
    let local = |said| answer(503, &[("async-local-reply", said)], "");
    for (method, result) in [
        ("POST", closed()),
        ("PATCH", closed()),
        ("put", closed()),
        ("PUT", local(broken)),
        ("PUT", local(refused)),
        ("PUT", local("UT response_timeout")),
        ("PUT", CalloutResult::Lost),
        ("PUT", answer(503, &[], "")),
    ] {
        let mut lab = Lab::joined("");
        let record = json!({ "path": "/x", "method": method, "retries": 0 });
        lab.bring("calls", 0, &[record]);
        let line = format!("{method} /x");
        lab.answer(&line, result);
        lab.wait(1);
        assert!(!lab.is_open(&line), "{method}");
        assert_eq!(lab.put("dead")[0]["reason"], "attempts_exhausted");
        assert_eq!(lab.said.counted(Metric::SentAgain), 0);
    }
}
