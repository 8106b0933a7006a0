//! `sluice lag`: what a group hasn't committed yet. OCI Streaming doesn't tell where a partition
//! ends, so what waits is read and counted, up to a bound.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::failure::Failure;
use crate::json::Document;
use crate::moment;
use crate::progress::Progress;
use crate::stream::{PartitionReader, Reservation, StreamClient, stream_id};
use crate::table::Table;
use crate::text;

/// What `sluice lag --help` says at its end.
pub const AFTER_HELP: &str = "\
A record waits as long as the group hasn't committed it: its call isn't made yet, or is under way. \
Name the lanes too: calls that are made later wait there. Nothing is changed, and nobody's cursor \
moves. What waits is read, up to --count-max records of each partition.

Examples:
  sluice lag
  sluice lag ocid1.stream.oc1.local.calls ocid1.stream.oc1.local.calls-1m --json

Exit codes: 0 done, 1 failed (the endpoint can't be reached), 2 wrong usage.";

/// `lag`.
#[derive(Debug, Args)]
pub struct Lag {
    /// Streams to look at [default: the one of --stream, or ocid1.stream.oc1.local.calls]
    #[arg(value_name = "OCID", value_parser = stream_id)]
    streams: Vec<String>,
    /// The group whose commits count: `group.name` of the drain's configuration
    #[arg(long, value_name = "NAME", default_value = "sluice")]
    group: String,
    /// Records that are counted in each partition
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    count_max: u64,
    /// For programs: one JSON object
    #[arg(long)]
    json: bool,
}

/// What waits in one partition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    stream_id: String,
    partition: u32,
    /// The last offset that the group has committed.
    committed: Option<u64>,
    waiting: u64,
    /// Whether there are more than were counted.
    more: bool,
    /// When the oldest of them was stored.
    oldest: Option<String>,
    /// Who reads the partition now.
    instance: Option<String>,
    /// Whether retention has removed records that weren't committed.
    removed: bool,
}

/// Tells what a group hasn't committed yet. `default` is the stream if none is named.
///
/// # Errors
/// [`Failure`] says what to do.
pub fn lag(
    client: &StreamClient,
    lag: Lag,
    default: String,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut streams = lag.streams;
    if streams.is_empty() {
        streams.push(default);
    }
    let (mut rows, mut unread) = (Vec::new(), Vec::new());
    let mut progress = Progress::start();
    for stream in &streams {
        let partitions = client.partitions(stream)?;
        let group = client.group(stream, &lag.group)?;
        if group.is_none() {
            unread.push(stream.clone());
        }
        let group = group.unwrap_or_default();
        for partition in 0..partitions {
            progress.show(|| format!("partition {partition} of {stream}"));
            let number = partition.to_string();
            let place = group.iter().find(|one| one.partition == number);
            rows.push(count(client, (stream, partition), place, lag.count_max)?);
        }
    }
    drop(progress);
    match lag.json {
        true => write_json(&lag.group, &rows, &unread, out)?,
        false => write_table(&lag.group, &rows, &unread, out)?,
    }
    Ok(out.flush()?)
}

/// Counts what waits in a partition.
fn count(
    client: &StreamClient,
    (stream, partition): (&str, u32),
    place: Option<&Reservation>,
    count_max: u64,
) -> Result<Row, Failure> {
    let committed = place.and_then(|place| place.committed_offset);
    // A group that was moved has committed nothing since, and goes on there.
    let next = place.and_then(|place| place.next_offset);
    let before = next.map_or(committed, |next| next.checked_sub(1));
    let mut reader = PartitionReader::after(client, stream, partition, before);
    let (mut waiting, mut oldest): (u64, Option<Timestamp>) = (0, None);
    while waiting <= count_max {
        let messages = reader.next_messages()?;
        let Some(first) = messages.first() else {
            break;
        };
        oldest = oldest.or(first.stored_at);
        waiting = waiting.saturating_add(u64::try_from(messages.len()).unwrap_or(u64::MAX));
    }
    Ok(Row {
        stream_id: stream.to_owned(),
        partition,
        committed,
        waiting: waiting.min(count_max),
        more: waiting > count_max,
        oldest: oldest.map(moment::exact),
        instance: place.and_then(|place| place.reserved_instance.clone()),
        removed: reader.missed().gaps > 0,
    })
}

fn write_table(
    group: &str,
    rows: &[Row],
    unread: &[String],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "STREAM",
        "PARTITION",
        "COMMITTED",
        "WAITING",
        "OLDEST",
        "READ BY",
    ]);
    for row in rows {
        let committed = row.committed.map(|offset| offset.to_string());
        let more = if row.more { "+" } else { "" };
        let oldest = row.oldest.as_deref().and_then(moment::parse);
        table.add(&[
            &row.stream_id,
            &row.partition.to_string(),
            &committed.unwrap_or_default(),
            &format!("{}{more}", row.waiting),
            &oldest.map(moment::rough).unwrap_or_default(),
            row.instance.as_deref().unwrap_or_default(),
        ]);
    }
    writeln!(out, "{table}")?;
    let group = text::line(group, usize::MAX);
    for stream in unread {
        writeln!(out, "{stream} has no group {group}: nobody has read it")?;
    }
    for row in rows.iter().filter(|row| row.removed) {
        let Row {
            stream_id,
            partition,
            ..
        } = row;
        writeln!(
            out,
            "partition {partition} of {stream_id}: retention has removed records that the group \
             had not committed"
        )?;
    }
    let waiting = rows
        .iter()
        .fold(0, |sum: u64, row| sum.saturating_add(row.waiting));
    let records = text::count(waiting, "record waits", "records wait");
    let sum = match (waiting, rows.iter().any(|row| row.more)) {
        (0, _) => "nothing waits".to_owned(),
        (_, true) => format!("at least {records}"),
        (_, false) => records,
    };
    Ok(writeln!(out, "{sum}")?)
}

fn write_json(
    group: &str,
    rows: &[Row],
    unread: &[String],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut document = Document::begin(out)?;
    document.member("group", &group)?;
    document.begin_list("partitions")?;
    for row in rows {
        document.item(row)?;
    }
    document.end_list()?;
    document.begin_list("withoutGroup")?;
    for stream in unread {
        document.item(stream)?;
    }
    document.end_list()?;
    document.end()
}
