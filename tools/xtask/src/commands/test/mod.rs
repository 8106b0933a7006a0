//! `cargo xtask test`: every test there is, from a fresh state, with a summary.

mod count;
mod runner;
mod steps;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use provision::{Project, cancel};

use runner::Outcome;
use steps::{STEPS, Step};
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
    let is_chosen = |step: &Step| {
        let needed = |name: &String| STEPS.iter().any(|s| s.name == *name && s.needs(step.name));
        arguments.only.is_empty() || arguments.only.iter().any(|n| n == step.name || needed(n))
    };
    let mut lines = Vec::new();
    for step in STEPS.iter().filter(|step| is_chosen(step)) {
        let line = run_step(project, step, &lines);
        cancel::check()?;
        lines.push(line);
    }
    let is_green = summary::print(&lines);
    Ok(if is_green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
