//! What becomes of a call: delivered, tried again until it works, or a dead letter with its reason
//! and the whole call in it. Product description, section 5.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

fn gateway(name: &str, target: Target, settings: &Value) -> Gateway {
    Gateway::with(name, target, |builder| {
        builder.drain_patch(drain_settings(settings))
    })
}

/// Returns the attempts at a path, in the order in which they arrived.
fn attempts(gateway: &Gateway, path: &str) -> Vec<String> {
    let seen = gateway.target.of(path);
    seen.iter().map(|seen| seen.attempt()).collect()
}

/// Waits for this many dead letters.
fn wait_for_letters(gateway: &Gateway, count: usize) -> Vec<Value> {
    gateway.wait(&format!("{count} dead letters"), || {
        gateway.stream().dead_letters().len() >= count
    });
    gateway.stream().dead_letters()
}

#[test]
fn success_and_redirects_are_delivered_once() {
    let target = Target::scripted(|seen| {
        let status = seen.path().trim_start_matches("/status/").parse().unwrap();
        Answer::status(status).with("location", "/status/500")
    });
    let gateway = gateway("delivered", target, &json!({}));
    let statuses = [200, 201, 202, 204, 299, 300, 302, 304, 307, 399];
    for status in statuses {
        gateway.call(&format!("/status/{status}"));
    }
    gateway.wait_until_settled();
    assert_eq!(
        gateway.target.count(),
        statuses.len(),
        "no redirect is followed"
    );
    assert_eq!(gateway.metric("sluice_delivered_total"), 10);
}

#[test]
fn what_may_work_later_is_tried_until_it_does() {
    // The first two attempts fail in the way that the path says.
    let target = Target::scripted(|seen| match seen.path().as_str() {
        _ if seen.nth > 2 => Answer::status(200),
        "/hangs" => Answer::Hang,
        "/closes" => Answer::Close,
        path => Answer::status(path.trim_start_matches("/status/").parse().unwrap()),
    });
    let settings = json!({ "attempt": { "timeoutMs": 500 } });
    let gateway = gateway("retried", target, &settings);
    let statuses = [408, 425, 429, 500, 502, 503, 504];
    let paths = statuses.map(|status| format!("/status/{status}"));
    let mut paths = paths.to_vec();
    paths.extend(["/hangs".to_owned(), "/closes".to_owned()]);
    let request = |path: &String| Request::new("PUT", path).marked().body(b"the same\xff");
    let ids: Vec<String> = paths
        .iter()
        .map(|path| gateway.accept(&request(path)))
        .collect();
    gateway.wait_until_settled();
    for (path, id) in paths.iter().zip(ids) {
        // A connection that is closed early is sent again once, which counts as no attempt.
        let is_closed = path == "/closes";
        let expected = if is_closed {
            ["1", "1", "2"]
        } else {
            ["1", "2", "3"]
        };
        assert_eq!(attempts(&gateway, path), expected, "{path}");
        for seen in gateway.target.of(path) {
            assert_eq!(
                (seen.call_id(), seen.message.word(0)),
                (id.clone(), "PUT".to_owned())
            );
            assert_eq!(seen.message.text("idempotency-key"), id, "{path}");
            assert_eq!(seen.message.body, b"the same\xff", "{path}");
        }
    }
    assert_eq!(gateway.stream().dead_letters().len(), 0);
}

#[test]
fn a_target_that_is_away_is_waited_for() {
    let settings = json!({ "attempt": { "retries": 1000 } });
    let mut gateway = gateway("away", Target::start(), &settings);
    gateway.target.kill();
    let ids: Vec<String> = (0..50).map(|_| gateway.call("/away")).collect();
    gateway.wait("some attempts have failed", || {
        gateway.metric("sluice_retried_total") > 100
    });
    assert!(
        !gateway.stream().uncommitted().is_empty(),
        "G4: nothing is settled"
    );
    gateway.target.restart();
    for id in &ids {
        gateway.wait_for_call(id);
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.target.count(), ids.len(), "each has arrived once");
}

#[test]
fn what_is_refused_for_good_becomes_a_dead_letter_at_once() {
    let target = Target::scripted(|seen| {
        Answer::status(seen.path().trim_start_matches("/status/").parse().unwrap())
    });
    let gateway = gateway("rejected", target, &json!({}));
    let statuses = [
        400, 401, 403, 404, 405, 410, 413, 422, 451, 499, 501, 505, 599,
    ];
    for status in statuses {
        let path = format!("/status/{status}?a=1");
        gateway.accept(
            &Request::new("POST", &path)
                .field("X-A", b"\xff")
                .marked()
                .body("body"),
        );
    }
    let letters = wait_for_letters(&gateway, statuses.len());
    gateway.wait_until_settled();
    assert_eq!(
        gateway.target.count(),
        statuses.len(),
        "each was tried once"
    );
    for status in statuses {
        let letter = letters
            .iter()
            .find(|letter| letter["attempts"][0]["status"] == status);
        let letter = letter.unwrap_or_else(|| panic!("{status}: {letters:?}"));
        assert_eq!(
            (&letter["version"], &letter["reason"]),
            (&json!(1), &json!("rejected"))
        );
        assert_eq!(letter["detail"], format!("the target answered {status}"));
        assert_eq!(letter["attempts"].as_array().unwrap().len(), 1);
        assert_eq!(letter["attempts"][0]["attempt"], 1);
        let call = &letter["call"];
        assert_eq!(
            (&call["id"], &call["method"]),
            (&letter["id"], &json!("POST"))
        );
        assert_eq!(call["path"], format!("/status/{status}?a=1"));
        assert_eq!(call["body"], "body");
        let headers = call["headers"].as_array().unwrap();
        assert!(
            headers.contains(&json!(["x-a", { "base64": "/w==" }])),
            "{headers:?}"
        );
    }
}

#[test]
fn attempts_come_to_an_end() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/fails" => Answer::status(503),
        _ => Answer::Close,
    });
    let settings = json!({ "attempt": { "retries": 3 } });
    let gateway = gateway("exhausted", target, &settings);
    let failing = gateway.call("/fails");
    let closing = gateway.call("/closes");
    let letters = wait_for_letters(&gateway, 2);
    gateway.wait_until_settled();
    for (id, path) in [(failing, "/fails"), (closing, "/closes")] {
        let letter = letters
            .iter()
            .find(|letter| letter["id"] == id.as_str())
            .unwrap();
        assert_eq!(letter["reason"], "attempts_exhausted");
        let history = letter["attempts"].as_array().unwrap();
        let numbers: Vec<&Value> = history.iter().map(|attempt| &attempt["attempt"]).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        // A status is the target's alone; what Envoy says for it stands apart.
        let is_right = |attempt: &Value| match path {
            "/fails" => attempt["status"] == 503 && attempt["gateway"].is_null(),
            _ => attempt["status"].is_null() && attempt["gateway"].is_string(),
        };
        assert!(history.iter().all(is_right), "{letter}");
        assert_eq!(attempts(&gateway, path), ["1", "2", "3", "4"]);
    }
}

#[test]
fn retry_after_is_obeyed() {
    let target = Target::scripted(|seen| match seen.nth {
        1 => Answer::status(429).with("retry-after", "1"),
        _ => Answer::status(200),
    });
    let gateway = gateway("retry-after", target, &json!({}));
    let start = std::time::Instant::now();
    gateway.call("/later");
    gateway.wait_for("/later", 2);
    // The back-off alone would have been at most 20 ms.
    assert!(
        start.elapsed().as_millis() >= 1_000,
        "{:?}",
        start.elapsed()
    );
    gateway.wait_until_settled();
}

/// A door that a target waits at until the test opens it.
#[derive(Default)]
struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(
            self.opened
                .wait_while(is_open, |is_open| !*is_open)
                .unwrap(),
        );
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn a_slow_target_holds_up_nobody_else_and_no_commit_passes_it() {
    let door = Arc::new(Door::default());
    let is_slow = Arc::new(AtomicBool::new(true));
    let (at_door, slow) = (door.clone(), is_slow.clone());
    let target = Target::scripted(move |seen| {
        if seen.path() == "/slow" && slow.load(Ordering::SeqCst) {
            at_door.pass();
        }
        Answer::status(200)
    });
    let mut gateway = gateway("slow", target, &json!({}));
    let slow: Vec<String> = (0..3).map(|_| gateway.call("/slow")).collect();
    gateway.wait_for("/slow", 3);
    for _ in 0..300 {
        gateway.call("/quick");
    }
    gateway.wait_for("/quick", 300);
    gateway.wait("the quick ones are settled", || {
        gateway.metric("sluice_calls_held") == 3
    });

    // G4: as long as the slow calls are open, they are uncommitted.
    let open = || {
        let uncommitted = gateway.stream().uncommitted().into_iter();
        uncommitted.map(|record| record.json()["id"].as_str().unwrap().to_owned())
    };
    for id in &slow {
        assert!(open().any(|open| open == *id), "{id} is committed already");
    }

    // So that a crash now loses none of them.
    gateway.set.kill9_envoy().unwrap();
    is_slow.store(false, Ordering::SeqCst);
    door.open();
    gateway.set.restart_envoy().unwrap();
    gateway.wait("the slow ones have come again", || {
        let arrivals = gateway.target.arrivals();
        slow.iter()
            .all(|id| arrivals.get(id).is_some_and(|count| *count >= 2))
    });
    gateway.wait_until_settled();
}
