//! `cargo xtask sim`: runs seeds, and shows what led to a violation.

mod many;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Run the deterministic simulation
///
/// Whole gateways, a Stream and targets with faults, on one clock. The same seed gives the same
/// run, byte for byte.
#[derive(Parser)]
#[command(name = "cargo xtask sim", about, version)]
struct Arguments {
    /// Replay this one seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,

    /// With --seed: show everything that happened, not only what concerns the broken guarantee
    #[arg(long, requires = "seed")]
    trace: bool,

    /// Run so many seeds on all cores
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    seeds: u64,

    /// The first of them; default: 0
    #[arg(long, value_name = "N", conflicts_with = "fresh")]
    from: Option<u64>,

    /// Start at a seed that nobody has run yet, by the clock, and say which
    #[arg(long)]
    fresh: bool,

    /// Stop at the first violation
    #[arg(long)]
    stop: bool,

    /// Tell how often each fault has happened
    #[arg(long)]
    faults: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        return replay(seed, arguments.trace);
    }
    let from = match arguments.fresh {
        true => many::fresh_seed(),
        false => arguments.from.unwrap_or_default(),
    };
    many::run(from, arguments.seeds, arguments.stop, arguments.faults)
}

fn replay(seed: u64, is_whole: bool) -> ExitCode {
    let report = sim::run(seed);
    let trace = if is_whole {
        report.trace.text()
    } else {
        String::new()
    };
    let hash = sim::trace::hash(&report.trace.text());
    let counts = format!(
        "{} calls accepted, {} attempts, {} inputs; trace {hash:016x}",
        report.accepted, report.attempts, report.inputs
    );
    // The reader may stop reading, which is not a failure of the run.
    let _ = writeln!(std::io::stdout(), "{trace}{}\n{counts}", report.story());
    match report.violation {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}
