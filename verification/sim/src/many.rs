//! Many seeds on all cores, with progress.

use std::io::{IsTerminal, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sim::Report;
use sim::fault_counts::{FaultCounts, FaultKind};

/// The number of stories that are printed in full. Of further seeds only the number is printed.
const STORIES_MAX: u64 = 3;
/// The pause between two updates of the progress bar.
const PROGRESS: Duration = Duration::from_millis(200);
/// Characters of the bar.
const BAR: u64 = 30;

/// Returns a seed from the clock.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

#[derive(Default)]
struct Sum {
    runs: u64,
    accepted: usize,
    attempts: usize,
    inputs: u64,
    broken: u64,
    fault_counts: FaultCounts,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.accepted += report.accepted;
        self.attempts += report.attempts;
        self.inputs += report.inputs;
        self.fault_counts.merge(&report.fault_counts);
        if report.violation.is_none() {
            return;
        }
        self.broken += 1;
        let story = match self.broken {
            1..=STORIES_MAX => report.story(),
            _ => format!("seed {} too", report.seed),
        };
        say(&format!(
            "\r{story}\n  replay: cargo xtask sim --seed {}\n",
            report.seed
        ));
    }
}

/// Runs seeds `from..from + count`; fails if one of them breaks a guarantee.
pub(crate) fn run(from: u64, count: u64, stops: bool, shows_faults: bool) -> ExitCode {
    let start = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    // A panic is a violation with a story; the hook would print it twice.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, reports) = mpsc::channel::<Report>();
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn({
                let (next, is_over) = (&next, &is_over);
                move || work(from, count, next, is_over, &sender)
            });
        }
        drop(sender);
        let mut shown = start;
        for report in reports {
            sum.add(&report);
            if stops && sum.broken > 0 {
                is_over.store(true, Ordering::Relaxed);
            }
            if shown.elapsed() >= PROGRESS && std::io::stderr().is_terminal() {
                shown = Instant::now();
                show(&sum, count);
            }
        }
    });
    let seconds = start.elapsed().as_secs_f32().max(0.001);
    say(&format!(
        "\r{} runs from seed {from} in {seconds:.1} s: {} calls accepted, {} attempts, {} inputs, \
         {} broken\n",
        sum.runs, sum.accepted, sum.attempts, sum.inputs, sum.broken
    ));
    if shows_faults {
        for what in FaultKind::ALL {
            say(&format!("{:>9} {what:?}\n", sum.fault_counts.count(what)));
        }
    }
    match sum.broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn work(
    from: u64,
    count: u64,
    next: &AtomicU64,
    is_over: &AtomicBool,
    reports: &mpsc::Sender<Report>,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count || is_over.load(Ordering::Relaxed) {
            return;
        }
        if reports.send(sim::run(from.wrapping_add(number))).is_err() {
            return;
        }
    }
}

fn show(sum: &Sum, count: u64) {
    let done = sum.runs.saturating_mul(BAR) / count.max(1);
    let bar: String = (0..BAR)
        .map(|at| if at < done { '#' } else { '.' })
        .collect();
    let _ = write!(
        std::io::stderr(),
        "\r[{bar}] {} of {count}, {} broken",
        sum.runs,
        sum.broken
    );
}

fn say(text: &str) {
    // The reader may stop reading, which is not a failure of the runs.
    let _ = write!(std::io::stdout(), "{text}");
}
