//! A Stream behind TLS.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Run, Stream, command, keys, letter};
use serde_json::json;
use tempfile::TempDir;
use testkit::tls::{Authority, Proxy};

/// A signed stream behind a proxy whose certificate is for `name`.
struct Secure {
    port: u16,
    home: TempDir,
    _stream: Stream,
    _proxy: Proxy,
}

impl Secure {
    fn start(name: &str) -> Self {
        let stream = Stream::start(1);
        stream.put_dead(&[letter("a", &json!({ "id": "a", "path": "/" }))]);
        let stream = stream.with_keys(&[(&keys::key_id(), keys::PUBLIC)]);
        let authority = Authority::new();
        let proxy = authority.start_proxy(name);
        proxy.leads_to(stream.url.strip_prefix("http://").unwrap());
        let home = tempfile::tempdir().unwrap();
        keys::home(home.path());
        std::fs::write(home.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(home.path().join("other.pem"), Authority::new().pem()).unwrap();
        std::fs::write(home.path().join("rubbish.pem"), "rubbish").unwrap();
        Self {
            port: proxy.port(),
            home,
            _stream: stream,
            _proxy: proxy,
        }
    }

    fn run(&self, host: &str, arguments: &[&str]) -> Run {
        command(arguments)
            .args(["--endpoint", &format!("https://{host}:{}", self.port)])
            .env("HOME", self.home.path())
            .output()
            .unwrap()
            .into()
    }
}

#[test]
fn an_endpoint_of_a_private_authority_is_trusted_with_its_certificate() {
    let secure = Secure::start("localhost");
    let trusting = ["--ca-file", "~/ca.pem"];
    let run = |rest: &[&str]| secure.run("localhost", &[rest, &trusting].concat());
    // https is signed without being told, by the profile DEFAULT.
    let redriven = run(&["dead", "redrive", "--all"]);
    assert_eq!(redriven.code, 0, "{redriven:?}");
    let list = run(&["dead", "list", "--all", "--json"]);
    assert_eq!(list.json()["counts"]["letters"], 1);
}

#[test]
fn an_endpoint_that_is_not_trusted_gets_nothing_and_the_reason_is_said() {
    let secure = Secure::start("localhost");
    let other = Secure::start("elsewhere.example");
    let list = |rest: &[&'static str]| [&["dead", "list"], rest].concat();
    for (run, said) in [
        (secure.run("localhost", &list(&[])), "--ca-file"),
        (
            secure.run("localhost", &list(&["--ca-file", "~/other.pem"])),
            "--ca-file",
        ),
        (
            secure.run("127.0.0.1", &list(&["--ca-file", "~/ca.pem"])),
            "another host's",
        ),
        (
            other.run("localhost", &list(&["--ca-file", "~/ca.pem"])),
            "elsewhere.example",
        ),
    ] {
        assert_eq!(run.code, 1, "{run:?}");
        assert!(
            run.error.contains("no secure connection to https://"),
            "{run:?}"
        );
        assert!(run.error.contains(said), "{said}: {run:?}");
    }
}

#[test]
fn wrong_files_of_authorities_are_wrong_usage() {
    let secure = Secure::start("localhost");
    let run = secure.run("localhost", &["dead", "list", "--ca-file", "~/rubbish.pem"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.error.contains("holds no certificate"), "{run:?}");
    let plain = [
        "dead",
        "list",
        "--ca-file",
        "x",
        "--endpoint",
        "http://127.0.0.1:1",
    ];
    let run: Run = command(&plain).output().unwrap().into();
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn an_endpoint_without_tls_is_said_to_have_none() {
    let stream = Stream::start(1);
    let home = tempfile::tempdir().unwrap();
    let url = stream.url.replace("http://", "https://");
    let run: Run = command(&["dead", "list", "--endpoint", &url])
        .env("HOME", keys::home(home.path()))
        .output()
        .unwrap()
        .into();
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.error.contains("speaks TLS"), "{run:?}");
}
