//! Programs written in Go, built from modules whose versions are pinned in this repository.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::Project;
use crate::command::{capture, on_path, run};
use crate::progress::timed;

/// Where the module of a program lies, and what of it is built.
#[derive(Clone, Copy, Debug)]
pub struct GoProgram<'a> {
    /// What people call it, and its file's name.
    pub name: &'a str,
    /// The folder of its `go.mod`, from the root on.
    pub module: &'a str,
    /// The package to build.
    pub package: &'a str,
    /// Variables that are set when it is linked, each as `PACKAGE.NAME=VALUE`.
    pub variables: &'a [&'a str],
}

/// Pushes, pulls and serves images.
pub const CRANE: GoProgram<'_> = GoProgram {
    name: "crane",
    module: "tools/provision/crane",
    package: "github.com/google/go-containerregistry/cmd/crane",
    variables: &[],
};

/// The program, after building what changed; `None` where there is no Go.
///
/// # Errors
/// When it doesn't compile.
pub fn provide(project: &Project, program: GoProgram<'_>) -> Result<Option<PathBuf>> {
    let Some(go) = on_path("go") else {
        return Ok(None);
    };
    let built = project.target().join("tools").join(program.name);
    // Without symbols: linking takes a third of the memory that way.
    let mut linked = "-ldflags=-s -w".to_owned();
    for variable in program.variables {
        linked.push_str(" -X ");
        linked.push_str(variable);
    }
    timed(&format!("building {}", program.name), || {
        let mut command = Command::new(&go);
        command
            .current_dir(project.root().join(program.module))
            .env("CGO_ENABLED", "0")
            .args(["build", "-buildvcs=false", &linked, "-o"]);
        run(command.arg(&built).arg(program.package))
    })
    .with_context(|| format!("{} was not built", program.name))?;
    Ok(Some(built))
}

/// The folder of a module's source that the module in this folder names; `None` where there is no
/// Go.
///
/// # Errors
/// When it can't be had.
pub fn source(project: &Project, module: &str, of: &str) -> Result<Option<PathBuf>> {
    let Some(go) = on_path("go") else {
        return Ok(None);
    };
    let mut download = Command::new(&go);
    let folder = project.root().join(module);
    capture(download.current_dir(&folder).args(["mod", "download", of]))?;
    let mut list = Command::new(&go);
    list.current_dir(&folder)
        .args(["list", "-m", "-f", "{{.Dir}}", of]);
    Ok(Some(PathBuf::from(capture(&mut list)?.trim())))
}
