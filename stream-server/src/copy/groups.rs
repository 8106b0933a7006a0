//! Moves groups: what is committed at the source is committed at the destination.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use sluice_cli::stream::{Reservation, StreamClient, StreamError};

use super::arguments::Pair;
use super::error::CopyError;
use super::job::Job;
use super::limits::{FOLLOW_PAUSE, VISIBLE_WITHIN};
use super::partition::Copied;

/// A group's place in one partition, at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupPlace {
    pub(super) partition: u32,
    /// The last committed offset.
    pub(super) source: Option<u64>,
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
            let reads = |one: &Reservation| one.reserved_instance.is_some();
            if found.is_some_and(|lines| lines.iter().any(reads)) {
                return Err(CopyError::Refused(format!(
                    "the group {group} already reads the destination's {}: gateways run there. End \
                     them first, or leave groups alone by --no-groups",
                    pair.to
                )));
            }
        }
    }
    Ok(())
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
    for (stream, pair) in pairs.iter().enumerate() {
        for group in groups {
            let found = from.group(&pair.from, group);
            let Some(found) = found.map_err(|error| job.from.error(&error))? else {
                continue;
            };
            let committed = by_partition(&found)?;
            let parts = copied.iter().filter(|one| one.task.stream == stream);
            let places: Vec<GroupPlace> = parts.map(|part| place(part, &committed)).collect();
            if !job.dry_run {
                put_there(job, &to, (pair, group), &places)?;
            }
            moved.push(MovedGroup {
                stream: pair.clone(),
                name: group.clone(),
                places,
                is_read: found.iter().any(|one| one.reserved_instance.is_some()),
            });
        }
    }
    Ok(moved)
}

fn by_partition(lines: &[Reservation]) -> Result<BTreeMap<u32, u64>, CopyError> {
    let mut committed = BTreeMap::new();
    for line in lines {
        let number = line.partition.parse().map_err(|_| {
            CopyError::Refused("GetGroup's answer has partitions without numbers".to_owned())
        })?;
        if let Some(offset) = line.committed_offset {
            committed.insert(number, offset);
        }
    }
    Ok(committed)
}

fn place(part: &Copied, committed: &BTreeMap<u32, u64>) -> GroupPlace {
    let partition = part.task.partition;
    let source = committed.get(&partition).copied();
    let copy = source.and_then(|offset| part.offsets.copy_of(offset));
    let ends = part.offsets.first().zip(part.offsets.last());
    let left = ends.map_or(0, |((_, first), (_, last))| match copy {
        Some(copy) => last.saturating_sub(copy),
        None => last.saturating_sub(first).saturating_add(1),
    });
    GroupPlace {
        partition,
        source,
        copy,
        left,
    }
}

/// Puts a group where it belongs, but never back to messages that are settled at the destination.
fn put_there(
    job: &Job,
    to: &StreamClient,
    (pair, group): (&Pair, &str),
    places: &[GroupPlace],
) -> Result<(), CopyError> {
    let failed = |error: StreamError| job.to.error(&error);
    let there = to.group(&pair.to, group).map_err(failed)?;
    let there = by_partition(&there.unwrap_or_default())?;
    let wanted: BTreeMap<u32, u64> = places
        .iter()
        .filter_map(|place| Some((place.partition, place.copy?)))
        .collect();
    for (partition, offset) in &there {
        if wanted.get(partition).is_none_or(|wanted| wanted < offset) {
            return Err(CopyError::Refused(format!(
                "the group {group} has committed offset {offset} of partition {partition} of the \
                 destination's {} already, which is more than at the source. It was not moved \
                 back: calls would be made again",
                pair.to
            )));
        }
    }
    if there == wanted && !wanted.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    loop {
        match to.place_group(&pair.to, group, &wanted) {
            // The server that serves the group may not have seen the last messages yet.
            Err(StreamError::Refused { status: 400, .. }) if begun.elapsed() < VISIBLE_WITHIN => {
                thread::sleep(FOLLOW_PAUSE);
            }
            done => return done.map_err(failed),
        }
    }
}
