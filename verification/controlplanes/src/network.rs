//! A network of its own for one test: Envoy Gateway's server listens on ports that nobody can
//! choose, and on all addresses.

use std::env;
use std::process::Command;

use provision::PREPARED;

/// Set where we are in a network of our own already.
const INSIDE: &str = "SLUICE_OWN_NETWORK";

/// Has loopback and nothing else.
const UP: &str = "ip link set lo up && exec \"$@\"";

/// What this process is for a test that needs a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It runs the test, in such a network.
    Inside,
    /// It has had it run by another process, or can't have it run.
    Outside,
}

/// Runs the calling test, by its name, once more in a network of its own, unless this process is
/// that one. Everything that it needs has to be built before.
///
/// # Panics
/// When the test fails there.
#[must_use]
pub fn own(test: &str) -> Role {
    if is_own() {
        return Role::Inside;
    }
    if let Err(reason) = is_possible() {
        eprintln!("skipped: {reason}");
        return Role::Outside;
    }
    let program = env::current_exe().unwrap();
    let output = unshare(&[program.to_str().unwrap(), test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env(PREPARED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success(), "failed in a network of its own");
    Role::Outside
}

/// Returns whether this process is in such a network.
#[must_use]
pub fn is_own() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Returns whether this machine lets us have one.
///
/// # Errors
/// What it says where it doesn't.
pub fn is_possible() -> Result<(), String> {
    let output = unshare(&["true"])
        .output()
        .map_err(|error| format!("no network of our own: unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("no network of our own: {said}"))
}

fn unshare(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--net", "--", "sh", "-c", UP, "sh"])
        .args(arguments);
    command
}
