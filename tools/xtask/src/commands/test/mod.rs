//! `cargo xtask test`: every test there is, from a fresh state, with a summary.

mod containers;
mod count;
mod end_to_end;
mod kafka;
mod module_image;
mod runner;
mod steps;
mod summary;

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use provision::{Project, cancel, envoy};

use runner::Outcome;
use steps::{ON_DEMAND, STEPS, Step};
use summary::Line;

/// Run every test there is
///
/// Formatting and lints, native tests, the filter's build, tests of its pure code under wasm in
/// Node, and end-to-end tests with a real Envoy. What they need is provided on the way. The last
/// line of the output is `N passed, N failed`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only this step, and what it needs; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Run on this version of Envoy, such as 1.39 or 1.39.3: the step `envoy`, unless --only names
    /// others
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,

    /// List the steps, with about how long each takes on two cores
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for step in STEPS {
            println!("{:<14} {:>4} s  {}", step.name, step.seconds, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in &arguments.only {
        if !STEPS.iter().any(|step| step.name == *name) {
            bail!("there is no step '{name}': `cargo xtask test --list` lists them");
        }
    }
    if let Some(version) = &arguments.envoy {
        return on_envoy(project, version, &arguments.only);
    }
    let is_chosen = |step: &Step| {
        let needed = |name: &String| STEPS.iter().any(|s| s.name == *name && s.needs(step.name));
        match arguments.only.is_empty() {
            true => !ON_DEMAND.contains(&step.name),
            false => arguments.only.iter().any(|n| n == step.name || needed(n)),
        }
    };
    let mut lines = Vec::new();
    for step in STEPS.iter().filter(|step| is_chosen(step)) {
        let line = run_step(project, step, &lines);
        cancel::check()?;
        lines.push(line);
    }
    if arguments.only.is_empty() {
        for name in ON_DEMAND {
            println!(
                "not run: {name}, which builds its tools for long: cargo xtask test --only {name}"
            );
        }
    }
    let is_green = summary::print(&lines);
    Ok(if is_green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Installs this version of Envoy, and becomes the same command with it as the one to use.
fn on_envoy(project: &Project, version: &str, only: &[String]) -> Result<ExitCode> {
    let envoy = envoy::install(project, version)?;
    let version = envoy::version(&envoy)?;
    if !envoy::runs_wasm(project, &envoy)? {
        println!("0 passed, 0 failed; skipped: Envoy {version} was built without V8, runs no wasm");
        return Ok(ExitCode::SUCCESS);
    }
    let only = if only.is_empty() {
        &["envoy".to_owned()]
    } else {
        only
    };
    let mut command = Command::new(env::current_exe()?);
    command.arg("test").env(envoy::ENVOY_BIN, envoy);
    command.args(only.iter().flat_map(|name| ["--only", name]));
    Err(command.exec()).context("cannot start again")
}

fn run_step(project: &Project, step: &Step, before: &[Line]) -> Line {
    println!("\n=== {}: {}\n", step.name, step.about);
    let start = Instant::now();
    let broken = before
        .iter()
        .find(|line| step.needs(line.name) && !line.outcome.is_green());
    let outcome = match broken {
        Some(broken) => Outcome::failure(&format!("not run, because {} failed", broken.name)),
        None => (step.run)(project).unwrap_or_else(|error| {
            eprintln!("\nerror: {error:#}");
            Outcome::failure("did not come to its end")
        }),
    };
    Line {
        name: step.name,
        outcome,
        seconds: start.elapsed().as_secs_f32(),
    }
}
