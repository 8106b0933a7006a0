//! `cargo xtask overload`: how the accept side handles too much load.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use provision::Project;

use super::member;

/// Overload the accept role, and draw curves of memory
///
/// `cargo xtask overload --help` is the help of the program itself.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Handed on to the program `overload`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    member::run(command(project), &arguments.arguments)
}

/// Returns the program, built with optimisation, with arguments to come.
pub(crate) fn command(project: &Project) -> Command {
    member::command(project, "overload", "tools")
}
