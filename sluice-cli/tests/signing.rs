//! A Stream that wants signed requests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::{DEAD, Run, Stream, command, keys, letter};
use serde_json::json;
use tempfile::TempDir;

/// Three letters on a server with these keys, and a home folder.
fn start(keys: &[(&str, &str)]) -> (Stream, TempDir) {
    let stream = Stream::start(2);
    let letter = |id: &str| letter(id, &json!({ "id": id, "path": "/" }));
    stream.put_dead(&["a", "b", "c"].map(letter));
    let home = tempfile::tempdir().unwrap();
    keys::home(home.path());
    (stream.with_keys(keys), home)
}

fn run(stream: &Stream, home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    command(arguments)
        .env("SLUICE_ENDPOINT", &stream.url)
        .env("HOME", home)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
        .into()
}

const LIST: [&str; 3] = ["dead", "list", "--json"];

#[test]
fn a_key_that_is_named_lists_shows_and_redrives() {
    let key_id = keys::key_id();
    let (stream, home) = start(&[(&key_id, keys::PUBLIC)]);
    let file = home.path().join(".oci/key.pem");
    let key = ["--key-id", &key_id, "--key-file", file.to_str().unwrap()];
    let run = |rest: &[&str]| run(&stream, home.path(), &[rest, &key].concat(), &[]);
    let list = run(&LIST);
    assert_eq!(list.code, 0, "{list:?}");
    assert_eq!(list.json()["counts"]["letters"], 3);
    let redriven = run(&["dead", "redrive", "a", "b"]);
    assert_eq!(redriven.code, 0, "{redriven:?}");
    assert_eq!(run(&LIST).json()["counts"]["redrivenHidden"], 2);
    assert_eq!(run(&["dead", "show", "c"]).code, 0);
}

#[test]
fn profiles_are_read_as_oracles_tools_read_them() {
    let token = format!("ST${}", keys::TOKEN);
    let (stream, home) = start(&[(&keys::key_id(), keys::PUBLIC), (&token, keys::PUBLIC)]);
    let file = home.path().join(".oci/config");
    let moved = home.path().join("elsewhere");
    std::fs::copy(&file, &moved).unwrap();
    let moved = moved.to_str().unwrap();
    let fingerprint = keys::fingerprint();
    let by_profile = |name| [&LIST[..], &["--profile", name]].concat();
    let by_file = [&LIST[..], &["--config-file", moved]].concat();
    for (arguments, variables) in [
        (by_profile("DEFAULT"), vec![]),
        (by_profile("same"), vec![]),
        (by_profile("session"), vec![]),
        (by_file.clone(), vec![]),
        (by_file, vec![("OCI_CLI_PROFILE", "session")]),
        (by_profile("same"), vec![("OCI_CLI_CONFIG_FILE", moved)]),
        (
            by_profile("stranger"),
            vec![("OCI_CLI_FINGERPRINT", fingerprint.as_str())],
        ),
    ] {
        let run = run(&stream, home.path(), &arguments, &variables);
        assert_eq!(run.code, 0, "{arguments:?} {variables:?}: {run:?}");
        assert_eq!(run.json()["counts"]["letters"], 3);
    }
}

#[test]
fn a_key_that_the_endpoint_does_not_take_is_said_to_be_refused() {
    let key_id = keys::key_id();
    for (known, key, said) in [
        (key_id.as_str(), keys::OTHER_PUBLIC, "does not fit"),
        ("t/u/f", keys::PUBLIC, "is unknown here"),
    ] {
        let (stream, home) = start(&[(known, key)]);
        let run = run(
            &stream,
            home.path(),
            &["dead", "list", "--profile", "same"],
            &[],
        );
        assert_eq!(run.code, 1, "{run:?}");
        for part in ["refused with 401", said, &key_id, "listed for this user"] {
            assert!(run.error.contains(part), "{part}: {run:?}");
        }
    }
}

#[test]
fn an_endpoint_that_wants_signatures_is_said_to() {
    let (stream, home) = start(&[(&keys::key_id(), keys::PUBLIC)]);
    // Oracle's variables say which profile, not that there shall be signatures.
    let run = run(&stream, home.path(), &LIST, &[("OCI_CLI_PROFILE", "same")]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.error.contains("give --profile"), "{run:?}");
}

#[test]
fn bad_credentials_are_refused_before_anything_is_sent() {
    let home = tempfile::tempdir().unwrap();
    keys::home(home.path());
    let empty = tempfile::tempdir().unwrap();
    let key_id = keys::key_id();
    let local = ["--endpoint", "http://127.0.0.1:1"];
    let remote = ["--endpoint", "http://stream.example"];
    let missing = ["--endpoint", "https://127.0.0.1:1"];
    for (home, endpoint, options, said) in [
        (&home, local, vec!["--profile", "secret"], "openssl pkey"),
        (
            &home,
            local,
            vec!["--profile", "stranger"],
            "its fingerprint is",
        ),
        (
            &home,
            local,
            vec!["--profile", "nobody"],
            "it has default, same, secret",
        ),
        (&home, local, vec!["--key-id", &key_id], "give both"),
        (
            &home,
            local,
            vec!["--key-id", "me", "--key-file", "k"],
            "<tenancy OCID>/<user OCID>/<fingerprint>",
        ),
        (
            &home,
            local,
            vec!["--key-id", &key_id, "--key-file", "/nonexistent"],
            "/nonexistent cannot be read",
        ),
        (&home, remote, vec!["--profile", "same"], "https://"),
        (
            &empty,
            missing,
            vec![],
            "lacks user, tenancy, fingerprint, key_file",
        ),
    ] {
        let run: Run = command(&["dead", "list", "--dead-stream", DEAD])
            .args(endpoint)
            .args(&options)
            .env("HOME", home.path())
            .output()
            .unwrap()
            .into();
        assert_eq!(run.code, 2, "{options:?}: {run:?}");
        assert!(run.error.contains(said), "{said}: {run:?}");
    }
}
