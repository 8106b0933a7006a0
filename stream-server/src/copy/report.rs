//! What a copy says at its end.

use std::io::Write;

use serde_json::{Value, json};
use sluice_cli::table::Table;

use super::copied::Copied;
use super::error::CopyError;
use super::groups::MovedGroup;

/// Digits of a digest that people get to see.
const DIGEST_DIGITS: usize = 16;

/// Writes the result for people.
pub(super) fn tell(
    copied: &[Copied],
    groups: &[MovedGroup],
    is_dry: bool,
    out: &mut dyn Write,
) -> Result<(), CopyError> {
    let verb = if is_dry { "TO COPY" } else { "COPIED" };
    let mut table = Table::new(&[
        "STREAM",
        "PARTITION",
        "SOURCE",
        "DESTINATION",
        verb,
        "THERE",
        "BYTES",
        "SHA-256",
    ]);
    for one in copied {
        let (source, copy) = ranges(one);
        let digest = one.sums.digest();
        table.add(&[
            short(&one.task.pair.to),
            &one.task.partition.to_string(),
            &source,
            &copy,
            &one.copied.to_string(),
            &one.sums.count.to_string(),
            &one.sums.bytes.to_string(),
            digest.get(..DIGEST_DIGITS).unwrap_or_default(),
        ]);
    }
    write!(out, "{table}")?;
    if !groups.is_empty() {
        let titles = [
            "GROUP",
            "STREAM",
            "PARTITION",
            "COMMITTED",
            "BECOMES",
            "LEFT",
        ];
        let mut table = Table::new(&titles);
        for group in groups {
            for place in &group.places {
                table.add(&[
                    &group.name,
                    short(&group.stream.to),
                    &place.partition.to_string(),
                    &number(place.source),
                    &number(place.copy),
                    &place.left.to_string(),
                ]);
            }
        }
        write!(out, "\n{table}")?;
    }
    for line in remarks(copied, groups) {
        writeln!(out, "{line}")?;
    }
    let end = match (is_dry, lost(copied, groups)) {
        (true, _) => "nothing was changed",
        (false, None) => "everything that the source had is at the destination and is verified",
        (false, Some(_)) => "everything that the source still had is at the destination, verified",
    };
    Ok(writeln!(out, "{end}")?)
}

/// Writes the result for programs.
pub(super) fn tell_json(
    copied: &[Copied],
    groups: &[MovedGroup],
    is_dry: bool,
    out: &mut dyn Write,
) -> Result<(), CopyError> {
    let partition = |one: &Copied| {
        let range = |ends: Option<(u64, u64)>| ends.map(|(first, last)| json!([first, last]));
        let ends = one.offsets.first().zip(one.offsets.last());
        json!({
            "from": one.task.pair.from, "to": one.task.pair.to, "partition": one.task.partition,
            "sourceOffsets": range(ends.map(|(first, last)| (first.0, last.0))),
            "copyOffsets": range(ends.map(|(first, last)| (first.1, last.1))),
            "copied": one.copied, "messages": one.sums.count, "bytes": one.sums.bytes,
            "sha256": one.sums.digest(), "notCompared": one.skipped.count,
            "leftOut": one.oddities.left_out, "foreignKeys": one.oddities.foreign_keys,
            "unreadable": one.missed.holes, "gaps": one.missed.gaps,
        })
    };
    let group = |group: &MovedGroup| {
        let place = |place: &super::groups::GroupPlace| {
            json!({ "partition": place.partition, "committed": place.source,
                "becomes": place.copy, "left": place.left })
        };
        let places: Vec<Value> = group.places.iter().map(place).collect();
        json!({ "from": group.stream.from, "to": group.stream.to, "name": group.name,
            "partitions": places, "isRead": group.is_read, "problems": group.problems })
    };
    let report = json!({
        "dryRun": is_dry,
        "partitions": copied.iter().map(partition).collect::<Vec<_>>(),
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
    });
    Ok(writeln!(out, "{report}")?)
}

/// Returns which messages the source has lost before they were copied, unless all groups had
/// committed them.
pub(super) fn lost(copied: &[Copied], groups: &[MovedGroup]) -> Option<String> {
    let is_lost = |one: &&Copied| {
        let of_stream = groups.iter().filter(|group| group.stream == one.task.pair);
        let mut places = of_stream
            .flat_map(|group| &group.places)
            .filter(|place| place.partition == one.task.partition)
            .peekable();
        let is_alone = places.peek().is_none();
        let gone_before = one.missed.gone_before;
        gone_before.is_some_and(|gone| is_alone || places.any(|place| place.is_before(gone)))
    };
    let lost: Vec<String> = copied
        .iter()
        .filter(is_lost)
        .map(|one| format!("{} of {}", one.task.partition, short(&one.task.pair.from)))
        .collect();
    (!lost.is_empty()).then(|| {
        format!(
            "the source's retention has removed messages before they were copied, in the \
             partitions {}: they are lost. All others are copied and verified",
            lost.join(", ")
        )
    })
}

/// Returns what somebody should know.
fn remarks(copied: &[Copied], groups: &[MovedGroup]) -> Vec<String> {
    let sum = |of: fn(&Copied) -> u64| copied.iter().map(of).fold(0, u64::saturating_add);
    let mut lines = Vec::new();
    let mut say = |count: u64, text: &str| {
        if count > 0 {
            lines.push(format!("{count} {text}"));
        }
    };
    say(
        sum(|one| one.skipped.count),
        "messages of an earlier copy are no longer at the source, and were not compared again",
    );
    say(
        sum(|one| one.missed.gaps),
        "times the source's retention removed messages before they were read: they are lost",
    );
    say(
        sum(|one| one.oddities.left_out),
        "messages are unfit for OCI Streaming and are left out (--leave-out-unfit)",
    );
    say(
        sum(|one| one.missed.holes),
        "offsets of the source have no message that can be read, and are left out \
         (--leave-out-unfit)",
    );
    say(
        sum(|one| one.oddities.foreign_keys),
        "messages have keys that lead to other partitions at the destination (--foreign-keys): \
         later calls with these keys may overtake them",
    );
    for group in groups {
        let stream = short(&group.stream.from);
        let problems = group.problems.iter();
        lines.extend(problems.map(|problem| {
            format!(
                "the group {} can't be moved: {stream}, {problem}",
                group.name
            )
        }));
    }
    let read = groups.iter().filter(|group| group.is_read);
    let read: Vec<String> = read
        .map(|group| format!("{} of {}", group.name, short(&group.stream.from)))
        .collect();
    if !read.is_empty() {
        lines.push(format!(
            "groups that have members at the source: {}. What they commit from now on is repeated \
             at the destination, unless you run the copy again. A gateway that has left is a \
             member for some seconds more",
            read.join(", ")
        ));
    }
    lines
}

fn ranges(one: &Copied) -> (String, String) {
    let ends = one.offsets.first().zip(one.offsets.last());
    ends.map_or_else(Default::default, |(first, last)| {
        let range = |first: u64, last: u64| format!("{first}..{last}");
        (range(first.0, last.0), range(first.1, last.1))
    })
}

fn number(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| offset.to_string())
}

/// Returns the name of a stream, if its id is made of it.
fn short(id: &str) -> &str {
    id.strip_prefix("ocid1.stream.oc1.local.").unwrap_or(id)
}
