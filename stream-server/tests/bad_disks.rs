//! Full, read-only and torn disks: a clear error, and nothing acknowledged is lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::process::{Process, command};
use common::{Client, encode, wait_until};
use serde_json::json;

const BIG: usize = 100_000;

/// Publishes one message with this name and some ballast; returns the status.
fn put(client: &mut Client, name: &str) -> u16 {
    let value = encode(&format!("{name} {}", "x".repeat(BIG)));
    let body = json!({ "messages": [{ "value": value }] });
    let answer = client.on_stream("POST", "messages", &body);
    if answer.status == 500 {
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("the store failed"), "{message}");
        assert!(
            message.contains("disk") || message.contains("full"),
            "{message}"
        );
    }
    answer.status
}

/// Returns a message that fits where the others don't.
fn small() -> serde_json::Value {
    let value = format!("small {}", "x".repeat(3_000));
    json!({ "messages": [{ "value": encode(&value) }] })
}

/// Returns the names of all messages, from the oldest.
fn names(client: &mut Client) -> Vec<String> {
    let mut cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let mut names = Vec::new();
    loop {
        let batch = client.get(&cursor, 1_000);
        if batch.messages.is_empty() {
            return names;
        }
        let name = |value: String| value.split(' ').next().unwrap().to_owned();
        names.extend(batch.values().into_iter().map(name));
        cursor = batch.next;
    }
}

/// Publishes until it fails; returns what was acknowledged.
fn fill(client: &mut Client) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..1_000 {
        let name = format!("m{n}");
        match put(client, &name) {
            200 => acknowledged.push(name),
            500 => return acknowledged,
            other => panic!("{other}"),
        }
    }
    panic!("never full");
}

#[test]
fn a_full_disk_refuses_messages_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_stream-server");
    // The system refuses to write files beyond 4,096 KiB, as a full disk refuses.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4096; \
         exec {program} --listen 127.0.0.1:0 --data {data} --stream calls:1"
    );
    let mut server = Process::start_command(Command::new("bash").args(["-c", &script]));
    let mut client = Client::connect(server.address);
    let acknowledged = fill(&mut client);
    assert!(!acknowledged.is_empty());
    assert_eq!(names(&mut client), acknowledged, "reading goes on");
    wait_until("it is not ready", || {
        let _ = client.on_stream("POST", "messages", &small());
        client.request("GET", "/ready", "").status == 503
    });
    assert_eq!(client.request("GET", "/health", "").status, 200);
    let kept = names(&mut client);
    server.kill();
    let server = Process::start(folder.path(), "calls:1");
    let mut client = Client::connect(server.address);
    assert_eq!(names(&mut client), kept);
    assert_eq!(put(&mut client, "more"), 200, "with room it goes on");
}

#[test]
fn a_full_database_refuses_messages_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = ["--data-bytes-max", "2000000"];
    let mut server = Process::start_also_with(folder.path(), "calls:1", &bounded);
    let mut client = Client::connect(server.address);
    let acknowledged = fill(&mut client);
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    assert_eq!(names(&mut client), acknowledged);
    assert_eq!(server.terminate(), Some(0), "it ends as usual");
    let server = Process::start(folder.path(), "calls:1");
    let mut client = Client::connect(server.address);
    assert_eq!(names(&mut client), acknowledged);
    assert_eq!(put(&mut client, "more"), 200);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(folder.path(), "calls:1");
    assert_eq!(put(&mut Client::connect(server.address), "kept"), 200);
    assert_eq!(server.terminate(), Some(0));
    let allow = |mode| {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
    };
    allow(0o555);
    let data = folder.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_stream-server");
    let arguments = ["--listen", "127.0.0.1:0", "--data", data];
    // Root may write everywhere, so it becomes nobody.
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", program];
    let output = match is_root() {
        true => Command::new("setpriv")
            .args(as_nobody)
            .args(arguments)
            .output(),
        false => Command::new(program).args(arguments).output(),
    };
    let output = output.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("writable") && error.contains("--data"),
        "{error}"
    );
    allow(0o755);
    let server = Process::start(folder.path(), "calls:1");
    assert_eq!(names(&mut Client::connect(server.address)), ["kept"]);
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

/// A kill in the middle of writing leaves a torn end of the log: it was never acknowledged, and
/// goes unnoticed.
#[test]
fn a_torn_end_of_the_log_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for (run, torn) in [1_usize, 24, 72, 1_000, 100_100].into_iter().enumerate() {
        let mut server = Process::start(folder.path(), "calls:1");
        let mut client = Client::connect(server.address);
        let name = format!("m{run}");
        assert_eq!(put(&mut client, &name), 200);
        acknowledged.push(name);
        server.kill();
        tear(&log_file(folder.path()), torn);
    }
    let mut server = Process::start(folder.path(), "calls:1");
    let mut client = Client::connect(server.address);
    assert_eq!(names(&mut client), acknowledged);
    assert_eq!(put(&mut client, "last"), 200);
    acknowledged.push("last".to_owned());
    server.kill();
    let server = Process::start(folder.path(), "calls:1");
    assert_eq!(names(&mut Client::connect(server.address)), acknowledged);
}

fn log_file(data: &Path) -> PathBuf {
    data.join("log/000000000001.log")
}

/// Appends so many bytes that look like the log's own, and are not.
fn tear(log: &Path, bytes: usize) {
    let mut content = std::fs::read(log).unwrap();
    // Behind the messages are zeros that the next would overwrite.
    let end = 1 + content.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(end > bytes, "there is a log");
    content.truncate(end);
    content.extend_from_within(end - bytes..);
    std::fs::write(log, content).unwrap();
}

/// Starts it to its end, and checks that it names the file and the way out.
fn refuses(data: &Path, words: &[&str]) {
    let arguments = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let output = command(&arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in words.iter().chain(&["log/", "backup", "--data"]) {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn acknowledged_messages_that_cannot_be_read_are_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut server = Process::start_also_with(data, "calls:1", &["--segment-bytes", "250000"]);
    let mut client = Client::connect(server.address);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(put(&mut client, name), 200);
    }
    server.kill();
    let (first, second) = (log_file(data), data.join("log/000000000002.log"));
    // In the last message of a file that is not the last, in one before others, in a file's head.
    for (file, at) in [(&first, 150_000), (&second, 50_000), (&first, 10)] {
        let whole = std::fs::read(file).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(file, &damaged).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        refuses(data, &[name, "damaged at byte"]);
        assert_eq!(std::fs::read(file).unwrap(), damaged, "nothing is changed");
        std::fs::write(file, &whole).unwrap();
    }
    for file in [&first, &second, &data.join("stream.db")] {
        let aside = data.join("aside");
        std::fs::rename(file, &aside).unwrap();
        refuses(
            data,
            &["missing", file.file_name().unwrap().to_str().unwrap()],
        );
        std::fs::rename(&aside, file).unwrap();
    }
    // What a file beside it says about a file of the log can be found again.
    std::fs::remove_file(first.with_extension("index")).unwrap();
    let mut server = Process::start(data, "calls:1");
    let mut client = Client::connect(server.address);
    assert_eq!(names(&mut client), ["a", "b", "c", "d"]);
    assert_eq!(server.terminate(), Some(0));
    // Stopped in order, it knows where the log ends.
    let whole = std::fs::read(&second).unwrap();
    std::fs::write(&second, &whole[..whole.len() - 1]).unwrap();
    refuses(data, &["000000000002.log", "messages are missing"]);
}

#[test]
fn damage_that_comes_later_is_told_to_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), "calls:1");
    let mut client = Client::connect(server.address);
    assert_eq!(put(&mut client, "a"), 200);
    let file = log_file(folder.path());
    let mut content = std::fs::read(&file).unwrap();
    content[50_000] ^= 1;
    std::fs::write(&file, &content).unwrap();
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let answer = client.try_get(&cursor, 10);
    let message = answer.refused(500, "InternalServerError");
    assert!(message.contains("000000000001.log"), "{message}");
    assert!(message.contains("damaged at byte 32"), "{message}");
}
