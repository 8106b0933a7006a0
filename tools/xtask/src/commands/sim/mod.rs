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
    /// Simulate several stream servers on one log, instead of gateways
    #[arg(long)]
    fronts: bool,

    /// Apply each patch of the simulation's folder mutations/ to a copy of the sources, and run
    /// seeds until a guarantee breaks; with names behind it, only these
    #[arg(long)]
    mutations: bool,

    /// Handed on to the simulation; with --mutations: the names of those that are wanted
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    simulation: Vec<OsString>,
}

/// One of the simulations.
pub(crate) struct Simulation {
    package: &'static str,
    /// Seeds after which a mutation counts as not found.
    seeds_max: &'static str,
}

/// Whole gateways.
pub(crate) const GATEWAYS: Simulation = Simulation {
    package: "sim",
    seeds_max: "5000",
};

/// Several stream servers on one log.
pub(crate) const FRONTS: Simulation = Simulation {
    package: "sim-fronts",
    seeds_max: "500",
};

impl Simulation {
    /// Returns the simulation, built with optimisation, with arguments to come.
    pub(crate) fn command(&self, project: &Project) -> Command {
        member::command(project, self.package, "tools")
    }

    /// Returns the folder of its mutations, from the project's root.
    fn mutations(&self) -> String {
        format!("verification/{}/mutations", self.package)
    }
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let simulation = if arguments.fronts { FRONTS } else { GATEWAYS };
    if arguments.mutations {
        return mutations::run(project, &simulation, &arguments.simulation);
    }
    member::run(simulation.command(project), &arguments.simulation)
}
