//! The programs of this workspace that are a part of the local set or look after it, built by
//! cargo.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::command::run;
use crate::progress::timed;
use crate::{PREPARED, Project};

/// Where the built programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Starts a program that dies with this process.
    pub with_parent: PathBuf,
    /// The stream server.
    pub stream_server: PathBuf,
    /// The demo function.
    pub demo_function: PathBuf,
    /// The command line for dead letters.
    pub sluice: PathBuf,
}

impl Tools {
    /// Returns their paths after they are built.
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

    /// Builds changed programs, for tests: once in a process, and not at all if [`PREPARED`] says
    /// that everything is built.
    ///
    /// # Errors
    /// When one does not compile.
    pub fn for_tests(project: &Project) -> Result<Self> {
        static BUILT: Mutex<Option<Tools>> = Mutex::new(None);
        if env::var(PREPARED).as_deref() == Ok("1") {
            return Ok(Self::of(project));
        }
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tools) = &*built {
            return Ok(tools.clone());
        }
        let tools = timed("building the local set's programs", || Self::build(project))?;
        *built = Some(tools.clone());
        Ok(tools)
    }

    /// Builds changed programs.
    ///
    /// # Errors
    /// When one does not compile.
    pub fn build(project: &Project) -> Result<Self> {
        // Unoptimised, because this crate's libraries have already been built like that.
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

/// Builds the stream server with the engine kafka and the command copy, and returns a copy of it:
/// the next build of the other programs replaces the file that cargo writes.
///
/// # Errors
/// When it does not compile.
pub fn stream_server_with_kafka(project: &Project) -> Result<PathBuf> {
    let built = || {
        run(cargo_build(project).args([
            "--profile=tools",
            "--package=stream-server",
            "--features=kafka,copy",
        ]))
    };
    timed("building the stream server with Kafka", built)
        .context("the stream server with Kafka was not built")?;
    let folder = project.target().join("kafka");
    fs::create_dir_all(&folder)?;
    let copy = folder.join("stream-server");
    // One that runs can't be written to.
    let new = folder.join("stream-server.new");
    fs::copy(Tools::of(project).stream_server, &new)?;
    fs::rename(&new, &copy)?;
    Ok(copy)
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
