//! Reads messages from the log.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::directory::Partition;
use super::frame::{Frame, Record};
use super::index::{Entry, Found, FoundTime, frame_at, frames_from};
use super::read_buffers::ReadBuffers;
use super::segment::{Patience, Segment};
use super::segments::{Opened, Segments};
use crate::group::ReadRange;
use crate::limits::READ_BYTES_GOAL;
use crate::storage::{Message, ReadBounds};
use crate::time::TimeMs;

/// Frames that are looked up at a time: with one message in each, a few reads' worth.
const FRAMES_MAX: usize = 1_024;

/// A segment that is open, for one read.
enum Source {
    Sealed(Arc<Opened>),
    Active(Arc<Segment>),
}

impl Source {
    fn segment(&self) -> &Segment {
        match self {
            Self::Sealed(opened) => &opened.segment,
            Self::Active(segment) => segment,
        }
    }
}

/// Reads the ranges one after the other, each in order of offsets, until the bounds are reached.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] without patience; and errors of the disk.
pub(super) fn read(
    segments: &Segments,
    ranges: &[(Arc<Partition>, ReadRange)],
    bounds: ReadBounds,
    patience: Patience,
) -> io::Result<Vec<Message>> {
    let mut reading = Reading {
        segments,
        patience,
        messages: Vec::new(),
        count_left: bounds.count_max,
        bytes_left: bounds.bytes_max,
    };
    for (partition, range) in ranges {
        if !reading.read_range(partition, *range)? {
            break;
        }
    }
    Ok(reading.messages)
}

struct Reading<'a> {
    segments: &'a Segments,
    patience: Patience,
    messages: Vec<Message>,
    count_left: usize,
    bytes_left: usize,
}

impl Reading<'_> {
    /// Returns whether there is room for more.
    fn read_range(&mut self, partition: &Partition, range: ReadRange) -> io::Result<bool> {
        let extent = partition.extent();
        let (mut from, until) = (range.from.max(extent.oldest), range.until.min(extent.next));
        while from < until && self.count_left > 0 {
            let Some((source, entries)) = self.find(partition, from)? else {
                break;
            };
            let before = from;
            let mut rest = entries.as_slice();
            while !rest.is_empty() && from < until && self.count_left > 0 {
                let run;
                (run, rest) = rest
                    .split_at_checked(self.run(rest, from))
                    .unwrap_or((rest, &[]));
                let frames = load(
                    self.segments.buffers(),
                    source.segment(),
                    run,
                    self.patience,
                )?;
                let (first, wanted) = (self.messages.len(), from..until);
                let records = frames.iter().flat_map(Frame::records);
                for record in records.filter(|record| wanted.contains(&record.stamp.offset)) {
                    let next = record.stamp.offset.saturating_add(1);
                    if !self.take(record, partition.place.1) {
                        self.let_go(first, run);
                        return Ok(false);
                    }
                    from = next;
                }
                self.let_go(first, run);
            }
            if from == before {
                break;
            }
        }
        Ok(self.count_left > 0)
    }

    fn find(&self, partition: &Partition, from: u64) -> io::Result<Option<(Source, Vec<Entry>)>> {
        // There is at least one message in each frame.
        let wanted = (from, self.count_left.min(FRAMES_MAX));
        find(self.segments, partition, wanted, self.patience)
    }

    /// Adds a message, if the bounds allow it.
    fn take(&mut self, record: Record, partition: u32) -> bool {
        let bytes = record.value.len() + record.key.as_ref().map_or(0, Bytes::len);
        let Some(count_left) = self.count_left.checked_sub(1) else {
            return false;
        };
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None if self.messages.is_empty() => self.bytes_left = 0,
            None => return false,
        }
        self.count_left = count_left;
        let Record { stamp, key, value } = record;
        self.messages.push(Message {
            partition,
            stamp,
            key,
            value,
        });
        true
    }

    /// Returns how many of these frames are read at once: as many as follow each other, may be
    /// needed, and fit into the processor's cache; at least one.
    fn run(&self, entries: &[Entry], from: u64) -> usize {
        let (mut bytes, mut count, mut end) = (0_usize, 0_u64, None);
        let mut is_wanted = |entry: &Entry| {
            let goes_on = end.is_none_or(|end| {
                end == entry.position
                    && bytes < self.bytes_left.min(READ_BYTES_GOAL)
                    && count < u64::try_from(self.count_left).unwrap_or(u64::MAX)
            });
            end = Some(entry.end());
            bytes = bytes.saturating_add(usize::try_from(entry.bytes).unwrap_or(usize::MAX));
            count = count.saturating_add(
                entry
                    .next_offset()
                    .saturating_sub(entry.first_offset.max(from)),
            );
            goes_on
        };
        entries.iter().take_while(|entry| is_wanted(entry)).count()
    }

    /// Copies what was taken of a run if it is less than half of the run, so that the rest need not
    /// stay in memory.
    fn let_go(&mut self, first: usize, run: &[Entry]) {
        let taken = self.messages.get_mut(first..).unwrap_or_default();
        let bytes =
            |message: &Message| message.value.len() + message.key.as_ref().map_or(0, Bytes::len);
        let taken_bytes: usize = taken.iter().map(bytes).sum();
        let run_bytes: u64 = run.iter().map(|entry| u64::from(entry.bytes)).sum();
        if u64::try_from(taken_bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
            < run_bytes
        {
            for message in taken {
                message.value = Bytes::copy_from_slice(&message.value);
                message.key = message.key.as_deref().map(Bytes::copy_from_slice);
            }
        }
    }
}

/// Reads frames that follow each other, and checks them.
fn load(
    buffers: &ReadBuffers,
    segment: &Segment,
    run: &[Entry],
    patience: Patience,
) -> io::Result<Vec<Frame>> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Ok(Vec::new());
    };
    let bytes = last.end().saturating_sub(first.position);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut buffer = buffers.take(bytes);
    segment.read(first.position, buffer.bytes_mut(), patience)?;
    let bytes = buffer.into_bytes();
    let frame = |entry: &Entry| {
        let start = usize::try_from(entry.position.saturating_sub(first.position)).unwrap_or(0);
        let frame = Frame::decode(&bytes.slice(start.min(bytes.len())..));
        let is_right = |frame: &Frame| frame.header.first_offset == entry.first_offset;
        frame.filter(is_right).ok_or_else(|| {
            let (number, position) = (segment.number, entry.position);
            io::Error::other(format!(
                "the log file {number:012}.log is damaged at byte {position}: the checksum is \
                 wrong. Restore the data folder from a backup"
            ))
        })
    };
    run.iter().map(frame).collect()
}

/// How often a look-up is repeated if the active segment was sealed in between.
const TRIES_MAX: usize = 8;

/// Returns the active segment, if it is still the one with this number.
fn active(segments: &Segments, number: u64) -> Option<Source> {
    let active = segments.active();
    let same = active.filter(|active| active.number == number);
    same.map(Source::Active)
}

/// Returns the frames from an offset on, and where they are.
fn find(
    segments: &Segments,
    partition: &Partition,
    (from, frames_max): (u64, usize),
    patience: Patience,
) -> io::Result<Option<(Source, Vec<Entry>)>> {
    for _ in 0..TRIES_MAX {
        match partition.find(from, frames_max) {
            Found::Nowhere => return Ok(None),
            Found::Active(number, entries) => {
                if let Some(source) = active(segments, number) {
                    return Ok(Some((source, entries)));
                }
            }
            Found::Sealed(number) => {
                let opened = segments.open(number, patience)?;
                let place = opened.contents.places.get(&partition.place);
                let entries = place.map(Vec::as_slice).unwrap_or_default();
                let entries = frames_from(entries, from, frames_max).to_vec();
                return Ok(Some((Source::Sealed(opened), entries)));
            }
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Returns the first offset with at least this time.
pub(super) fn offset_at(
    segments: &Segments,
    partition: &Partition,
    time: TimeMs,
    patience: Patience,
) -> io::Result<Option<u64>> {
    let extent = partition.extent();
    for _ in 0..TRIES_MAX {
        let (source, entry) = match partition.find_time(time) {
            None => return Ok(None),
            Some(FoundTime::Active(number, entry)) => match active(segments, number) {
                Some(source) => (source, Some(entry)),
                None => continue,
            },
            Some(FoundTime::Sealed(number)) => {
                let opened = segments.open(number, patience)?;
                let entries = opened.contents.places.get(&partition.place);
                let entry = entries.and_then(|entries| frame_at(entries, time));
                (Source::Sealed(opened), entry)
            }
        };
        let frames = load(
            segments.buffers(),
            source.segment(),
            entry.as_slice(),
            patience,
        )?;
        let mut records = frames.iter().flat_map(Frame::records);
        let found = records.find(|record| record.stamp.time >= time);
        let offset = found.map(|record| record.stamp.offset.max(extent.oldest));
        return Ok(offset.filter(|offset| *offset < extent.next));
    }
    Err(io::ErrorKind::WouldBlock.into())
}
