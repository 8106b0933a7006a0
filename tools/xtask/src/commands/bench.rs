//! `cargo xtask bench` and `cargo xtask bench-stream`: the cost of things, as ratios.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use provision::Project;

use super::member;

/// Arguments of the program `bench`, which explains them at `--help`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Handed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    bench: Vec<OsString>,
}

/// Runs one of its two tasks, optimised, so that the measuring program doesn't slow down what it
/// measures.
pub(crate) fn run(project: &Project, task: &str, arguments: &Arguments) -> Result<ExitCode> {
    let mut command = member::command(project, "bench", "tools");
    command.arg(task);
    member::run(command, &arguments.bench)
}
