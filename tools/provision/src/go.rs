//! Programs written in Go, built from modules whose versions are pinned in this repository.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::Project;
use crate::command::{on_path, run};
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
}

/// Pushes, pulls and serves images.
pub const CRANE: GoProgram<'_> = GoProgram {
    name: "crane",
    module: "tools/provision/crane",
    package: "github.com/google/go-containerregistry/cmd/crane",
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
    timed(&format!("building {}", program.name), || {
        let mut command = Command::new(&go);
        command
            .current_dir(project.root().join(program.module))
            .env("CGO_ENABLED", "0")
            // Without symbols: linking takes a third of the memory that way.
            .args(["build", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
        run(command.arg(&built).arg(program.package))
    })
    .with_context(|| format!("{} was not built", program.name))?;
    Ok(Some(built))
}
