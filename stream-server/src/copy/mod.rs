//! `stream-server copy`: moves streams with their groups from one Stream to another
//! ([decision](../../../docs/adr/0036-copy-by-comparing.md)).
//!
//! | what | where |
//! |---|---|
//! | the command line, the two ends | [`arguments`], [`side`] |
//! | what the threads do and share | [`work`], [`job`] |
//! | one partition: compare, copy, read back | [`partition`], [`walk`], [`shift`], [`sums`] |
//! | what has become of it | [`copied`] |
//! | offsets and groups | [`offsets`], [`groups`], [`place`], [`bound`] |
//! | what it says | [`report`], [`error`] |
//!
//! The client is that of `sluice`. Both ends are asked by OCI's protocol; the destination also gets
//! two requests that only our servers have, because messages have to stay in their partitions and
//! groups have to go on at exact offsets.

mod arguments;
mod bound;
mod copied;
mod error;
mod groups;
mod job;
mod limits;
mod offsets;
mod partition;
mod place;
mod report;
mod shift;
mod side;
mod sums;
mod walk;
mod work;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sluice_cli::progress::Progress;
use sluice_cli::stream::StreamClient;

pub(crate) use arguments::AFTER_HELP;
pub use arguments::CopyArguments;
use arguments::Pair;
pub use error::CopyError;
use job::{Job, Task};
use walk::Walk;

/// Copies what the command line says, and writes the result to `out`. `stop` may be set at any
/// time.
///
/// # Errors
/// [`CopyError`] says what to do.
pub fn copy(
    arguments: &CopyArguments,
    stop: Arc<AtomicBool>,
    out: &mut dyn Write,
) -> Result<(), CopyError> {
    let mut job = Job::new(arguments, stop);
    let (from, to) = (job.from.client()?, job.to.client()?);
    let tasks = tasks(&job, (&from, &to), &arguments.streams)?;
    job.resumes = has_begun(&job, &to, &tasks)?;
    groups::check_unused(&job, &to, &arguments.streams, arguments.groups())?;
    if !job.follow && !job.dry_run {
        let what = (arguments.streams.as_slice(), arguments.groups());
        groups::check_movable(&job, &from, what, &tasks)?;
    }
    let mut progress = Progress::start();
    let mut told = false;
    let mut watch = |caught_up: bool| {
        if caught_up && arguments.follow && !std::mem::replace(&mut told, true) {
            progress.wipe();
            // Whoever waits for it may be a program.
            eprintln!("stream-server: caught up; SIGINT or SIGTERM copies the rest and ends it");
        }
        let (compared, copied) = job.counts();
        progress.show(|| format!("{compared} messages compared, {copied} copied"));
    };
    let parallel = usize::from(arguments.parallel);
    let copied = work::copy_all(&job, &tasks, parallel, &mut watch)?;
    let moved = groups::move_groups(&job, &arguments.streams, arguments.groups(), &copied)?;
    progress.wipe();
    let lost = report::lost(&copied, &moved);
    match arguments.json {
        true => report::tell_json(&copied, &moved, job.dry_run, out),
        false => report::tell(&copied, &moved, job.dry_run, out),
    }?;
    lost.filter(|_| !job.dry_run)
        .map_or(Ok(()), |lost| Err(CopyError::Lost(lost)))
}

/// Returns whether the destination has messages.
fn has_begun(job: &Job, to: &StreamClient, tasks: &[Task]) -> Result<bool, CopyError> {
    for task in tasks {
        let place = (task.pair.to.as_str(), task.partition);
        if Walk::new(&job.to, to, place, None).peek()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses to copy a stream onto itself, whatever its names are.
fn refuse_same((from, to): (&StreamClient, &StreamClient), pair: &Pair) -> Result<(), CopyError> {
    // What fails here is told by what comes next.
    match to.is_stream_of(&pair.to, (from, &pair.from)) {
        Ok(true) => Err(CopyError::Usage(format!(
            "--from and --to name the same stream: {} is {} there",
            pair.from, pair.to
        ))),
        Ok(false) | Err(_) => Ok(()),
    }
}

/// Returns the partitions to copy.
fn tasks(
    job: &Job,
    (from, to): (&StreamClient, &StreamClient),
    pairs: &[Pair],
) -> Result<Vec<Task>, CopyError> {
    let mut tasks = Vec::new();
    for (stream, pair) in pairs.iter().enumerate() {
        if pairs.iter().filter(|other| other.to == pair.to).count() > 1 {
            let problem = format!("--stream names the destination {} twice", pair.to);
            return Err(CopyError::Usage(problem));
        }
        let facts = from.facts(&pair.from);
        let facts = facts.map_err(|error| job.from.error(&error))?;
        let there = to.facts(&pair.to).map_err(|error| job.to.error(&error))?;
        refuse_same((from, to), pair)?;
        let partitions = facts.partitions;
        if there.partitions != partitions {
            return Err(CopyError::Usage(format!(
                "{} has {partitions} partitions, and the destination's {} has {}. Messages have to \
                 stay in their partitions, so create it with {partitions}. To get another number \
                 of partitions, let the source's gateways make all calls instead of copying them",
                pair.from, pair.to, there.partitions
            )));
        }
        let hours = facts.retention_in_hours.zip(there.retention_in_hours);
        if let Some((source, copy)) = hours.filter(|(source, copy)| copy < source) {
            eprintln!(
                "stream-server: {} keeps messages for {source} hours, and the destination's {} for \
                 {copy}",
                pair.from, pair.to
            );
        }
        tasks.extend((0..partitions).map(|partition| Task {
            stream,
            pair: pair.clone(),
            partition,
            partitions,
        }));
    }
    Ok(tasks)
}
