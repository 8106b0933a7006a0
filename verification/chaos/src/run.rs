//! A run: load and faults, then a time without faults until everything is settled, then the
//! verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use provision::{Project, cancel};
use testkit::stream::Stream;

use crate::clients::Clients;
use crate::disk::Disk;
use crate::history::{Engine, Letter};
use crate::kafka::{Kafka, Provided};
use crate::outcome::Outcome;
use crate::plan::Round;
use crate::plan::faults::{BROKERS, Rounds};
use crate::record::Record;
use crate::report;
use crate::scene;
use crate::stage::{Stage, Streams};
use crate::verdict::{judge, pending};

/// How long everything may take to be settled once all parts work. Deferred calls are due within
/// seconds, and no back-off is longer.
const SETTLE_DEADLINE: Duration = Duration::from_secs(120);

/// For how long nothing may arrive before the history is complete.
const QUIET: Duration = Duration::from_secs(4);

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Longest uninterrupted sleep.
const SLICE: Duration = Duration::from_millis(50);

/// The streams that records wait on.
const STREAMS: [&str; 3] = ["calls", "calls-1s", "calls-5s"];

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What brokers and fronts need, where the streams are to be on Kafka.
    pub kafka: Option<Provided>,
    /// Whether brokers have the times of a default cluster.
    pub has_default_times: bool,
    /// How the names of the faults begin that are made; all, if it is empty.
    pub only: String,
    /// Decides load and faults.
    pub seed: u64,
    /// How long there are load and faults.
    pub duration: Duration,
    /// The most requests.
    pub calls: u64,
}

/// Runs it.
///
/// # Errors
/// When a part can't be started, or after Ctrl-C.
pub fn run(settings: &Settings) -> Result<Outcome> {
    let folder = folder(settings.seed)?;
    let engine = match &settings.kafka {
        None => Engine::Embedded,
        Some(_) => Engine::Kafka,
    };
    let rounds = Rounds::of(settings.seed, engine, &settings.only);
    ensure!(!rounds.is_empty(), "no fault is called {:?}", settings.only);
    let record = Arc::new(Record::on(engine));
    let streams = streams(&folder, settings)?;
    let mut stage = Stage::start(&folder, settings.seed, &record, streams)?;
    let (seed, calls) = (settings.seed, settings.calls);
    let clients = Clients::start(seed, stage.ports(), calls, record.clone());
    let made = trouble(&mut stage, &clients, (settings, rounds), &record);
    clients.stop();
    made?;
    clients.join();
    if let Some(kafka) = stage.kafka() {
        kafka.wait_until_ready()?;
    }
    let letters = settle(&stage, &record)?;
    let mut history = record.history();
    history.letters = letters;
    let verdict = judge(&history);
    report::write(&folder.join("history.txt"), &history)?;
    report::write_violations(&folder.join("violations.txt"), &history, &verdict)?;
    if engine == Engine::Kafka {
        report::write_records(&folder.join("records.txt"), &stage.stream(), &STREAMS)?;
    }
    let scene = match engine == Engine::Kafka && settings.only.is_empty() {
        true => Some(scene::few_replicas(&mut stage, &folder)),
        false => None,
    };
    drop(stage);
    if verdict.is_good() && engine == Engine::Kafka {
        // The brokers' logs stay.
        for broker in 0..BROKERS {
            let data = folder.join(format!("kafka/broker-{broker}/data"));
            let _gone = fs::remove_dir_all(data);
        }
    }
    Ok(Outcome {
        traps: traps(&folder)?,
        scene,
        history,
        verdict,
        folder,
    })
}

/// Returns what keeps the streams.
fn streams(folder: &Path, settings: &Settings) -> Result<Streams> {
    let Some(provided) = &settings.kafka else {
        return Streams::embedded();
    };
    let disk = Disk::mount(&folder.join("disk"))?;
    if disk.is_none() {
        report::no_disk();
    }
    let kafka = Kafka::start(folder, provided.clone(), disk, settings.has_default_times)?;
    Ok(Streams::Kafka(Box::new(kafka)))
}

/// Returns an empty folder for the files of this run.
fn folder(seed: u64) -> Result<PathBuf> {
    let folder = Project::here()
        .target()
        .join("chaos")
        .join(seed.to_string());
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Makes one round of faults after the other until the time is up.
fn trouble(
    stage: &mut Stage,
    clients: &Clients,
    (settings, rounds): (&Settings, Rounds),
    record: &Record,
) -> Result<()> {
    let start = Instant::now();
    let is_over = || start.elapsed() >= settings.duration || clients.are_done();
    for round in rounds {
        rest(Duration::from_millis(round.peace), &is_over)?;
        if is_over() {
            break;
        }
        report::round(record.now(), record.accepted(), record.taken(), &round);
        make(stage, &round)?;
    }
    Ok(())
}

fn make(stage: &mut Stage, round: &Round) -> Result<()> {
    let mut faults = Vec::new();
    for (part, how) in &round.faults {
        faults.push(stage.begin(*part, *how)?);
    }
    rest(Duration::from_millis(round.hold), &|| false)?;
    for fault in faults {
        stage.end(fault)?;
    }
    Ok(())
}

/// Waits until everything is settled and nothing arrives any more. Returns the dead letters.
fn settle(stage: &Stage, record: &Record) -> Result<Vec<Letter>> {
    let start = Instant::now();
    let mut taken = (record.taken(), Instant::now());
    loop {
        let letters = letters(&stage.stream());
        let mut history = record.history();
        history.letters.clone_from(&letters);
        let pending = pending(&history);
        let count = history.arrivals.len();
        if count != taken.0 {
            taken = (count, Instant::now());
        }
        let is_quiet = taken.1.elapsed() >= QUIET;
        let is_settled = is_quiet && pending == 0 && is_committed(stage);
        if is_settled || start.elapsed() >= SETTLE_DEADLINE {
            report::settled(start.elapsed(), pending, is_settled);
            return Ok(letters);
        }
        rest(POLL_INTERVAL, &|| false)?;
    }
}

/// Returns whether nothing waits on a stream.
fn is_committed(stage: &Stage) -> bool {
    let stream = stage.stream();
    let mut streams = STREAMS.iter();
    streams.all(|name| stream.uncommitted_on(name).is_empty())
}

fn letters(stream: &Stream) -> Vec<Letter> {
    let text = |letter: &serde_json::Value, member: &str| {
        let value = letter.get(member).and_then(serde_json::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let letters = stream.dead_letters();
    let letters = letters.iter().map(|letter| Letter {
        id: text(letter, "id"),
        reason: text(letter, "reason"),
    });
    letters.collect()
}

/// Sleeps, unless the run is over before or the process is asked to end.
fn rest(duration: Duration, is_over: &dyn Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < duration && !is_over() {
        cancel::check()?;
        thread::sleep(SLICE.min(duration.saturating_sub(start.elapsed())));
    }
    Ok(())
}

/// Returns what the Envoys have written about VMs that died.
fn traps(folder: &Path) -> Result<Vec<String>> {
    let mut traps = Vec::new();
    for gateway in 0..crate::plan::GATEWAYS {
        let log = folder.join(format!("gateway-{gateway}/envoy.log"));
        let log = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let lines = log.lines();
        let lines = lines
            .filter(|line| line.contains("panicked at") || line.contains("Function: proxy_on_"));
        traps.extend(lines.map(|line| format!("gateway {gateway}: {line}")));
    }
    Ok(traps)
}
