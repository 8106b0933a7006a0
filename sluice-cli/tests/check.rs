//! `sluice check` believes nobody but the filter.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use clap::Parser as _;
use serde_json::json;
use sluice_cli::arguments::Arguments;
use sluice_cli::failure::{EXIT_FAILED, EXIT_USAGE};
use testkit::http1::Message;
use testkit::server::{Answer, Server};

/// What the command prints, or its exit code and what it says.
fn run(arguments: &[&str]) -> Result<String, (u8, String)> {
    let words = ["sluice", "check"].into_iter();
    let arguments = Arguments::try_parse_from(words.chain(arguments.iter().copied()))
        .map_err(|error| (EXIT_USAGE, error.to_string()))?;
    let mut out = Vec::new();
    let result = sluice_cli::run(arguments, jiff::Timestamp::UNIX_EPOCH, &mut out);
    result.map_err(|failure| (failure.code(), failure.to_string()))?;
    Ok(String::from_utf8(out).unwrap())
}

/// A server that answers so, its URL, and what it got.
fn server(
    answer: impl Fn(&Message) -> Answer + Send + Sync + 'static,
) -> (Server, String, Arc<Mutex<Vec<Message>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let server = Server::start(Arc::new(move |incoming| {
        noted.lock().unwrap().push(incoming.message.clone());
        answer(&incoming.message)
    }));
    let url = format!("http://127.0.0.1:{}", server.port());
    (server, url, seen)
}

/// What the filter says of this option's value (`src/accept/options.rs`).
fn refusal(option: &str, value: &str) -> Answer {
    let detail = format!("{option}: \"{value}\" is no duration. Give a duration such as 90s.");
    let body = json!({ "type": "urn:sluice:bad-option", "title": "Bad option", "status": 400,
        "detail": detail, "header": option });
    problem(400, body.to_string().into_bytes())
}

fn problem(status: u16, body: Vec<u8>) -> Answer {
    Answer::Reply {
        status,
        fields: vec![("Content-Type".into(), "application/problem+json".into())],
        body,
    }
}

fn as_the_filter(message: &Message) -> Answer {
    refusal("Async-Delay", &message.text("async-delay"))
}

#[test]
fn the_filters_answer_is_known_by_what_it_quotes() {
    let (_server, url, seen) = server(as_the_filter);
    let said = run(&["--gateway", &url]).unwrap();
    assert_eq!(said, format!("{url}: the filter has answered the probe\n"));
    let header = "Authorization:  Bearer a:b ";
    let more = ["--gateway", &url, "--probes", "3", "--header", header];
    let said = run(&[&more[..], &["--path", "/orders/7?x=y"]].concat()).unwrap();
    assert!(said.ends_with("the filter has answered all 3 probes\n"));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].word(1), "/");
    for probe in &seen[1..] {
        assert_eq!(
            (probe.word(0), probe.word(1)),
            ("GET".into(), "/orders/7?x=y".into())
        );
        assert_eq!(probe.text("prefer"), "respond-async");
        assert_eq!(probe.text("authorization"), "Bearer a:b");
    }
    let mut values: Vec<_> = seen.iter().map(|probe| probe.text("async-delay")).collect();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 4, "each probe has a value of its own");
}

#[test]
fn an_option_may_have_another_name_or_be_missing() {
    let (_server, url, _) = server(|message| refusal("X-Later", &message.text("x-later")));
    run(&["--gateway", &url, "--option", "x-later"]).unwrap();
    let (_server, url, _) = server(|_| {
        let detail = "The option Async-Delay is not supported by this gateway; leave it out.";
        let body = json!({ "type": "urn:sluice:not-asynchronous", "detail": detail });
        problem(501, body.to_string().into_bytes())
    });
    run(&["--gateway", &url]).unwrap();
    let (_server, url, _) = server(|_| Answer::status(202));
    let (code, said) = run(&["--gateway", &url]).unwrap_err();
    assert_eq!(code, EXIT_FAILED);
    assert!(said.contains("--option"), "{said}");
}

#[test]
fn nobody_else_is_taken_for_the_filter() {
    let echo = |message: &Message| {
        let text = |name| message.text(name);
        Answer::json(
            400,
            &json!({ "prefer": text("prefer"), "detail": text("async-delay") }),
        )
    };
    let answers: [fn(&Message) -> Answer; 6] = [
        |_| Answer::status(200),
        |_| Answer::status(503),
        // Somebody's problem, and our answer to another probe.
        |_| problem(400, br#"{"type":"about:blank"}"#.to_vec()),
        |_| problem(400, b"<html>".to_vec()),
        |_| problem(400, vec![b' '; 100_000]),
        |_| Answer::status(302).with("Location", "http://127.0.0.1:1/"),
    ];
    for (number, answer) in answers
        .into_iter()
        .chain([echo as fn(&Message) -> Answer])
        .enumerate()
    {
        let (_server, url, seen) = server(answer);
        let (code, said) = run(&["--gateway", &url, "--probes", "5"]).unwrap_err();
        assert_eq!(code, EXIT_FAILED, "{number}");
        assert!(said.starts_with(&url), "{said}");
        assert_eq!(
            seen.lock().unwrap().len(),
            1,
            "{number}: the first is enough"
        );
    }
    let (_server, url, _) = server(|_| refusal("Async-Delay", "sluice check 0000000000000000"));
    assert!(
        run(&["--gateway", &url])
            .unwrap_err()
            .1
            .contains("another one")
    );
    let (_server, url, _) = server(|message| refusal("Other", &message.text("async-delay")));
    assert!(
        run(&["--gateway", &url])
            .unwrap_err()
            .1
            .contains("another one")
    );
    let (_server, url, _) = server(|_| Answer::status(200));
    assert!(
        run(&["--gateway", &url])
            .unwrap_err()
            .1
            .contains("THE FILTER IS NOT THERE")
    );
}

#[test]
fn what_can_not_be_asked_is_said_so() {
    let (mut gone, url, _) = server(as_the_filter);
    gone.kill();
    let (code, said) = run(&["--gateway", &url]).unwrap_err();
    assert_eq!(code, EXIT_FAILED);
    assert!(said.contains("no answer"), "{said}");
    for wrong in [
        &[][..],
        &["--gateway", "127.0.0.1"],
        &["--gateway", &url, "--path", "orders"],
        &["--gateway", &url, "--path", "/a b"],
        &["--gateway", &url, "--header", "nothing"],
        &["--gateway", &url, "--header", "a: b\r\nc: d"],
        &["--gateway", &url, "--option", "a b"],
        &["--gateway", &url, "--probes", "0"],
        &["--gateway", &url, "--probes", "1001"],
        &["--gateway", &url, "--ca-file", "/nowhere"],
        &["--gateway", "https://127.0.0.1:1", "--ca-file", "/nowhere"],
    ] {
        assert_eq!(run(wrong).unwrap_err().0, EXIT_USAGE, "{wrong:?}");
    }
}
