//! Moves groups: what is committed at the source is committed at the destination.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use sluice_cli::stream::{Reservation, StreamClient, StreamError};

use super::arguments::Pair;
use super::copied::Copied;
use super::error::CopyError;
use super::job::{Job, Task};
use super::limits::{FOLLOW_PAUSE, VISIBLE_WITHIN};
use super::place::{Goal, Standing};
use super::walk::{Source, Walk};

/// A group's place in one partition, at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupPlace {
    pub(super) partition: u32,
    /// The first offset that isn't committed; `None` if the source doesn't tell.
    next: Option<u64>,
    /// The last committed offset.
    pub(super) source: Option<u64>,
    goal: Goal,
    /// The last committed offset there; without one the group begins with the oldest message.
    pub(super) copy: Option<u64>,
    /// Messages that are copied and not committed.
    pub(super) left: u64,
}

/// A group of one stream.
#[derive(Clone, Debug)]
pub(super) struct MovedGroup {
    pub(super) stream: Pair,
    pub(super) name: String,
    pub(super) places: Vec<GroupPlace>,
    /// Whether an instance of it still reads at the source.
    pub(super) is_read: bool,
    /// Why it can't be moved; only at a dry run.
    pub(super) problems: Vec<String>,
}

/// Refuses groups that are used at the destination already.
pub(super) fn check_unused(
    job: &Job,
    to: &StreamClient,
    pairs: &[Pair],
    groups: &[String],
) -> Result<(), CopyError> {
    for pair in pairs {
        for group in groups {
            let found = to.group(&pair.to, group);
            let found = found.map_err(|error| job.to.error(&error))?;
            refuse_if_read(&found.unwrap_or_default(), pair, group)?;
        }
    }
    Ok(())
}

fn refuse_if_read(lines: &[Reservation], pair: &Pair, group: &str) -> Result<(), CopyError> {
    match lines.iter().any(|one| one.reserved_instance.is_some()) {
        true => Err(CopyError::Refused(format!(
            "the group {group} already reads the destination's {}: gateways run there. End them \
             first, or leave groups alone by --no-groups",
            pair.to
        ))),
        false => Ok(()),
    }
}

/// Refuses groups that can't go on at the destination, before anything is copied.
pub(super) fn check_movable(
    job: &Job,
    from: &StreamClient,
    (pairs, groups): (&[Pair], &[String]),
    tasks: &[Task],
) -> Result<(), CopyError> {
    for found in find(job, from, pairs, groups)? {
        for task in tasks.iter().filter(|task| task.stream == found.stream) {
            let standing = found.standing(task.partition);
            let problem = problem_before(job, from, task, standing)?;
            if let Some(problem) = problem {
                return Err(refused(found.pair, found.name, task.partition, &problem));
            }
        }
    }
    Ok(())
}

/// A group as it stands at the source.
struct FoundGroup<'a> {
    /// The number of its stream.
    stream: usize,
    pair: &'a Pair,
    name: &'a str,
    standings: BTreeMap<u32, Standing>,
    is_read: bool,
}

impl FoundGroup<'_> {
    fn standing(&self, partition: u32) -> Standing {
        self.standings.get(&partition).copied().unwrap_or_default()
    }
}

/// Asks the source for the groups of all streams that have them.
fn find<'a>(
    job: &Job,
    from: &StreamClient,
    pairs: &'a [Pair],
    groups: &'a [String],
) -> Result<Vec<FoundGroup<'a>>, CopyError> {
    let mut all = Vec::new();
    for (stream, pair) in pairs.iter().enumerate() {
        for name in groups {
            let found = from.group(&pair.from, name);
            let Some(lines) = found.map_err(|error| job.from.error(&error))? else {
                continue;
            };
            all.push(FoundGroup {
                stream,
                pair,
                name,
                standings: by_partition(&lines)?,
                is_read: lines.iter().any(|one| one.reserved_instance.is_some()),
            });
        }
    }
    Ok(all)
}

/// Reads what a group has not committed.
fn problem_before(
    job: &Job,
    from: &StreamClient,
    task: &Task,
    standing: Standing,
) -> Result<Option<String>, CopyError> {
    let walk = |last| Walk::new(&job.from, from, (&task.pair.from, task.partition), last);
    let oldest = walk(None).peek()?;
    if let Some(problem) = standing.problem(job, oldest.is_some()) {
        return Ok(Some(problem));
    }
    let mut source = Source::new(
        walk(standing.committed()),
        job,
        task.partition,
        task.partitions,
    );
    while source.next()?.is_some() {
        job.check()?;
    }
    let next = standing.next.unwrap_or(0);
    let keeps = |_| oldest == Some(0);
    Ok(source.bound.problem(job, next, keeps))
}

fn refused(pair: &Pair, group: &str, partition: u32, problem: &str) -> CopyError {
    CopyError::Refused(format!(
        "the group {group} can't be moved: partition {partition} of {}: {problem}",
        pair.from
    ))
}

/// Moves the groups of all streams that have them.
pub(super) fn move_groups(
    job: &Job,
    pairs: &[Pair],
    groups: &[String],
    copied: &[Copied],
) -> Result<Vec<MovedGroup>, CopyError> {
    let (from, to) = (job.from.client()?, job.to.client()?);
    let mut moved = Vec::new();
    for found in find(job, &from, pairs, groups)? {
        let (pair, name) = (found.pair, found.name);
        let mut one = MovedGroup {
            stream: pair.clone(),
            name: name.to_owned(),
            places: Vec::new(),
            is_read: found.is_read,
            problems: Vec::new(),
        };
        for part in copied
            .iter()
            .filter(|part| part.task.stream == found.stream)
        {
            let partition = part.task.partition;
            let standing = found.standing(partition);
            let problem = match job.dry_run {
                true => problem_before(job, &from, &part.task, standing)?,
                false => problem_after(job, part, standing),
            };
            match problem {
                Some(problem) if job.dry_run => {
                    let problem = format!("partition {partition}: {problem}");
                    one.problems.push(problem);
                }
                Some(problem) => return Err(refused(pair, name, partition, &problem)),
                None => {}
            }
            one.places.push(place(part, standing));
        }
        moved.push(one);
    }
    // None is moved before all can be.
    for group in moved.iter_mut().filter(|_| !job.dry_run) {
        put_there(job, &to, group)?;
    }
    Ok(moved)
}

fn by_partition(lines: &[Reservation]) -> Result<BTreeMap<u32, Standing>, CopyError> {
    let number = |line: &Reservation| {
        line.partition.parse().map_err(|_| {
            CopyError::Refused("GetGroup's answer has partitions without numbers".to_owned())
        })
    };
    let line = |line: &Reservation| Ok((number(line)?, Standing::of(line)));
    lines.iter().map(line).collect()
}

/// Returns why a group can't go on with what was copied.
fn problem_after(job: &Job, part: &Copied, standing: Standing) -> Option<String> {
    let is_filled = part.offsets.first().is_some();
    if let Some(problem) = standing.problem(job, is_filled) {
        return Some(problem);
    }
    let next = standing.next.unwrap_or(0);
    if next > part.reached {
        let last = next.saturating_sub(1);
        return Some(format!(
            "the group has committed offset {last}, and only messages before {} were copied: the \
             source goes on, or can't give all that it has. Run it again when nobody publishes and \
             commits there",
            part.reached
        ));
    }
    let keeps = |offset| part.offsets.copy_of(offset) == Some(offset);
    part.bound.problem(job, next, keeps)
}

fn place(part: &Copied, standing: Standing) -> GroupPlace {
    let goal = Goal::of(part, standing);
    let mut place = GroupPlace {
        partition: part.task.partition,
        next: standing.next,
        source: standing.committed(),
        goal,
        copy: None,
        left: 0,
    };
    place.copy = goal.offset();
    place.left = left(part, place.copy);
    place
}

impl GroupPlace {
    /// Returns whether messages before this offset are ones that the group hasn't committed.
    pub(super) fn is_before(&self, offset: u64) -> bool {
        self.next.is_none_or(|next| next < offset)
    }
}

fn left(part: &Copied, copy: Option<u64>) -> u64 {
    part.ends().map_or(0, |(first, last)| match copy {
        Some(copy) => last.saturating_sub(copy),
        None => last.saturating_sub(first).saturating_add(1),
    })
}

/// Puts a group where it belongs, but never back to messages that are settled at the destination.
fn put_there(job: &Job, to: &StreamClient, group: &mut MovedGroup) -> Result<(), CopyError> {
    let (pair, name) = (&group.stream, &group.name);
    let failed = |error: StreamError| job.to.error(&error);
    let there = to.group(&pair.to, name).map_err(failed)?;
    let there = there.unwrap_or_default();
    refuse_if_read(&there, pair, name)?;
    let mut committed = BTreeMap::new();
    for line in &there {
        let offset = line.committed_offset;
        let partition = line.partition.parse().unwrap_or(u32::MAX);
        committed.extend(offset.map(|offset| (partition, offset)));
    }
    for place in &mut group.places {
        let known = committed.get(&place.partition).copied();
        let copy = place.goal.with(known);
        let copy = copy.map_err(|problem| refused(pair, name, place.partition, problem))?;
        if let (Some(before), Some(now)) = (place.copy, copy) {
            place.left = place.left.saturating_sub(now.saturating_sub(before));
        }
        place.copy = copy;
    }
    let wanted: BTreeMap<u32, u64> = group
        .places
        .iter()
        .filter_map(|place| Some((place.partition, place.copy?)))
        .collect();
    for (partition, offset) in &committed {
        if wanted.get(partition).is_none_or(|wanted| wanted < offset) {
            return Err(CopyError::Refused(format!(
                "the group {name} has committed offset {offset} of partition {partition} of the \
                 destination's {} already, which is more than at the source. It was not moved \
                 back: calls would be made again",
                pair.to
            )));
        }
    }
    if committed == wanted && !wanted.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    loop {
        match to.place_group(&pair.to, name, &wanted) {
            // The server that serves the group may not have seen the last messages yet.
            Err(StreamError::Refused { status: 400, .. }) if begun.elapsed() < VISIBLE_WITHIN => {
                thread::sleep(FOLLOW_PAUSE);
            }
            done => return done.map_err(failed),
        }
    }
}
