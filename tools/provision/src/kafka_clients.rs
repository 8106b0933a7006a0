//! Other people's clients of Kafka, for tests: `kcat`, and `confluent-kafka` for Python.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::Project;
use crate::command::{on_path, run};
use crate::progress::say;
use crate::python::{self, Environment};

/// Finds `kcat`, or installs Debian's package, which only root can.
///
/// # Errors
/// Why there is none, for people: tests without it say that they were skipped.
pub fn kcat() -> Result<PathBuf, String> {
    if let Some(found) = on_path("kcat") {
        return Ok(found);
    }
    let command = "apt-get install --no-install-recommends kcat";
    if on_path("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        return Err(format!("there is no kcat; on Debian, 'sudo {command}'"));
    }
    say(&format!("{command} …"));
    let apt_get = || {
        let mut apt_get = Command::new("apt-get");
        apt_get.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
        apt_get
    };
    let install = ["install", "-y", "--no-install-recommends", "kcat"];
    // Its lists may be old or missing. The installation shows whether they are good enough.
    let updated = run(apt_get().arg("update"));
    let installed = run(apt_get().args(install)).and(updated);
    let missing = || match installed {
        Ok(()) => "Debian's package kcat has no program kcat".to_owned(),
        Err(error) => format!("kcat could not be installed: {error:#}"),
    };
    on_path("kcat").ok_or_else(missing)
}

/// Returns a Python with `confluent-kafka`, which is installed if that was not done before.
///
/// # Errors
/// When there is no Python 3, or the package can't be installed.
pub fn python(project: &Project) -> Result<PathBuf> {
    let environment = Environment {
        name: "Confluent's Python client of Kafka",
        folder: "kafka-python",
        requirements: &["confluent-kafka==2.16.1"],
    };
    python::environment(project, environment)
}
