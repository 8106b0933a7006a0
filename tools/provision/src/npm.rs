//! Pinned packages for Node, each set in a folder of its own below `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{on_path, run};
use crate::progress::timed;
use crate::{Project, node};

/// Packages that are installed together.
#[derive(Clone, Copy, Debug)]
pub struct Packages<'a> {
    /// Their name, for people.
    pub name: &'a str,
    /// The folder below `target/`.
    pub folder: &'a str,
    /// The folder below the root that has `package.json` and `package-lock.json`. The lock pins
    /// everything, with checksums.
    pub manifest: &'a str,
}

/// Installed packages, and the Node that runs them.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Node.
    pub node: PathBuf,
    /// The folder `node_modules`; scripts elsewhere find it by `NODE_PATH`.
    pub modules: PathBuf,
}

/// Finds the packages, or installs them if that was not done before, or with another lock.
///
/// # Errors
/// When there is no Node or npm, or the packages can't be installed.
pub fn install(project: &Project, packages: Packages<'_>) -> Result<Installed> {
    let node = node::provide(project)?;
    let manifest = project.root().join(packages.manifest);
    let folder = project.target().join(packages.folder);
    fs::create_dir_all(project.target())?;
    // Two processes may find it missing at the same time.
    let lock = File::create(project.target().join(format!("{}.lock", packages.folder)))?;
    lock.lock()?;
    let locked = manifest.join("package-lock.json");
    let wanted = fs::read(&locked).with_context(|| format!("no {}", locked.display()))?;
    let complete = folder.join(".complete");
    if !fs::read(&complete).is_ok_and(|installed| installed == wanted) {
        timed(&format!("installing {}", packages.name), || {
            clean_install(&node, &manifest, &folder)
                .with_context(|| format!("{} could not be installed", packages.name))
        })?;
        fs::write(complete, wanted)?;
    }
    Ok(Installed {
        node,
        modules: folder.join("node_modules"),
    })
}

fn clean_install(node: &Path, manifest: &Path, folder: &Path) -> Result<()> {
    let beside = node.with_file_name("npm");
    let Some(npm) = Some(beside).filter(|npm| npm.exists()).or(on_path("npm")) else {
        bail!(
            "there is no npm: run 'apt-get install nodejs npm' (Debian, Ubuntu) or \
             'brew install node' (macOS), or put npm on PATH"
        );
    };
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(manifest.join(file), folder.join(file))?;
    }
    let quiet = ["--no-audit", "--no-fund", "--no-update-notifier"];
    run(Command::new(npm)
        // No installed package runs programs of its own.
        .args(["ci", "--ignore-scripts", "--loglevel=error"])
        .args(quiet)
        .arg("--prefix")
        .arg(folder))
}
