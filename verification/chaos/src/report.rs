//! What is printed during a run and at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::stream::Stream;
use testkit::table::{Column, Table};

use crate::history::{Engine, History, Millis, Number};
use crate::outcome::Outcome;
use crate::plan::Round;
use crate::scene::Scene;
use crate::verdict::{Verdict, Violation};

/// So many violations of each kind are printed. The file has all of them.
const TOLD_MAX: usize = 3;

/// Prints that a round of faults begins.
pub fn round(now: Millis, accepted: usize, taken: usize, round: &Round) {
    let faults = round
        .faults
        .iter()
        .map(|(part, how)| format!("{part} {how}"));
    let faults = faults.collect::<Vec<_>>().join("; ");
    println!(
        "{:>7}  {accepted:>6} accepted {taken:>6} taken  {faults} for {} ms",
        seconds(now),
        round.hold
    );
}

/// Prints that the wait for the end is over.
pub fn settled(took: Duration, pending: usize, is_settled: bool) {
    let took = took.as_secs();
    if is_settled {
        println!("all settled and quiet after {took} s");
    } else {
        println!("NOT settled after {took} s: {pending} calls have not ended");
    }
}

/// Prints that no disk can be full here.
pub fn no_disk() {
    println!("this system lets nobody mount: instead of a full disk, the broker dies");
}

/// Prints the table at the end, and what led to each violation.
pub fn outcome(outcome: &Outcome) {
    print!("\n{}", table(&outcome.verdict, outcome.traps.len()));
    if outcome.history.engine == Engine::Kafka {
        print!("\n{}", outages(&outcome.verdict));
    }
    match &outcome.scene {
        None => {}
        Some(Ok(scene)) => println!("\n{}", played(*scene)),
        Some(Err(error)) => println!("\ntoo few replicas: WRONG: {error:#}"),
    }
    let mut counts = BTreeMap::new();
    for (kind, violation) in outcome.verdict.violations() {
        let count: &mut usize = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
        if *count <= TOLD_MAX {
            print!("{}", told(&outcome.history, kind, violation));
        }
    }
    for trap in outcome.traps.iter().take(TOLD_MAX) {
        println!("\ntrap: {trap}");
    }
    println!(
        "\nlogs, history.txt and violations.txt: {}",
        outcome.folder.display()
    );
}

/// Returns the table at the end.
#[must_use]
pub fn table(verdict: &Verdict, traps: usize) -> Table {
    let mut table = Table::new();
    let mut line = |name: &str, count: usize, remark: &str| {
        table.row([name.into(), Column::right(count), remark.into()]);
    };
    line("accepted", verdict.accepted, "");
    line("delivered", verdict.delivered, "");
    line("dead-lettered", verdict.dead, "");
    line("replies", verdict.replies, "");
    line("refused", verdict.refused, "nothing was stored");
    let made = format!("{} of them were made", verdict.unknown.1);
    line("without an answer", verdict.unknown.0, &made);
    line("lost", verdict.lost.len(), "must be 0");
    line("wrong", verdict.wrong.len(), "must be 0");
    let repeated = verdict.repeated.values().sum();
    line("made again, in doubt", repeated, "");
    for (cause, count) in &verdict.repeated {
        line("", *count, cause.name());
    }
    let unexplained = verdict.unexplained.len();
    line("made again, unexplained", unexplained, "must be 0");
    line("early", verdict.early.len(), "must be 0");
    line("order violations", verdict.disorder.len(), "must be 0");
    line("traps", traps, "must be 0");
    line("faults survived", verdict.faults.values().sum(), "");
    for ((kind, how), count) in &verdict.faults {
        let kinds = verdict.recoveries.iter();
        let took = kinds
            .filter(|recovery| recovery.kind == (*kind, *how))
            .map(|recovery| format!("; at work again after {} s at most", seconds(recovery.took)));
        let took: String = took.collect();
        line("", *count, &format!("{kind} {how}{took}"));
    }
    table
}

fn played(scene: Scene) -> String {
    format!(
        "too few replicas: 503 with Retry-After {} s after the broker's death; {} refusals, half \
         of them within {} s; accepted again {} s after its start",
        seconds(scene.refused_after),
        scene.refusals,
        seconds(scene.median),
        seconds(scene.accepted_after)
    )
}

/// Returns the table of how long nothing worked.
#[must_use]
pub fn outages(verdict: &Verdict) -> Table {
    let mut table = Table::new();
    let head = ["fault", "measured", "no accept, s", "no call, s"];
    table.row(head.map(Column::from));
    for ((kind, how), outage) in &verdict.outages {
        table.row([
            format!("{kind} {how}").into(),
            Column::right(outage.measured),
            Column::right(seconds(outage.accepts)),
            Column::right(seconds(outage.arrivals)),
        ]);
    }
    table
}

/// Returns everything that happened to a request.
#[must_use]
pub fn story(history: &History, number: Number) -> String {
    let requests = history.requests.iter().filter(|r| r.number == number);
    let requests = requests.map(|request| (request.at, format!("{request:?}")));
    let arrivals = history.arrivals.iter().filter(|a| a.number == number);
    let arrivals = arrivals.map(|arrival| (arrival.start, format!("{arrival:?}")));
    let span: Vec<_> = requests.chain(arrivals).collect();
    let from = span.iter().map(|(at, _)| *at).min().unwrap_or_default();
    let until = span.iter().map(|(at, _)| *at).max().unwrap_or_default();
    let faults = history.faults.iter();
    let faults = faults.filter(|fault| fault.from <= until && fault.until + 5_000 >= from);
    let faults = faults.map(|fault| (fault.from, format!("{fault:?}")));
    lines(span.iter().cloned().chain(faults).collect())
}

fn told(history: &History, kind: &str, violation: &Violation) -> String {
    let Violation { number, what } = violation;
    let story = story(history, *number);
    format!("\n{kind}: request {number}: {what}\n{story}")
}

/// Writes all violations, with what led to them.
///
/// # Errors
/// When the file can't be written.
pub fn write_violations(file: &Path, history: &History, verdict: &Verdict) -> Result<()> {
    let violations = verdict.violations();
    let text: String = violations
        .map(|(kind, violation)| told(history, kind, violation))
        .collect();
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes everything that happened, in order.
///
/// # Errors
/// When the file can't be written.
pub fn write(file: &Path, history: &History) -> Result<()> {
    let requests = history.requests.iter().map(|r| (r.at, format!("{r:?}")));
    let arrivals = history.arrivals.iter().map(|a| (a.start, format!("{a:?}")));
    let faults = history.faults.iter().map(|f| (f.from, format!("{f:?}")));
    let mut text = lines(requests.chain(arrivals).chain(faults).collect());
    for letter in &history.letters {
        let _written = writeln!(text, "{letter:?}");
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes what lay on these streams at the end.
///
/// # Errors
/// When the file can't be written.
pub fn write_records(file: &Path, stream: &Stream, names: &[&str]) -> Result<()> {
    let mut text = String::new();
    for name in names {
        for record in stream.records(name) {
            let value = String::from_utf8_lossy(&record.value);
            let (partition, offset) = (record.partition, record.offset);
            let _written = writeln!(text, "{name} {partition}/{offset} {value}");
        }
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn lines(mut events: Vec<(Millis, String)>) -> String {
    events.sort();
    let mut text = String::new();
    for (at, event) in events {
        let _written = writeln!(text, "{:>9}  {event}", seconds(at));
    }
    text
}

fn seconds(millis: Millis) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
