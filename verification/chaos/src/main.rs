//! `cargo xtask chaos`: real processes under load while parts die, stand still and are cut off.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos::report;
use chaos::run::{Settings, run};
use clap::Parser;
use provision::cancel;

/// Kill, stop and cut off real parts under load, and see whether the guarantees hold
///
/// Two gateways with the shipped filter, a stream server and targets. A seed decides what clients
/// ask for, what targets answer and which faults come when. What comes of that depends on the
/// machine, so the same seed is the same plan, and no replay.
#[derive(Parser)]
#[command(name = "cargo xtask chaos", about, version)]
struct Arguments {
    /// The plan; default: a fresh one, which is printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How long there are load and faults
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,

    /// The most requests; with all of them sent, faults end too
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    calls: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let settings = Settings {
        seed,
        duration: Duration::from_secs(arguments.seconds),
        calls: arguments.calls,
    };
    let result = cancel::install().and_then(|()| run(settings));
    cancel::exit_code(result.map(|outcome| {
        report::outcome(&outcome);
        match outcome.is_good() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }))
}

/// Returns a seed from the clock, small enough to be typed.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() % 1_000_000)
}
