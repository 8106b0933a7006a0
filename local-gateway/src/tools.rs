//! The programs of this workspace that the local set consists of or is looked after with, built by
//! cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::Project;
use crate::command::run;

/// Where the built programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Starts a program that dies with us.
    pub with_parent: PathBuf,
    /// The Stream.
    pub stream_server: PathBuf,
    /// Something to call.
    pub demo_function: PathBuf,
    /// The command line for dead letters.
    pub sluice: PathBuf,
}

impl Tools {
    /// Where they are once they are built.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        let folder = project.cargo_target().join("tools");
        Self {
            with_parent: project.cargo_target().join("debug/with-parent"),
            stream_server: folder.join("stream-server"),
            demo_function: folder.join("demo-function"),
            sluice: folder.join("sluice"),
        }
    }

    /// Builds what changed.
    ///
    /// # Errors
    /// When one does not compile.
    pub fn build(project: &Project) -> Result<Self> {
        // Unoptimised, because this crate's libraries have been built like that already.
        run(cargo_build(project).args(["--package=local-gateway", "--bin=with-parent"]))
            .and_then(|()| {
                run(cargo_build(project).args([
                    "--profile=tools",
                    "--package=stream-server",
                    "--package=demo-function",
                    "--package=sluice-cli",
                ]))
            })
            .context("the local set's programs were not built")?;
        Ok(Self::of(project))
    }
}

fn cargo_build(project: &Project) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(project.root())
        .arg("build")
        .arg("--target-dir")
        .arg(project.cargo_target());
    command
}
