//! Bugs on purpose: each patch of a simulation's folder `mutations/` makes one, and the simulation
//! has to find it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use provision::{Project, cancel};

use super::Simulation;

/// Makes the bugs with these names, or all.
pub(crate) fn run(
    project: &Project,
    simulation: &Simulation,
    wanted: &[OsString],
) -> Result<ExitCode> {
    let copy = project.target().join("mutated");
    copy_sources(project, &copy)?;
    let patches = patches(project, simulation, wanted)?;
    let mut missed = 0;
    println!("| mutation | found as | runs |\n|---|---|---|");
    for patch in patches {
        let name = patch
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        git_apply(&copy, &patch, &[])?;
        let start = Instant::now();
        let found = look_for_it(project, simulation, &copy);
        git_apply(&copy, &patch, &["--reverse"])?;
        cancel::check()?;
        match found? {
            Some((guarantee, runs)) => println!("| {name} | {guarantee} | {runs} |"),
            None => {
                missed += 1;
                println!("| {name} | **not found** | {} |", simulation.seeds_max);
            }
        }
        eprintln!("  ({name}: {:.0} s)", start.elapsed().as_secs_f32());
    }
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the patches with these names, or all, by name.
fn patches(
    project: &Project,
    simulation: &Simulation,
    wanted: &[OsString],
) -> Result<Vec<PathBuf>> {
    let folder = project.root().join(simulation.mutations());
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).context("the mutations are missing")? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            patches.push(path);
        }
    }
    patches.sort();
    let name = |path: &PathBuf| path.file_stem().map(OsStr::to_owned).unwrap_or_default();
    if let Some(unknown) = wanted
        .iter()
        .find(|w| !patches.iter().any(|p| name(p) == **w))
    {
        bail!(
            "{} has no {}.patch",
            simulation.mutations(),
            unknown.display()
        );
    }
    patches.retain(|path| wanted.is_empty() || wanted.contains(&name(path)));
    Ok(patches)
}

/// Copies everything that the simulation is built from, as git knows it, with changes that are not
/// committed. Unchanged files keep their times, so that cargo builds only what a patch changes.
fn copy_sources(project: &Project, copy: &Path) -> Result<()> {
    let listed = Command::new("git")
        .current_dir(project.root())
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("git did not start")?;
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let (from, to) = (project.root().join(name), copy.join(name));
        let Ok(content) = fs::read(&from) else {
            continue;
        };
        if fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::write(&to, content)?;
    }
    Ok(())
}

fn git_apply(copy: &Path, patch: &Path, more: &[&str]) -> Result<()> {
    let status = Command::new("git")
        // The copy is within the project, and git must not take it for a part of it.
        .env("GIT_CEILING_DIRECTORIES", copy)
        .env("GIT_DIR", copy.join("no-repository"))
        .current_dir(copy)
        .arg("apply")
        .args(more)
        .arg(patch)
        .status()
        .context("git did not start")?;
    if !status.success() {
        bail!(
            "{} does not apply: adapt it to the sources",
            patch.display()
        );
    }
    Ok(())
}

/// Returns the guarantee that breaks, and after how many runs; `None` if none does.
fn look_for_it(
    project: &Project,
    simulation: &Simulation,
    copy: &Path,
) -> Result<Option<(String, String)>> {
    let output = Command::new("cargo")
        .current_dir(copy)
        .args([
            "run",
            "--quiet",
            "--profile=tools",
            "--locked",
            "--package",
            simulation.package,
            "--",
        ])
        .args(["--seeds", simulation.seeds_max, "--stop"])
        .env("CARGO_TARGET_DIR", project.target().join("mutated-target"))
        .output()
        .context("cargo did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(runs) = text
        .lines()
        .rev()
        .find_map(|line| line.split_once(" runs from seed"))
    else {
        let problem = String::from_utf8_lossy(&output.stderr);
        bail!("it did not run:\n{problem}");
    };
    let broken = text
        .lines()
        .find_map(|line| line.split_once(" does not hold"));
    let guarantee = broken.and_then(|(before, _)| before.rsplit(": ").next());
    Ok(guarantee.map(|name| (name.to_owned(), runs.0.trim().to_owned())))
}
