//! `cargo xtask overload`: what the accept side does with too much.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use local_gateway::Project;

/// Overload and hostility on the accept side, with memory curves; --help lists what it takes
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Handed on to the program `overload`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let status = command(project)
        .args(&arguments.arguments)
        .status()
        .context("cargo did not start")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The program, built with optimisation, with arguments to come.
pub(crate) fn command(project: &Project) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project.root()).args([
        "run",
        "--quiet",
        "--profile=tools",
        "--package=overload",
        "--locked",
        "--",
    ]);
    command
}
