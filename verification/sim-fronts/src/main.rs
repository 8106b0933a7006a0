//! `sim-fronts`: runs seeds, and shows what led to a violation.

use std::io::Write as _;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use sim_fronts::Report;
use sim_fronts::troubles::{Counts, Kind};

/// The number of stories that are printed in full.
const STORIES_MAX: u64 = 3;

/// Run the deterministic simulation of several fronts
///
/// The same seed gives the same run, byte for byte.
#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    /// Replay this one seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,

    /// With --seed: show everything that happened
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

    /// Tell how often each kind of trouble has happened
    #[arg(long)]
    faults: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => replay(seed, arguments.trace),
        None => run(&arguments),
    }
}

fn replay(seed: u64, is_whole: bool) -> ExitCode {
    let report = sim_fronts::run(seed);
    let text = report.trace.text();
    let hash = sim::trace::hash(&text);
    let shown = if is_whole { text } else { String::new() };
    say(&format!(
        "{shown}{}\n{} requests answered, {} done, {} reads, {} inputs; trace {hash:016x}\n",
        report.story(),
        report.answered,
        report.done,
        report.delivered,
        report.inputs
    ));
    exit_code(report.violation.is_none())
}

/// Returns a seed from the clock.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or_default()
}

fn run(arguments: &Arguments) -> ExitCode {
    let start = Instant::now();
    let from = match arguments.fresh {
        true => fresh_seed(),
        false => arguments.from.unwrap_or_default(),
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    // A panic is a violation with a story; the hook would print it twice.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, reports) = mpsc::channel::<Report>();
    let (mut runs, mut broken, mut done, mut inputs) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            let (next, is_over) = (&next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_wanted = number < arguments.seeds;
                    let seed = from.wrapping_add(number);
                    if !is_wanted || sender.send(sim_fronts::run(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for report in reports {
            runs += 1;
            done += report.done;
            inputs += report.inputs;
            counts.merge(&report.counts);
            if report.violation.is_some() {
                broken += 1;
                match broken {
                    1..=STORIES_MAX => say(&report.story()),
                    _ => say(&format!("seed {} too\n", report.seed)),
                }
                is_over.fetch_or(arguments.stop, Ordering::Relaxed);
            }
        }
    });
    let seconds = start.elapsed().as_secs_f32();
    say(&format!(
        "{runs} runs from seed {from} in {seconds:.1} s: {done} requests done, {inputs} inputs, \
         {broken} broken\n"
    ));
    for kind in Kind::ALL.into_iter().filter(|_| arguments.faults) {
        say(&format!("{:>9} {kind:?}\n", counts.count(kind)));
    }
    exit_code(broken == 0)
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn say(text: &str) {
    // The reader may stop reading, which is not a failure of the runs.
    let _ = write!(std::io::stdout(), "{text}");
}
