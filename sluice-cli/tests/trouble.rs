//! A Stream that throttles, fails, forgets cursors and loses answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::proxy::{self, Fault};
use common::{CALLS, DEAD, Run, Stream, command, letter};
use serde_json::{Value, json};

const EXPIRED: &str =
    r#"{"code":"InvalidParameter","message":"The cursor is expired. Create a new one."}"#;
const THROTTLED: &str =
    r#"{"code":"TooManyRequests","message":"The next request can be made in 5 ms."}"#;

fn stream(letters: usize) -> Stream {
    let stream = Stream::start(1);
    let letter = |number| {
        letter(
            &format!("c{number}"),
            &json!({ "id": format!("c{number}"), "path": "/" }),
        )
    };
    let letters: Vec<Value> = (0..letters).map(letter).collect();
    stream.put_dead(&letters);
    stream
}

/// Runs the binary against the stream behind `fault`, which gets the request and how many like it
/// there were before.
fn run_with(
    stream: &Stream,
    arguments: &[&str],
    on: &'static str,
    fault: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static,
) -> Run {
    let seen = AtomicUsize::new(0);
    let proxy = proxy::start(&stream.url, move |request| {
        let matches = on.split(' ').all(|word| request.contains(word));
        matches
            .then(|| fault(seen.fetch_add(1, Ordering::Relaxed)))
            .flatten()
    });
    let url = format!("http://127.0.0.1:{}", proxy.port());
    command(arguments)
        .args(["--endpoint", &url])
        .output()
        .unwrap()
        .into()
}

const REDRIVE: [&str; 5] = ["dead", "redrive", "--all", "--rate", "0"];
const PUT_CALLS: &str = "POST local.calls/messages";
const PUT_MARKS: &str = "POST local.calls-dead/messages";

fn distinct(stream: &Stream) -> (usize, usize) {
    let records = stream.records(CALLS);
    let ids: BTreeSet<&str> = records
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    (records.len(), ids.len())
}

#[test]
fn entries_that_failed_are_put_again_and_no_others() {
    let stream = stream(250);
    let some = |seen| (seen % 2 == 0).then_some(Fault::StoreOnly(30));
    let run = run_with(&stream, &REDRIVE, PUT_CALLS, some);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(distinct(&stream), (250, 250));
    assert_eq!(stream.run(&["dead", "list"]).code, 3);
}

#[test]
fn entries_that_keep_failing_are_named_and_stay_dead() {
    let stream = stream(5);
    let run = run_with(&stream, &REDRIVE, PUT_CALLS, |seen| {
        Some(Fault::StoreOnly(if seen == 0 { 3 } else { 0 }))
            .filter(|_| seen == 0)
            .or(Some(Fault::Answer(
                200,
                r#"{"failures":2,"entries":[{"error":"x"},{"error":"x","errorMessage":"y"}]}"#,
            )))
    });
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out
            .contains("3 calls put back on ocid1.stream.oc1.local.calls; 2 not put back"),
        "{run:?}"
    );
    assert!(run.error.contains("c4 was not put back: x y"), "{run:?}");
    let list = stream.run(&["dead", "list", "--json"]).json();
    assert_eq!(
        list["counts"],
        json!({
            "letters": 2, "redrivenHidden": 3, "unreadable": 0, "incomplete": 0
        })
    );
    assert_eq!(stream.run(&REDRIVE).code, 0);
    assert_eq!(distinct(&stream), (5, 5));
}

#[test]
fn throttling_is_obeyed() {
    let stream = stream(3);
    let often = |seen| (seen % 7 != 6).then_some(Fault::Answer(429, THROTTLED));
    let run = run_with(&stream, &REDRIVE, "streams", often);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(distinct(&stream), (3, 3));
}

#[test]
fn an_expired_cursor_is_replaced_and_nothing_is_read_twice() {
    let stream = stream(2_500);
    let run = run_with(
        &stream,
        &["dead", "list", "--json"],
        "GET cursor=",
        |seen| matches!(seen, 1 | 3 | 8).then_some(Fault::Answer(400, EXPIRED)),
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["counts"]["letters"], 2_500);
    let ids = common::ids(&run.json(), "letters");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 2_500);
}

#[test]
fn a_failure_of_the_stream_is_tried_again() {
    let stream = stream(3);
    let first = |seen| (seen == 0).then_some(Fault::Answer(503, "upstream"));
    let run = run_with(&stream, &REDRIVE, "GET cursor=", first);
    assert_eq!(run.code, 0, "{run:?}");
    let always = |_| Some(Fault::Answer(500, "\u{1b}[2J"));
    let run = run_with(&stream, &["dead", "list"], "GET cursor=", always);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.error.contains("GetMessages") && !run.error.contains('\u{1b}'),
        "{run:?}"
    );
}

#[test]
fn calls_that_could_not_be_marked_are_said_to_be() {
    let stream = stream(3);
    let refused = |_| {
        Some(Fault::Answer(
            401,
            r#"{"code":"NotAuthenticated","message":"m"}"#,
        ))
    };
    let run = run_with(&stream, &REDRIVE, PUT_MARKS, refused);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out
            .contains("3 calls put back on ocid1.stream.oc1.local.calls; 3 of them not marked"),
        "{run:?}"
    );
    assert!(run.error.contains("wants signed requests"), "{run:?}");
    // At least once: the next run repeats them.
    assert_eq!(stream.run(&REDRIVE).code, 0);
    assert_eq!(distinct(&stream), (6, 3));
    assert_eq!(stream.read(DEAD).len(), 6);
}

#[test]
fn what_is_no_stream_endpoint_is_said_not_to_be() {
    let stream = stream(1);
    for body in [
        "<html>",
        "{}",
        "[]",
        r#"{"partitions":-1}"#,
        r#"{"partitions":4000000000}"#,
    ] {
        let run = run_with(&stream, &["dead", "list"], "GET", move |_| {
            Some(Fault::Answer(200, body))
        });
        assert_eq!(run.code, 1, "{run:?}");
        assert!(
            run.error
                .contains("Does --endpoint name a stream endpoint?"),
            "{run:?}"
        );
    }
}

#[test]
fn an_output_that_nobody_reads_ends_it_quietly() {
    let stream = stream(2_000);
    let mut child = command(&["dead", "list"])
        .env("SLUICE_ENDPOINT", &stream.url)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}
