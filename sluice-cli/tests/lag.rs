//! What a group hasn't committed yet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{CALLS, OTHER, Stream};
use serde_json::{Value, json};

fn values(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number]).collect()
}

fn started() -> Stream {
    let stream = Stream::start(1);
    stream.put(CALLS, None, &values(3));
    stream
}

#[test]
fn what_nobody_has_read_waits() {
    let run = started().run(&["lag"]);
    assert_eq!((run.code, run.error.as_str()), (0, ""));
    let last: Vec<&str> = run.out.lines().rev().take(2).collect();
    let unread = format!("{CALLS} has no group sluice: nobody has read it");
    assert_eq!(last, ["3 records wait", &unread], "{}", run.out);
}

#[test]
fn what_is_committed_does_not_wait() {
    let stream = started();
    stream.commit_all(CALLS, "sluice");
    let run = stream.run(&["lag"]);
    assert_eq!(run.out.lines().last(), Some("nothing waits"), "{}", run.out);
    stream.put(CALLS, None, &values(1));
    let read = stream.run(&["lag", "--json"]).json();
    let partitions = read["partitions"].as_array().unwrap();
    let waiting = |row: &Value| row["waiting"].as_u64().unwrap();
    assert_eq!(partitions.iter().map(waiting).sum::<u64>(), 1, "{read}");
    let row = partitions.iter().find(|row| waiting(row) == 1).unwrap();
    assert!(row["oldest"].is_string(), "{row}");
    assert_eq!(
        (&row["more"], &row["removed"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(read["withoutGroup"], json!([]));
    let moved = stream.run(&["lag"]);
    assert_eq!(
        moved.out.lines().last(),
        Some("1 record waits"),
        "nothing was committed by that"
    );
}

#[test]
fn more_than_are_counted_are_told_as_more() {
    let stream = started();
    stream.put(OTHER, None, &values(40));
    let run = stream.run(&["lag", CALLS, OTHER, "--count-max", "5", "--json"]);
    let rows = run.json();
    let rows = rows["partitions"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["more"] == true && row["waiting"] == 5),
        "{rows:?}"
    );
    let run = stream.run(&["lag", OTHER, "--count-max", "5"]);
    assert!(run.out.contains("at least"), "{}", run.out);
}

#[test]
fn what_is_wrong_is_said() {
    let stream = started();
    let run = stream.run(&["lag", "ocid1.stream.oc1.local.none"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.error.contains("GetStream"), "{run:?}");
    let run = stream.run(&["lag", "calls/../x"]);
    assert_eq!(run.code, 2, "{run:?}");
}
