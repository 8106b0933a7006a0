//! `cargo xtask overload`: too much, too slow, too large and gone again, against a real Envoy with
//! the shipped filter and a real stream server.
//!
//! | what | where |
//! |---|---|
//! | what is done to the gateway, one file each | [`scenarios`] |
//! | clients, orderly and other | [`client`] |
//! | the set under load | [`rig`] |
//! | what is looked at once a second | [`sampler`], [`sample`] |
//! | what has to hold | [`verdict`], and each scenario |
//! | pictures | [`chart`] |

mod chart;
mod client;
mod files;
mod rig;
mod sample;
mod sampler;
mod scenarios;
mod tally;
mod target;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use provision::cancel;
use testkit::table::Table;

use scenarios::{Report, Scale, Scenario};

/// Threads of clients and target. Envoy and the stream server need the machine too.
const THREADS: usize = 2;

/// Overload and hostility on the accept side, with memory curves
///
/// Each scenario has a set of its own: Envoy with one worker, a stream server, a target. What has
/// to hold is printed with what was counted; the exit code is 1 if something doesn't.
#[derive(Parser)]
#[command(name = "cargo xtask overload", version)]
struct Arguments {
    /// Run only this scenario; may be given several times
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,

    /// List the scenarios
    #[arg(long)]
    list: bool,

    /// How long the soak lasts
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,

    /// Fewer clients and shorter times, as in `cargo xtask test`; the soak lasts 10 seconds
    #[arg(long)]
    short: bool,

    /// Where the curves are drawn, one file for each scenario
    #[arg(long, value_name = "FOLDER", default_value = "target/overload")]
    pictures: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = cancel::install().and_then(|()| run(&arguments));
    result.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for scenario in Scenario::ALL {
            println!("{:<10} {}", scenario.name(), scenario.about());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = chosen(&arguments.scenario)?;
    files::limit();
    let scale = Scale {
        is_short: arguments.short,
        soak: if arguments.short {
            Duration::from_secs(10)
        } else {
            Duration::from_secs(60 * arguments.minutes)
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    let mut is_green = true;
    for scenario in chosen {
        println!("\n=== {}: {}\n", scenario.name(), scenario.about());
        let start = Instant::now();
        let report = runtime.block_on(scenario.run(scale))?;
        is_green &= print(&report);
        println!("  {:.0} s", start.elapsed().as_secs_f64());
        picture(&arguments.pictures, scenario, &report)?;
    }
    Ok(if is_green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    for name in names {
        if !Scenario::ALL.iter().any(|scenario| scenario.name() == name) {
            bail!("there is no scenario '{name}': `cargo xtask overload --list` lists them");
        }
    }
    let is_chosen =
        |scenario: &Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name());
    Ok(Scenario::ALL.into_iter().filter(is_chosen).collect())
}

/// Prints a report; returns whether everything holds.
fn print(report: &Report) -> bool {
    let mut table = Table::new();
    for (name, value) in &report.figures {
        table.row([*name, value]);
    }
    print!("{table}");
    let mut table = Table::new();
    for check in &report.checks {
        let verdict = if check.holds { "holds" } else { "BROKEN" };
        table.row([verdict, &check.what]);
    }
    print!("{table}");
    report.checks.iter().all(|check| check.holds)
}

fn picture(folder: &Path, scenario: Scenario, report: &Report) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(format!("{}.svg", scenario.name()));
    let title = format!("{}: {}", scenario.name(), scenario.about());
    chart::draw(&file, &title, &report.samples, &report.moments)
}
