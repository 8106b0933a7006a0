//! `cargo xtask sim`: the deterministic simulation, and whether it finds what it should.

mod mutations;

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use provision::Project;

use super::member;

/// Run the deterministic simulation, or see whether it finds bugs
///
/// Arguments go to the simulation: `--seed N` replays one seed, `--seeds N` runs many, `--fresh`
/// starts at a new one; `-- --help` lists all.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Apply each patch of verification/sim/mutations/ to a copy of the sources, and run seeds
    /// until a guarantee breaks; with names behind it, only these
    #[arg(long)]
    mutations: bool,

    /// Handed on to the simulation; with --mutations: the names of those that are wanted
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    simulation: Vec<OsString>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.mutations {
        return mutations::run(project, &arguments.simulation);
    }
    member::run(command(project), &arguments.simulation)
}

/// Returns the simulation, built with optimisation, with arguments to come.
pub(crate) fn command(project: &Project) -> Command {
    member::command(project, "sim", "tools")
}
