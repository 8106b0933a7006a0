//! Other users of the machine get at nothing that the server keeps, whatever the umask.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::process::Process;
use common::{Client, wait_until};

/// Returns a server with small files of its log, in a process with this umask.
fn start(umask: &str, folder: &Path, more: &[&str], log: &Path) -> Process {
    let program = env!("CARGO_BIN_EXE_stream-server");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), program])
        .args(["--listen", "127.0.0.1:0", "--stream", "calls"])
        .args(["--segment-bytes", "65536", "--data"])
        .arg(folder.join("above/data"))
        .args(more)
        .stderr(fs::File::create(log).unwrap());
    Process::start_telling(&mut command)
}

/// Returns all below a folder, with their modes.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        found.push((entry.path(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() {
            found.extend(modes(&entry.path()));
        }
    }
    found
}

fn assert_private(folder: &Path) {
    for (path, mode) in modes(folder) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

/// Messages for more than one file of the log.
fn fill(process: &Process) {
    let mut client = Client::connect(process.address);
    let value = "x".repeat(20_000);
    for _ in 0..8 {
        client.put(None, &[&value]);
    }
}

#[test]
fn what_is_created_is_the_owners_alone() {
    for umask in ["000", "022", "077"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("stream-server.log");
        let mut process = start(umask, folder.path(), &[], &log);
        fill(&process);
        let data = folder.path().join("above");
        wait_until("there is a whole file of the log with its index", || {
            let is_index = |path: &Path| path.extension().is_some_and(|end| end == "index");
            modes(&data).iter().any(|(path, _)| is_index(path))
        });
        let named = |name: &str| modes(&data).iter().any(|(path, _)| path.ends_with(name));
        for name in ["lock", "stream.db", "stream.db-wal", "stream.db-shm"] {
            assert!(named(name), "{name}");
        }
        assert_private(&folder.path().join("above"));
        assert_eq!(process.terminate(), Some(0));
        let told = fs::read_to_string(&log).unwrap();
        assert!(!told.contains("other users"), "{told}");
    }
}

#[test]
fn what_was_open_is_mended_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("stream-server.log");
    let mut process = start("022", folder.path(), &[], &log);
    fill(&process);
    process.kill();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let key = include_str!("keys/official.pub.pem");
    fs::write(keys.join("a.pub.pem"), key).unwrap();
    fs::write(keys.join("a.keyid"), "t/u/f").unwrap();
    let data = folder.path().join("above");
    for (path, _) in modes(&data).into_iter().chain(modes(folder.path())) {
        let mode = if path.is_dir() { 0o777 } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let more = ["--auth", "keys", keys.to_str().unwrap()];
    let mut process = start("022", folder.path(), &more, &log);
    assert_private(&data.join("data"));
    let key_modes: Vec<u32> = modes(&keys).into_iter().map(|(_, mode)| mode).collect();
    assert_eq!(key_modes, [0o644, 0o644]);
    assert_eq!(
        fs::metadata(&keys).unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(process.terminate(), Some(0));
    let told = fs::read_to_string(&log).unwrap();
    for part in [
        "other users of this machine could get at the data folder",
        "could write to the key folder",
    ] {
        assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
    }
    let mut process = start("022", folder.path(), &more, &log);
    assert_eq!(process.terminate(), Some(0));
    let told = fs::read_to_string(&log).unwrap();
    assert!(!told.contains("other users"), "{told}");
}
