//! `cargo xtask chaos`: real parts under load, killed, stopped and cut off.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use provision::Project;

use super::member;

/// Kill, stop and cut off real parts under load, and see whether the guarantees hold
///
/// Two Envoys with the shipped filter, a stream server and targets; with `--kafka`, three stream
/// servers in front of three brokers. Arguments go to it: `--seconds N`, `--calls N`, `--seed N`,
/// `--kafka`, `--only NAME`, `--default-times`; `-- --help` explains them.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    chaos: Vec<OsString>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    member::run(command(project), &arguments.chaos)
}

/// Returns the command, with arguments to come. It is unoptimised, because it waits for the parts
/// most of the time, and its libraries have been built like that for the tests already.
pub(crate) fn command(project: &Project) -> Command {
    member::command(project, "chaos", "dev")
}
