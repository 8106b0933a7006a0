//! The program: command line, configuration file, exit codes, signals, the folder's lock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::Client;
use common::process::{Process, command};
use serde_json::{Value, json};

/// Runs it to its end; returns exit code and standard error.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = command(arguments).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn at(folder: &Path) -> Vec<&str> {
    vec![
        "--listen",
        "127.0.0.1:0",
        "--data",
        folder.to_str().unwrap(),
    ]
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, "{\"dataa\": \"x\"}").unwrap();
    let (file, data) = (file.to_str().unwrap(), folder.path().join("data"));
    let data = data.to_str().unwrap();
    for (arguments, word) in [
        (vec![], "--data"),
        (
            vec!["--data", data, "--listen", "0.0.0.0:0"],
            "--allow-remote",
        ),
        (vec!["--data", data, "--listen", "nowhere"], "--listen"),
        (vec!["--data", data, "--stream", "calls:many"], "NAME:4"),
        (vec!["--data", data, "--stream", "a/b"], "--stream"),
        (vec!["--data", data, "--stream", "calls:0"], "partitions"),
        (
            vec!["--data", data, "--stream", "calls:1", "--stream", "calls:2"],
            "twice",
        ),
        (vec!["--config", "/no/such/file"], "--config"),
        (vec!["--config", file], "dataa"),
        (vec!["--unknown"], "--unknown"),
    ] {
        let (code, error) = run(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}

#[test]
fn another_number_of_partitions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(folder.path(), "calls:3");
    assert_eq!(server.terminate(), Some(0));
    let (code, error) = run(&[at(folder.path()), vec!["--stream", "calls:4"]].concat());
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("calls:3"), "{error}");
    let server = Process::start(folder.path(), "calls");
    let mut client = Client::connect(server.address);
    assert_eq!(
        client.on_stream("GET", "", &Value::Null).ok()["partitions"],
        3
    );
}

#[test]
fn a_second_process_on_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path(), "calls");
    let (code, error) = run(&at(folder.path()));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("in use by another stream-server"), "{error}");
    Client::connect(first.address).put(None, &["still works"]);
}

#[test]
fn folders_that_cannot_be_used_end_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (code, error) = run(&at(&file));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("--data"), "{error}");
    for (name, content) in [
        ("not-a-database", b"x".repeat(9_000)),
        ("empty-sqlite", sqlite()),
    ] {
        let data = folder.path().join(name);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("stream.db"), &content).unwrap();
        let (code, error) = run(&at(&data));
        assert_eq!(code, 1, "{error}");
        assert!(
            error.contains("stream.db") && error.contains("backup"),
            "{error}"
        );
        assert_eq!(
            std::fs::read(data.join("stream.db")).unwrap(),
            content,
            "left as it was"
        );
    }
}

/// Returns a database of another program.
fn sqlite() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    std::fs::read(path).unwrap()
}

#[test]
fn a_damaged_database_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(folder.path(), "calls");
    Client::connect(server.address).put(None, &["x".repeat(300_000).as_str(); 2]);
    assert_eq!(server.terminate(), Some(0));
    let path = folder.path().join("stream.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = 4_096..4_096 * 12;
    bytes[middle].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let (code, error) = run(&at(folder.path()));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("stream.db"), "{error}");
}

#[test]
fn a_signal_ends_it_in_order_and_the_file_configures_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let settings = json!({
        "data": folder.path().join("data"),
        "streams": [{ "name": "calls" }, { "name": "lane", "partitions": 2 }],
        "externalUrl": "https://streams.example",
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let mut server = Process::start_with(&[
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
    ]);
    let mut client = Client::connect(server.address);
    let path = "/20180418/streams?compartmentId=any&sortBy=NAME";
    let streams = client.request("GET", path, "").ok();
    let names: Vec<_> = streams
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["name"])
        .collect();
    assert_eq!(names, ["calls", "lane"]);
    assert_eq!(streams[1]["partitions"], 2);
    assert_eq!(streams[1]["messagesEndpoint"], "https://streams.example");
    client.put(None, &["kept"]);
    assert_eq!(server.terminate(), Some(0));
    assert!(
        client.try_request("GET", "/health", "").is_err(),
        "an idle connection is closed"
    );
    assert!(
        !folder.path().join("data/stream.db-wal").exists(),
        "nothing is left to replay"
    );
}
