//! Docker's commands, and what they tell.

use std::process::{Command, Output};

use provision::command::{capture, line};
use serde_json::Value;

/// Runs `docker` with these arguments and returns what it prints.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn docker(arguments: &[&str]) -> String {
    let printed = capture(Command::new("docker").args(arguments));
    printed.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Returns everything that Docker knows about a container.
#[must_use]
pub fn inspect(container: &str) -> Value {
    let seen = docker(&["inspect", "--type", "container", container]);
    let mut seen: Value = serde_json::from_str(&seen).expect("JSON");
    seen[0].take()
}

/// Runs a script in a container by its bash, whatever comes of it.
///
/// # Panics
/// When Docker can't be started.
#[must_use]
pub fn inside(container: &str, script: &str) -> Output {
    let mut command = Command::new("docker");
    command.args(["exec", container, "bash", "-c", script]);
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{}: {error}", line(&command)))
}

/// Returns what a script prints that has to work in a container.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn told_inside(container: &str, script: &str) -> String {
    let output = inside(container, script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Kills all processes of a program in a container, as the user who runs it.
pub fn kill_inside(container: &str, program: &str) {
    let script = format!(
        "killed=1; for process in /proc/[0-9]*; do \
           if [ \"$(cat $process/comm 2>/dev/null)\" = {program} ]; then \
             kill -KILL ${{process#/proc/}} && killed=0; fi; done; exit $killed"
    );
    let _nothing = told_inside(container, &script);
}
