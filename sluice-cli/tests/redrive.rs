//! Putting calls back: what goes, how it looks, and that it goes once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{CALLS, DEAD, OTHER, Stream, ids, letter};
use serde_json::{Value, json};

fn letters(count: usize) -> Vec<Value> {
    let letter = |number| {
        letter(
            &format!("c{number}"),
            &json!({ "id": format!("c{number}"), "path": "/" }),
        )
    };
    (0..count).map(letter).collect()
}

#[test]
fn one_call_goes_back_as_it_was_but_for_its_progress() {
    let stream = Stream::start(2);
    let call = json!({
        "id": "c1", "path": "/orders", "authority": "shop", "method": "POST",
        "headers": [["a", { "base64": "/w==" }]], "body": "x", "orderKey": "key",
        "deliverAt": "2026-11-23T05:00:00Z", "unknown": [1.5],
        "progress": { "since": "2026-11-23T04:00:00.000Z", "attempts": 7, "redrives": 2 },
    });
    stream.put_dead(&[letter("c1", &call), letter("c2", &json!({ "path": "/" }))]);
    let run = stream.run(&["dead", "redrive", "c1"]);
    assert_eq!(
        (run.code, run.out.as_str(), run.error.as_str()),
        (0, "1 call put back on ocid1.stream.oc1.local.calls\n", "")
    );

    let stored = stream.read(CALLS);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].0.as_deref(), Some("a2V5"));
    let mut record: Value = serde_json::from_slice(&stored[0].1).unwrap();
    let progress = record.as_object_mut().unwrap().remove("progress").unwrap();
    assert_eq!(progress["redrives"], 3);
    assert_eq!(progress.as_object().unwrap().len(), 2);
    assert!(progress["since"].as_str().unwrap().ends_with('Z'));
    let mut expected = call;
    expected.as_object_mut().unwrap().remove("progress");
    expected.as_object_mut().unwrap().remove("deliverAt");
    assert_eq!(record, expected);
}

#[test]
fn a_redriven_letter_is_marked_and_left_alone() {
    let stream = Stream::start(2);
    stream.put_dead(&letters(2));
    assert_eq!(stream.run(&["dead", "redrive", "c0"]).code, 0);
    let list = stream.run(&["dead", "list", "--json"]).json();
    assert_eq!(ids(&list, "letters"), ["c1"]);
    assert_eq!(list["counts"]["redrivenHidden"], 1);
    let all = stream.run(&["dead", "list", "--all", "--json"]).json();
    let letters = all["letters"].as_array().unwrap();
    let redriven = letters
        .iter()
        .filter(|letter| letter["redrivenAt"].is_string());
    assert_eq!((letters.len(), redriven.count()), (2, 1));
    assert!(
        stream
            .run(&["dead", "list", "--all"])
            .out
            .contains("REDRIVEN")
    );
    let show = stream.run(&["dead", "show", "c0", "--json"]).json();
    assert!(show["letters"][0]["redrivenAt"].is_string());

    let again = stream.run(&["dead", "redrive", "c0"]);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.error.contains("--again"), "{again:?}");
    assert_eq!(stream.run(&["dead", "redrive", "--all"]).code, 0);
    assert_eq!(stream.run(&["dead", "redrive", "--all"]).code, 3);
    assert_eq!(stream.read(CALLS).len(), 2);
    assert_eq!(stream.run(&["dead", "redrive", "c0", "--again"]).code, 0);
    assert_eq!(stream.read(CALLS).len(), 3);

    let marks: Vec<Value> = stream.records(DEAD);
    let marks: Vec<&Value> = marks
        .iter()
        .filter(|mark| mark["redriven"].is_object())
        .collect();
    assert_eq!(marks.len(), 3);
    assert!(
        marks
            .iter()
            .all(|mark| mark["version"] == 1 && mark["redriven"]["at"].is_string())
    );
}

#[test]
fn a_call_that_dies_again_has_a_letter_of_its_own() {
    let stream = Stream::start(1);
    stream.put_dead(&letters(1));
    assert_eq!(stream.run(&["dead", "redrive", "--all"]).code, 0);
    let record = stream.records(CALLS).remove(0);
    let mut again = letter("c0", &record);
    again["deadAt"] = json!("2026-11-23T05:36:00.123Z");
    stream.put_dead(&[again]);
    let list = stream.run(&["dead", "list", "--json"]).json();
    assert_eq!(ids(&list, "letters"), ["c0"]);
    assert_eq!(stream.run(&["dead", "redrive", "c0"]).code, 0);
    let mut redrives: Vec<u64> = stream
        .records(CALLS)
        .iter()
        .map(|record| record["progress"]["redrives"].as_u64().unwrap())
        .collect();
    redrives.sort_unstable();
    assert_eq!(redrives, [1, 2]);
    let show = stream.run(&["dead", "show", "c0"]);
    assert_eq!(
        show.out.matches("Dead letter c0").count(),
        2,
        "{}",
        show.out
    );
}

#[test]
fn marks_hold_for_letters_that_were_copied() {
    let stream = Stream::start(1);
    let earlier = |id: &str, offset: u64| {
        json!({ "version": 1, "redriven": { "id": id, "partition": "0", "offset": offset,
            "at": "2026-11-23T06:00:00.000Z" } })
    };
    let mut all = letters(5);
    all.extend([letter("p0-o7", &json!({ "path": "/" })), earlier("c3", 3)]);
    // Another call without an id, of another stream of calls.
    all.push(earlier("p0-o7", 999));
    stream.put_dead(&all);
    assert_eq!(stream.run(&["dead", "redrive", "c1"]).code, 0);
    // The copy begins with another message, so all places are new.
    let copy: Vec<Vec<u8>> = stream.read(DEAD).into_iter().map(|(_, v)| v).collect();
    stream.put(OTHER, None, &copy[1..]);
    let dead = ["--dead-stream", OTHER];
    let list = stream.run(&[&["dead", "list", "--json"][..], &dead].concat());
    assert_eq!(ids(&list.json(), "letters"), ["c2", "c4", "p0-o7"]);
    let redriven = stream.run(&[&["dead", "redrive", "--all"][..], &dead].concat());
    assert_eq!(redriven.code, 0, "{redriven:?}");
    let mut made: Vec<String> = stream
        .records(CALLS)
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect();
    made.sort_unstable();
    assert_eq!(made, ["c1", "c2", "c4", "p0-o7"]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let stream = Stream::start(2);
    stream.put_dead(&letters(3));
    let run = stream.run(&["dead", "redrive", "--all", "--dry-run"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.out
            .matches("GET /  to ocid1.stream.oc1.local.calls\n")
            .count(),
        3,
        "{run:?}"
    );
    let end = "3 calls would be put back on ocid1.stream.oc1.local.calls; nothing was changed \
               (dry run)\n";
    assert!(run.out.ends_with(end), "{run:?}");
    let json = stream
        .run(&["dead", "redrive", "--all", "--dry-run", "--json"])
        .json();
    assert_eq!(
        (&json["dryRun"], &json["counts"]["redriven"]),
        (&true.into(), &3.into())
    );
    assert_eq!(json["letters"][0]["outcome"], "would_redrive");
    assert_eq!((stream.read(CALLS).len(), stream.read(DEAD).len()), (0, 3));
}

/// Letters whose records stood on these streams, or say so.
fn from_streams(streams: &[&str]) -> Vec<Value> {
    let mut letters = letters(streams.len());
    for (letter, stream) in letters.iter_mut().zip(streams) {
        letter["streamId"] = (*stream).into();
    }
    letters
}

#[test]
fn a_letter_does_not_say_where_its_call_goes() {
    let stream = Stream::start(1);
    let lane = format!("{CALLS}-5s");
    stream.put_dead(&from_streams(&[CALLS, &lane, OTHER, "../..", DEAD]));
    let list = stream.run(&["dead", "list", "--json"]).json();
    let destinations: Vec<&Value> = (0..5)
        .map(|place| &list["letters"][place]["destination"])
        .collect();
    let here = json!(CALLS);
    // Whatever begins as a lane's name does: it is not the name that decides where calls go.
    assert_eq!(
        destinations,
        [&here, &here, &Value::Null, &Value::Null, &here]
    );
    assert_eq!(list["letters"][2]["streamId"], OTHER);
    let table = stream.run(&["dead", "list"]).out;
    assert!(table.contains("GOES BACK TO"), "{table}");
    assert!(
        table.contains(&format!("needs --stream (stood on {OTHER})")),
        "{table}"
    );

    let dry = stream.run(&["dead", "redrive", "--all", "--dry-run"]);
    assert!(!dry.out.contains(OTHER), "{dry:?}");
    for told in [&dry, &stream.run(&["dead", "redrive", "--all"])] {
        assert_eq!(told.code, 0, "{told:?}");
        let problem = format!(
            "c2 can't be redriven: its letter names the stream {OTHER}, and calls go to {CALLS}: \
             name the right one of them with --stream"
        );
        assert!(told.error.contains(&problem), "{told:?}");
        assert!(told.error.contains("c3 can't be redriven"), "{told:?}");
        assert!(told.out.contains("2 can't be redriven"), "{told:?}");
    }
    assert_eq!((stream.read(CALLS).len(), stream.read(OTHER).len()), (3, 0));

    let unclear = stream.run(&["dead", "redrive", "c2", "c3"]);
    assert_eq!(unclear.code, 1, "{unclear:?}");
    let told = stream.run(&["dead", "redrive", "c2", "c3", "--stream", OTHER]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains(&format!("put back on {OTHER}")));
    assert_eq!((stream.read(CALLS).len(), stream.read(OTHER).len()), (3, 2));
}

#[test]
fn with_a_stream_that_is_named_everything_goes_there() {
    let stream = Stream::start(1);
    stream.put_dead(&from_streams(&[CALLS, OTHER, "../.."]));
    let run = stream.run(&["dead", "redrive", "--all", "--json", "--stream", OTHER]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["streams"], json!({ OTHER: 3 }));
    assert_eq!((stream.read(CALLS).len(), stream.read(OTHER).len()), (0, 3));
}

/// On a terminal somebody can say so, once for each stream.
#[test]
fn a_person_is_asked_and_shown_the_stream() {
    for (answer, moved) in [("y\n", 2), ("n\n", 0), ("\n", 0), ("", 0)] {
        let stream = Stream::start(1);
        stream.put_dead(&from_streams(&[CALLS, OTHER, OTHER]));
        let (code, told) = stream.run_on_terminal(&["dead", "redrive", "--all"], answer);
        assert_eq!(code, 0, "{told}");
        let question = format!("the letter of c1 names the stream {OTHER}. Put its call there");
        assert_eq!(told.matches(&question).count(), 1, "{told}");
        assert_eq!(stream.read(OTHER).len(), moved, "{answer:?}: {told}");
        assert_eq!(stream.read(CALLS).len(), 1, "{answer:?}: {told}");
    }
}

#[test]
fn a_stream_that_is_not_there_gets_nothing_and_nothing_is_marked() {
    let stream = Stream::start(1);
    stream.put_dead(&letters(2));
    let run = stream.run(&[
        "dead",
        "redrive",
        "--all",
        "--stream",
        "ocid1.nowhere",
        "--json",
    ]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.error.contains("--stream"), "{run:?}");
    assert_eq!(run.json()["counts"]["failed"], 2);
    assert!(run.json()["problem"].is_string());
    assert_eq!(stream.read(DEAD).len(), 2);
}

#[test]
fn an_id_that_is_not_there_is_said_and_the_others_go() {
    let stream = Stream::start(1);
    stream.put_dead(&letters(1));
    let run = stream.run(&["dead", "redrive", "c0", "c9"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.error.contains("c9") && !run.error.contains("c0"),
        "{run:?}"
    );
    assert_eq!(stream.read(CALLS).len(), 1);
}

#[test]
fn filtered_letters_alone_go_back() {
    let stream = Stream::start(2);
    let mut exhausted = letter("c9", &json!({ "path": "/orders" }));
    exhausted["reason"] = "attempts_exhausted".into();
    stream.put_dead(&letters(5));
    stream.put_dead(&[exhausted]);
    let run = stream.run(&[
        "dead",
        "redrive",
        "--reason",
        "attempts_exhausted",
        "--rate",
        "0",
    ]);
    assert_eq!(run.code, 0, "{run:?}");
    let records = stream.records(CALLS);
    assert_eq!((records.len(), &records[0]["path"]), (1, &"/orders".into()));
}

#[test]
fn two_thousand_letters_go_back_once_each() {
    let stream = Stream::start(4);
    stream.put_dead(&letters(2_000));
    let run = stream.run(&["dead", "redrive", "--all", "--rate", "0", "--json"]);
    assert_eq!(run.code, 0, "{}", run.error);
    assert_eq!(run.json()["counts"]["redriven"], 2_000);
    let records = stream.records(CALLS);
    let ids: BTreeSet<&str> = records
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    assert_eq!((records.len(), ids.len()), (2_000, 2_000));
    let list = stream.run(&["dead", "list"]);
    assert_eq!(list.code, 3, "{list:?}");
    assert!(
        list.error.contains("2,000 letters redriven already"),
        "{list:?}"
    );
    assert_eq!(stream.run(&["dead", "redrive", "--all"]).code, 3);
}
