//! Docker: the engine that this machine has, or one of our own.
//!
//! | what | where |
//! |---|---|
//! | the programs, and whether an engine answers | here |
//! | an engine of our own, started and ended | [`engine`] |
//! | the images that the Dockerfile begins with | [`images`] |

pub mod engine;
pub mod images;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::command::{capture, on_path};
use crate::go::{self, GoProgram};
use crate::{Project, cancel};

use engine::Engine;

/// Compose, for machines that have none.
const COMPOSE: GoProgram<'_> = GoProgram {
    name: "docker-compose",
    module: "tools/provision/compose",
    package: "github.com/docker/compose/v2/cmd",
    variables: &[],
};

/// Set it to `1` to allow an engine of our own. Where `CI` is `true` it is allowed too.
pub const OWN_ENGINE: &str = "SLUICE_OWN_ENGINE";

/// An engine that answers.
#[derive(Debug)]
pub struct Docker {
    /// What its commands get in their environment.
    environment: Vec<(String, String)>,
    /// The engine, if it is our own; it ends with this value.
    engine: Option<Engine>,
}

/// What came of the search for an engine.
#[derive(Debug)]
pub enum Found {
    /// One answers.
    Docker(Docker),
    /// There is none, and what would help.
    Nothing(String),
}

impl Docker {
    /// Finds an engine that answers, with Compose, or starts one of our own where that is allowed
    /// and possible.
    ///
    /// # Errors
    /// When an engine of our own doesn't start, or Compose doesn't compile.
    pub fn find(project: &Project) -> Result<Found> {
        let engine = if is_answered(&[]) {
            None
        } else if let Some(reason) = why_no_engine() {
            return Ok(Found::Nothing(reason));
        } else {
            Some(Engine::start(project)?)
        };
        let mut environment = engine.as_ref().map_or_else(Vec::new, Engine::environment);
        if compose().is_none() {
            if go::provide(project, COMPOSE)?.is_none() {
                let reason = "there is neither docker compose nor a Go to build it with";
                return Ok(Found::Nothing(reason.into()));
            }
            let path = environment.iter().find(|(name, _)| name == "PATH");
            let path = path.map(|(_, path)| path.as_str());
            let path = path_and(path, &[project.target().join("tools")])?;
            environment.push(("PATH".into(), path));
        }
        cancel::check()?;
        Ok(Found::Docker(Self {
            environment,
            engine,
        }))
    }

    /// Returns what a process needs in its environment so that `docker` and [`compose`] reach this
    /// engine.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Returns the engine, if it is our own.
    #[must_use]
    pub fn own_engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Returns `docker` with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        docker(&self.environment, arguments)
    }

    /// Returns the engine's version.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn version(&self) -> Result<String> {
        let version = capture(&mut self.command(&["version", "--format", "{{.Server.Version}}"]));
        Ok(version?.trim().to_owned())
    }
}

/// Returns Docker's plugin, else the program that it replaced, if there is one.
#[must_use]
pub fn compose() -> Option<Command> {
    let plugin = || docker(&[], &["compose"]);
    if capture(plugin().arg("version")).is_ok() {
        return Some(plugin());
    }
    on_path("docker-compose").map(Command::new)
}

fn docker(environment: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Returns whether an engine answers.
fn is_answered(environment: &[(String, String)]) -> bool {
    capture(&mut docker(environment, &["version"])).is_ok()
}

/// Returns why there can be no engine of our own.
fn why_no_engine() -> Option<String> {
    let is_set = |name: &str, to: &str| env::var(name).is_ok_and(|value| value == to);
    let reason = if !is_set(OWN_ENGINE, "1") && !is_set("CI", "true") {
        format!(
            "no Docker engine answers: start yours, or set {OWN_ENGINE}=1, with which root on \
             Debian gets one below target/"
        )
    } else if !geteuid().is_root() {
        "no Docker engine answers, and only root can have one of its own".into()
    } else {
        let needed = ["apt-get", "dpkg-deb", "setpriv", "unshare"];
        let missing = needed.iter().find(|program| on_path(program).is_none())?;
        format!("no Docker engine answers, and without {missing} there is none of our own")
    };
    Some(reason)
}

/// Returns the environment's `PATH`, and these folders behind it.
fn path_and(path: Option<&str>, folders: &[PathBuf]) -> Result<String> {
    let own = env::var("PATH").unwrap_or_default();
    let path = path.unwrap_or(&own);
    let all = env::split_paths(path).chain(folders.iter().cloned());
    let joined = env::join_paths(all)?;
    joined.into_string().ok().context("PATH is not text")
}
