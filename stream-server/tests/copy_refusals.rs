//! What a copy can't carry over: it says so, and loses nothing silently.
#![cfg(feature = "copy")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::process::{Child, Command};

use common::copying::{Ends, Run, fill, read, run};
use common::process::Process;
use common::{Client, text, wait_until};
use serde_json::{Value, json};

/// A note of a call that waits on a lane.
const NOTE: &str = r#"{"version":1,"parked":{"by":"x","epoch":0,"serial":0,"partition":0,
    "route":"r","keys":[["00000000000000ff",[[3,1700000000000]]]]}}"#;
/// A call that has waited on a lane.
const ORDERED: &str = r#"{"id":"a","path":"/","orderKey":"r",
    "progress":{"order":{"partition":0,"offset":3}}}"#;

/// Lets the group `g` read and commit so many messages, and leave.
fn consume(client: &mut Client, messages: u32) {
    let once = json!({ "commitOnGet": false, "timeoutInMs": 1000 });
    let cursor = client.join("worker", &once);
    let batch = client.get(&cursor, messages);
    client.commit(&batch.next);
    wait_until("the instance is gone", || client.held_by("worker") == 0);
}

/// Returns what the group `g` reads next, as one instance.
fn next_of_group(client: &mut Client) -> Option<String> {
    let cursor = client.join("reader", &json!({ "commitOnGet": false }));
    let batch = client.get(&cursor, 1);
    batch
        .messages
        .first()
        .map(|message| text(&message["value"]))
}

fn is_empty(ends: &Ends) -> bool {
    read(&mut ends.destination(), 0).is_empty()
}

fn end(mut copying: Child) -> Run {
    let id = copying.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    let streams = (copying.stdout.take(), copying.stderr.take());
    let code = copying.wait().unwrap().code();
    let read = |from: &mut dyn std::io::Read| {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    };
    Run {
        code,
        out: read(&mut streams.0.unwrap()),
        error: read(&mut streams.1.unwrap()),
    }
}

#[test]
fn the_order_of_calls_on_lanes_stays_at_the_source() {
    for bound in [NOTE, ORDERED] {
        let ends = Ends::start(1);
        let mut source = ends.source();
        source.put(None, &[r#"{"id":"1","path":"/"}"#, bound]);
        consume(&mut source, 1);
        let refused = ends.copy(&[]);
        assert!(refused.refused(1).contains("--lose-order"), "{refused:?}");
        assert!(is_empty(&ends));
        let dry = ends.copy(&["--dry-run"]).report();
        let problem = dry["groups"][0]["problems"][0].as_str().unwrap();
        assert!(problem.contains("offset 1"), "{problem}");
        // What comes while a copy follows is seen at its end.
        let copying = ends.begin(&["--follow"]);
        wait_until("all is copied", || {
            read(&mut ends.destination(), 0).len() == 2
        });
        let refused = end(copying);
        assert!(refused.refused(1).contains("--lose-order"), "{refused:?}");
        let group = |ends: &Ends| {
            let mut client = ends.destination();
            client.on_stream("GET", "groups/g", &Value::Null).status
        };
        assert_eq!(group(&ends), 404);
        // Once the group has committed it, it doesn't matter any more.
        consume(&mut source, 1);
        assert_eq!(ends.copy(&[]).copied(), 0);
        assert_eq!(ends.destination().committed(), [Some(1)]);
    }
    let ends = Ends::start(1);
    ends.source().put(None, &[ORDERED]);
    consume(&mut ends.source(), 10);
    ends.source().put(None, &[ORDERED]);
    assert_eq!(ends.copy(&["--lose-order"]).copied(), 2);
}

#[test]
fn ids_that_are_made_of_places_may_not_change() {
    let mut ends = Ends::start(1);
    ends.source().put(None, &["gone"]);
    ends.forget_all();
    let mut source = ends.source();
    source.put(None, &[r#"{"id":"1","path":"/"}"#, r#"{"path":"/"}"#]);
    consume(&mut source, 1);
    let refused = ends.copy(&[]);
    assert!(refused.refused(1).contains("--new-ids"), "{refused:?}");
    assert!(is_empty(&ends));
    assert_eq!(ends.copy(&["--new-ids"]).copied(), 2);
    // Where offsets stay, such ids do.
    let ends = Ends::start(1);
    let mut source = ends.source();
    source.put(None, &[r#"{"path":"/"}"#, r#"{"path":"/"}"#]);
    consume(&mut source, 1);
    let dry = ends.copy(&["--dry-run"]).report();
    assert_eq!(dry["groups"][0]["problems"], json!([]));
    assert_eq!(ends.copy(&[]).copied(), 2);
}

#[test]
fn a_group_that_has_committed_nothing_goes_on_where_it_stands() {
    let ends = Ends::start(1);
    let mut source = ends.source();
    fill(&mut source, "before", 5);
    let details = json!({ "groupName": "g", "type": "LATEST", "instanceName": "late",
        "timeoutInMs": 1000 });
    source.on_stream("POST", "groupCursors", &details).ok();
    wait_until("the instance is gone", || source.held_by("late") == 0);
    source.put(None, &["next"]);
    assert_eq!(source.committed(), [None]);
    assert_eq!(ends.copy(&[]).copied(), 6);
    assert_eq!(next_of_group(&mut ends.destination()).unwrap(), "next");
}

#[test]
fn a_group_stays_where_an_earlier_copy_has_put_it() {
    let mut ends = Ends::start(1);
    let mut source = ends.source();
    fill(&mut source, "call", 50);
    consume(&mut source, 4);
    assert_eq!(ends.copy(&[]).copied(), 50);
    let kept = read(&mut source, 0);
    // The source's retention passes what was committed.
    ends.forget_all();
    let mut source = ends.source();
    for (_, key, value) in &kept[16..] {
        source.put(key.as_deref(), &[value]);
    }
    source.put(None, &["new"]);
    let run = ends.copy(&[]);
    assert_eq!(run.copied(), 1);
    assert_eq!(run.report()["partitions"][0]["notCompared"], 16);
    assert_eq!(ends.destination().committed(), [Some(3)]);
    assert_eq!(next_of_group(&mut ends.destination()).unwrap(), "call-4");
}

#[test]
fn a_copy_may_be_the_last_one() {
    let mut ends = Ends::start(1);
    let mut source = ends.source();
    fill(&mut source, "call", 10);
    consume(&mut source, 4);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 10);
    ends.forget_all();
    let run = ends.copy(&[]);
    assert_eq!(run.copied(), 0);
    assert_eq!(run.report()["partitions"][0]["notCompared"], 10);
    assert_eq!(ends.destination().committed(), [Some(3)]);
    // It goes on with what comes later.
    ends.source().put(None, &["new"]);
    ends.forget_all();
    let refused = ends.copy(&[]);
    assert_eq!(refused.copied(), 0, "{refused:?}");
    // What the source never had is somebody else's.
    let ends = Ends::start(1);
    ends.destination().put(None, &["somebody else's"]);
    let refused = ends.copy(&[]);
    let advice = "Delete that stream";
    assert!(refused.refused(1).contains(advice), "{refused:?}");
}

#[test]
fn a_later_message_that_is_alike_is_not_where_a_copy_ends() {
    let mut ends = Ends::start(1);
    ends.source().put(None, &["gone"]);
    ends.forget_all();
    ends.source().put(None, &["a"]);
    assert_eq!(ends.copy(&["--no-groups"]).copied(), 1);
    ends.forget_all();
    ends.source().put(None, &["b", "a", "c"]);
    let refused = ends.copy(&["--no-groups"]);
    let advice = "only copy";
    assert!(refused.refused(1).contains(advice), "{refused:?}");
    assert_eq!(read(&mut ends.destination(), 0).len(), 1);
}

#[test]
fn messages_that_the_source_loses_meanwhile_are_told() {
    let mut ends = Ends::start(1);
    let file = ends.folder.path().join("short.json");
    let data = ends.folder.path().join("short");
    let stream = json!({ "name": "calls", "partitions": 1, "retentionSecondsForTests": 1 });
    let settings = json!({ "data": data, "streams": [stream] });
    std::fs::write(&file, settings.to_string()).unwrap();
    let short = [
        "--listen",
        "127.0.0.1:0",
        "--config",
        file.to_str().unwrap(),
    ];
    ends.from = Process::start_with(&short);
    let copying = ends.begin(&["--follow", "--no-groups"]);
    let mut count = 0;
    wait_until("something is copied", || {
        ends.source().put(None, &["early"]);
        count = read(&mut ends.destination(), 0).len();
        count > 0
    });
    let id = copying.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &id]).status().unwrap();
    assert!(signal("-STOP").success());
    ends.source().put(None, &["lost"]);
    wait_until("retention has removed it", || {
        let mut client = ends.source();
        let start = json!({ "partition": "0", "type": "TRIM_HORIZON" });
        let cursor = client.cursor(&start);
        let answer = client.try_get(&cursor, 10);
        answer.status == 200 && answer.json() == json!([])
    });
    assert!(signal("-CONT").success());
    wait_until("it goes on", || {
        ends.source().put(None, &["late"]);
        let copied = read(&mut ends.destination(), 0);
        copied.iter().any(|(_, _, value)| value == "late")
    });
    let run = end(copying);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.error.contains("they are lost"), "{run:?}");
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert!(report["partitions"][0]["gaps"].as_u64().unwrap() > 0);
}

#[test]
fn a_stream_is_not_copied_onto_itself() {
    let ends = Ends::start(1);
    fill(&mut ends.source(), "call", 3);
    let port = ends.from.address.port();
    let mut arguments = ends.arguments(&["--settle", "100ms"]);
    let to = arguments.iter().position(|one| one == "--to").unwrap() + 1;
    arguments[to] = format!("http://localhost:{port}");
    let same = run(&arguments);
    assert!(same.refused(2).contains("the same stream"), "{same:?}");
    assert_eq!(read(&mut ends.source(), 0).len(), 3);
}

#[test]
fn a_gateway_that_comes_meanwhile_keeps_its_group() {
    let ends = Ends::start(1);
    fill(&mut ends.source(), "call", 3);
    consume(&mut ends.source(), 1);
    let copying = ends.begin(&["--follow"]);
    wait_until("all is copied", || {
        read(&mut ends.destination(), 0).len() == 3
    });
    ends.destination().join("gateway", &json!({}));
    let refused = end(copying);
    assert!(refused.refused(1).contains("already reads"), "{refused:?}");
    assert_eq!(ends.destination().committed(), [None]);
}
