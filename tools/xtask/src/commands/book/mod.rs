//! `cargo xtask book`: the documentation as a website.

mod links;
mod pages;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use provision::Project;
use provision::command::{self, is_executable, on_path};
use provision::progress::timed;

/// The version that is installed if `PATH` has no mdbook.
const MDBOOK_VERSION: &str = "0.5.4";

/// Build the documentation as a website, and check its links
///
/// The result is target/book/html/index.html. An `mdbook` on PATH is used if there is one; else the
/// command installs it below target/, which takes some minutes once.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Collect the pages and check that all of them are there; don't build the website
    #[arg(long)]
    pages_only: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let folder = project.root().join("target/book");
    let count = pages::collect(project.root(), &folder.join("src"))?;
    println!("{count} pages in {}", project.display(&folder.join("src")));
    if arguments.pages_only {
        println!("skipped, as asked: the website and the check of its links");
        return Ok(ExitCode::SUCCESS);
    }
    let mdbook = provide(project)?;
    let html = folder.join("html");
    command::run(Command::new(mdbook).arg("build").arg(project.root()))?;
    let broken = links::broken(&html)?;
    if !broken.is_empty() {
        bail!("links lead nowhere:\n  {}", broken.join("\n  "));
    }
    println!("{} is built", project.display(&html.join("index.html")));
    Ok(ExitCode::SUCCESS)
}

/// Finds mdbook, or installs it.
fn provide(project: &Project) -> Result<PathBuf> {
    if let Some(path) = on_path("mdbook") {
        return Ok(path);
    }
    let root = project
        .target()
        .join(format!("tools/mdbook-{MDBOOK_VERSION}"));
    let mdbook = root.join("bin/mdbook");
    if !is_executable(&mdbook) {
        timed("installing mdbook", || install(&root))
            .context("the website was not built: put an mdbook on PATH, or use --pages-only")?;
    }
    Ok(mdbook)
}

fn install(root: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["install", "mdbook", "--locked"])
        .args(["--version", MDBOOK_VERSION])
        // No server and no watching are needed: the command builds and ends.
        .args(["--no-default-features", "--features", "search"])
        // Unoptimised, because building it takes longer than its work.
        .args(["--debug", "--root"])
        .arg(root)
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env_remove("RUSTFLAGS");
    command::run(&mut command)
}
