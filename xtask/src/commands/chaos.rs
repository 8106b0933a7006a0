//! `cargo xtask chaos`: real parts under load, killed, stopped and cut off.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use local_gateway::Project;

/// Kill, stop and cut off real parts under load, and see whether the guarantees hold
///
/// Two Envoys with the shipped filter, a stream server and targets. Arguments go to it:
/// `--seconds N`, `--calls N`, `--seed N`; `-- --help` explains them.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    chaos: Vec<OsString>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    // Ctrl-C reaches both of us, and the one that has started the parts ends them.
    let status = command(project)
        .args(&arguments.chaos)
        .status()
        .context("cargo did not start")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// It, with arguments to come. Unoptimised: what it waits for are the parts, and its libraries have
/// been built like that for the tests already.
pub(crate) fn command(project: &Project) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project.root()).args([
        "run",
        "--quiet",
        "--package=chaos",
        "--locked",
        "--",
    ]);
    command
}
