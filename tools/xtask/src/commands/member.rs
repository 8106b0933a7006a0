//! Programs of the workspace that are commands here: cargo runs them with the rest of the
//! arguments.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use provision::Project;

/// Returns the command of a program, with arguments to come; `profile` is cargo's.
pub(crate) fn command(project: &Project, package: &str, profile: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(project.root())
        .args(["run", "--quiet", "--locked", "--package", package])
        .args(["--profile", profile, "--"]);
    command
}

/// Runs it and returns whether it succeeded. Ctrl-C reaches both processes; the one that has
/// started something ends it.
///
/// # Errors
/// When cargo is missing.
pub(crate) fn run(mut command: Command, arguments: &[OsString]) -> Result<ExitCode> {
    let status = command
        .args(arguments)
        .status()
        .context("cargo did not start")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
