//! Looking at dead letters, and how the program ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{CALLS, DEAD, Stream, command, ids, letter};
use serde_json::{Value, json};

fn with(mut letter: Value, members: Value) -> Value {
    let members = members.as_object().unwrap().clone();
    letter.as_object_mut().unwrap().extend(members);
    letter
}

fn three() -> Stream {
    let stream = Stream::start(2);
    stream.put_dead(&[
        letter(
            "c3",
            &json!({ "path": "/x", "target": "https://else.example/x", "method": "PUT" }),
        ),
        with(
            letter(
                "c1",
                &json!({
                    "path": "/orders/1", "authority": "shop", "method": "POST", "route": "r1"
                }),
            ),
            json!({ "deadAt": "2026-11-22T00:00:00Z", "reason": "attempts_exhausted" }),
        ),
        with(
            letter("c2", &json!({ "path": "/orders/2" })),
            json!({
                "deadAt": "2026-11-22T12:00:00Z", "attempts": [{ "attempt": 20, "at": "t" }]
            }),
        ),
    ]);
    stream
}

#[test]
fn the_list_is_a_table_with_the_oldest_first() {
    let run = three().run(&["dead", "list"]);
    assert_eq!((run.code, run.error.as_str()), (0, ""));
    let to = "ocid1.stream.oc1.local.calls";
    assert_eq!(
        run.out,
        format!(
            "\
ID  DEAD SINCE            REASON              ATTEMPTS  STATUS  GOES BACK TO                  CALL
c1  2026-11-22T00:00:00Z  attempts_exhausted  1         404     {to}  POST http://shop/orders/1
c2  2026-11-22T12:00:00Z  rejected            20        -       {to}  GET /orders/2
c3  2026-11-23T04:36:00Z  rejected            1         404     {to}  PUT https://else.example/x

3 dead letters
"
        )
    );
}

#[test]
fn filters_choose_letters() {
    let stream = three();
    for (filters, expected) in [
        (vec!["--id", "c2"], vec!["c2"]),
        (vec!["--id", "c2", "--id", "c1"], vec!["c1", "c2"]),
        (vec!["--reason", "rejected"], vec!["c2", "c3"]),
        (vec!["--route", "r1"], vec!["c1"]),
        (vec!["--target", "/orders"], vec!["c1", "c2"]),
        (vec!["--target", "shop/ord"], vec!["c1"]),
        (vec!["--target", "https://else.example/"], vec!["c3"]),
        (vec!["--since", "2026-11-22T12:00:00Z"], vec!["c2", "c3"]),
        (vec!["--until", "2026-11-22T12:00:00Z"], vec!["c1"]),
        (
            vec!["--since", "36500d", "--reason", "rejected"],
            vec!["c2", "c3"],
        ),
        (vec!["--reason", "expired"], vec![]),
    ] {
        let run = stream.run(&[&["dead", "list", "--json"], filters.as_slice()].concat());
        assert_eq!(ids(&run.json(), "letters"), expected, "{filters:?}");
        assert_eq!(
            run.code,
            if expected.is_empty() { 3 } else { 0 },
            "{filters:?}"
        );
    }
}

#[test]
fn rubbish_on_the_stream_is_listed_and_harms_nothing() {
    let stream = Stream::start(1);
    for message in [
        b"rubbish \x1b[2J".to_vec(),
        vec![0xff; 1_000_000],
        "[".repeat(100_000).into_bytes(),
        letter("c1", &json!("no object")).to_string().into_bytes(),
    ] {
        stream.put(DEAD, None, &[message]);
    }
    let run = stream.run(&["dead", "list"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out
            .contains("unreadable: partition 0, offset 0: no dead letter"),
        "{run:?}"
    );
    assert!(
        run.out.contains("(the record is not a JSON object)"),
        "{run:?}"
    );
    assert!(
        run.out.ends_with("1 dead letter (3 unreadable messages)\n"),
        "{run:?}"
    );
    let json = stream.run(&["dead", "list", "--json"]).json();
    assert_eq!(json["unreadable"][2]["offset"], 2);
    let run = stream.run(&["dead", "redrive", "--all"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.error.contains("c1 can't be redriven"), "{run:?}");
    assert!(stream.read(CALLS).is_empty());
}

#[test]
fn show_has_all_of_a_letter() {
    let stream = Stream::start(3);
    let call = json!({
        "path": "/orders?a=1", "authority": "shop", "method": "POST", "route": "orders",
        "headers": [["content-type", "text/plain"], ["x", { "base64": "/w==" }]],
        "body": "hello\nworld", "n": 1.5,
    });
    stream.put_dead(&[with(
        letter("c1", &call),
        json!({
            "streamId": CALLS,
            "attempts": [
                {
                    "attempt": 1, "at": "2026-11-23T04:35:00.000Z", "status": 503,
                    "excerpt": "busy\u{1b}[2J"
                },
                { "attempt": 2, "at": "2026-11-23T04:35:10.000Z" },
                {
                    "attempt": 3, "at": "2026-11-23T04:36:00.000Z", "status": 500,
                    "excerptBase64": "/wA="
                },
            ],
        }),
    )]);
    let run = stream.run(&["dead", "show", "c1"]);
    assert_eq!(run.code, 0, "{run:?}");
    for line in [
        "Dead letter c1",
        "dead since  2026-11-23T04:36:00.123Z",
        "reason      rejected",
        "call        POST http://shop/orders?a=1",
        "route       orders",
        "stood on    ocid1.stream.oc1.local.calls, partition 1, offset 5",
        "redriven    no",
        "1        2026-11-23T04:35:00.000Z  503        busy\\u{1b}[2J",
        "2        2026-11-23T04:35:10.000Z  no answer  -",
        "3        2026-11-23T04:36:00.000Z  500        (2 bytes, binary)",
        "  content-type: text/plain",
        "  x: base64 /w==",
        "Body: 11 bytes",
        "  hello",
        "  world",
    ] {
        assert!(
            run.out.lines().any(|found| found == line),
            "{line}\n{}",
            run.out
        );
    }
    let json = stream.run(&["dead", "show", "c1", "--json"]).json();
    assert_eq!(json["letters"][0]["call"], call);
    assert_eq!(json["letters"][0]["attempts"][2]["excerptBase64"], "/wA=");
    assert_eq!(json["letters"][0]["redrivenAt"], Value::Null);
    let run = stream.run(&["dead", "show", "c2"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.error.contains("no dead letter has the id c2"),
        "{run:?}"
    );
}

#[test]
fn letters_in_parts_are_put_together() {
    let stream = Stream::start(4);
    let record = json!({ "path": "/large", "body": "x".repeat(900_000) }).to_string();
    let part = |id: &str, part: usize, parts: usize, bytes: &[u8]| {
        let mut letter = with(
            letter(id, &Value::Null),
            json!({
                "part": part, "parts": parts, "recordBase64": BASE64.encode(bytes)
            }),
        );
        letter.as_object_mut().unwrap().remove("call");
        letter.to_string().into_bytes()
    };
    let (one, two) = record.as_bytes().split_at(524_288);
    // In other partitions, among others, and the second before the first.
    stream.put(DEAD, Some("a"), &[part("large", 2, 2, two)]);
    stream.put(DEAD, Some("b"), &[part("broken", 1, 3, b"{}")]);
    stream.put_dead(&[letter("small", &json!({ "path": "/" }))]);
    stream.put(DEAD, Some("c"), &[part("large", 1, 2, one)]);

    let list = stream.run(&["dead", "list"]);
    assert!(list.out.contains("GET /large"), "{}", list.out);
    assert!(
        list.out.contains("incomplete: broken: 1 of its 3 messages"),
        "{}",
        list.out
    );
    let show = stream.run(&["dead", "show", "large", "--json"]).json();
    assert_eq!(
        show["letters"][0]["call"]["body"].as_str().unwrap().len(),
        900_000
    );
    assert_eq!(stream.run(&["dead", "show", "broken"]).code, 1);
    assert_eq!(stream.run(&["dead", "redrive", "broken"]).code, 1);

    let run = stream.run(&["dead", "redrive", "--all", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["counts"]["notRedrivable"], 1);
    let records = stream.records(CALLS);
    assert_eq!(records.len(), 2);
    assert!(records.iter().any(|record| record["path"] == "/large"));
    assert_eq!(stream.run(&["dead", "list"]).code, 3);
}

#[test]
fn an_endpoint_that_is_down_is_said_to_be() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for arguments in [
        vec!["dead", "list"],
        vec!["dead", "show", "c1"],
        vec!["dead", "redrive", "--all"],
    ] {
        let output = command(&arguments)
            .args(["--endpoint", &url])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("cannot reach") && error.contains("--endpoint"),
            "{error}"
        );
    }
}

#[test]
fn a_stream_that_is_not_there_is_said_to_be() {
    let stream = Stream::start(1);
    let run = stream.run(&["dead", "list", "--dead-stream", "ocid1.stream.nowhere"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.error.contains("404") && run.error.contains("--dead-stream"),
        "{run:?}"
    );
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        vec![],
        vec!["dead"],
        vec!["dead", "show"],
        vec!["dead", "redrive"],
        vec!["dead", "redrive", "--all", "c1"],
        vec!["dead", "redrive", "--all", "--rate", "fast"],
        vec!["dead", "list", "--since", "yesterday"],
        vec!["dead", "list", "--endpoint", "https://example.com"],
        vec!["dead", "list", "--dead-stream", "a/b"],
    ] {
        let output = command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let help = command(&["dead", "redrive", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for word in [
        "Exit codes",
        "At least once",
        "SLUICE_ENDPOINT",
        "--dry-run",
        "--profile",
        "~/.oci/config",
    ] {
        assert!(help.contains(word), "{word}\n{help}");
    }
}
