//! The log as the last server left it: what is in its segments, and whether all of them exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use super::frame::Place;
use super::index::{Contents, PartitionIndex};
use super::open_error::OpenError;
use super::scan::{Damage, Known, scan};
use super::segment::{HEAD_BYTES, Segment, log_file, log_folder, number_of};
use super::segments::{Sealed, Segments, delete_files, read_index, write_index};

/// Logs up to this size are checked message by message at each start (about a second).
const CHECK_BYTES_MAX: u64 = 268_435_456;

/// What the database knows of the log.
#[derive(Debug, Default)]
pub(super) struct LogRecord {
    /// The numbers of all segments.
    pub(super) segments: BTreeSet<u64>,
    /// Number and end of the last segment when the server was stopped last.
    pub(super) stopped_at: Option<(u64, u64)>,
}

/// The segment to go on with.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Where the next commit begins.
    pub(super) end: u64,
    /// The commit that it begins with.
    pub(super) first_commit: u64,
}

/// What is in the log.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Segments,
    pub(super) partitions: BTreeMap<Place, PartitionIndex>,
    pub(super) active: Option<Active>,
    pub(super) next_commit: u64,
    pub(super) next_segment: u64,
    /// Segments that the database does not know yet.
    pub(super) unknown: Vec<u64>,
    /// Files that don't count any more.
    leftovers: Vec<u64>,
}

/// Reads the log, and changes nothing in it.
pub(super) fn recover(data: &Path, record: &LogRecord) -> Result<Recovered, OpenError> {
    let folder = log_folder(data);
    let system = |error| OpenError::system(data, "read the folder log/", &error);
    let files = log_files(&folder).map_err(system)?;
    let numbers = check_files(data, &folder, record, &files)?;
    let mut found = read_all(data, &folder, record, &numbers)?;
    let last = found.pop();
    let active = last.as_ref().map(|(number, contents)| {
        let segment = Segment::open_to_write(&folder, *number)?;
        Ok(Active {
            segment: Arc::new(segment),
            end: u64::from(contents.end),
            first_commit: contents.first_commit,
        })
    });
    let active = active.transpose().map_err(system)?;
    let mut partitions: BTreeMap<Place, PartitionIndex> = BTreeMap::new();
    let mut sealed = BTreeMap::new();
    for (number, contents) in &found {
        let (bytes, spans) = (u64::from(contents.end), contents.spans());
        for (place, span) in &spans {
            let index = partitions.entry(*place).or_default();
            index.add_sealed(*number, *span);
        }
        sealed.insert(*number, Sealed { bytes, spans });
    }
    let (mut next_commit, mut next_segment) = (1, 1);
    if let Some((number, contents)) = last {
        for (place, entries) in contents.places {
            partitions.entry(place).or_default().push(number, entries);
        }
        (next_commit, next_segment) = (contents.next_commit, number.saturating_add(1));
    }
    let segments = Segments::new(folder, sealed);
    if let Some(active) = &active {
        segments.note_active_bytes(active.end);
        segments.activate(Some(Arc::clone(&active.segment)));
    }
    Ok(Recovered {
        segments,
        partitions,
        active,
        next_commit,
        next_segment,
        unknown: numbers.difference(&record.segments).copied().collect(),
        leftovers: files.difference(&numbers).copied().collect(),
    })
}

impl Recovered {
    /// Removes what was never acknowledged, and what was to be deleted. Call it only once it is
    /// certain that everything acknowledged is there.
    pub(super) fn tidy(&self) -> io::Result<()> {
        for number in &self.leftovers {
            delete_files(self.segments.folder(), *number)?;
        }
        if let Some(active) = &self.active {
            // A torn commit must not be taken for a later one.
            active.segment.file.set_len(active.end)?;
            active.segment.file.sync_all()?;
        }
        Ok(())
    }
}

/// Returns the contents of each segment.
fn read_all(
    data: &Path,
    folder: &Path,
    record: &LogRecord,
    numbers: &BTreeSet<u64>,
) -> Result<Vec<(u64, Contents)>, OpenError> {
    let length = |number: &u64| fs::metadata(log_file(folder, *number)).map_or(0, |f| f.len());
    let is_small = numbers.iter().map(length).sum::<u64>() <= CHECK_BYTES_MAX;
    let mut found: Vec<(u64, Contents)> = Vec::new();
    for number in numbers {
        let is_before = |(before, _): &&(u64, _)| before.checked_add(1) == Some(*number);
        let before = found.last().filter(is_before);
        let is_last = numbers.last() == Some(number);
        let stopped_at = record.stopped_at.filter(|(stopped, _)| stopped == number);
        let known = Known {
            number: *number,
            first_commit: before.map(|(_, contents)| contents.next_commit),
            durable_end: stopped_at.map_or(0, |(_, end)| end),
            is_sealed: !is_last,
        };
        let contents = contents(data, folder, known, is_last || is_small)?;
        found.push((*number, contents));
    }
    Ok(found)
}

fn log_files(folder: &Path) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for file in fs::read_dir(folder)? {
        numbers.extend(file?.file_name().to_str().and_then(number_of));
    }
    Ok(numbers)
}

/// Returns the segments that count. A segment that the database doesn't know is new if it comes
/// after all others; if not, it was to be deleted.
fn check_files(
    data: &Path,
    folder: &Path,
    record: &LogRecord,
    files: &BTreeSet<u64>,
) -> Result<BTreeSet<u64>, OpenError> {
    let missing = |number| OpenError::log(data, &log_file(folder, number), "it is missing");
    if let Some(number) = record.segments.difference(files).next() {
        return Err(missing(*number));
    }
    let last_known = record.segments.last().copied();
    let mut numbers = record.segments.clone();
    let mut next = last_known.map(|last| last.saturating_add(1));
    for number in files.iter().filter(|number| Some(**number) > last_known) {
        // Nothing was ever written to it: its creation was interrupted, or failed.
        let length = fs::metadata(log_file(folder, *number)).map_or(0, |file| file.len());
        let is_empty = length <= u64::try_from(HEAD_BYTES).unwrap_or(0);
        if is_empty && Some(number) == files.last() {
            break;
        }
        if let Some(missed) = next.filter(|next| next != number) {
            return Err(missing(missed));
        }
        numbers.insert(*number);
        next = Some(number.saturating_add(1));
    }
    Ok(numbers)
}

/// Returns the contents of one segment. With `check` all of it is read; otherwise its index is
/// trusted if it is undamaged.
fn contents(data: &Path, folder: &Path, known: Known, check: bool) -> Result<Contents, OpenError> {
    let file = log_file(folder, known.number);
    let indexed = read_index(folder, known.number).filter(|_| !check);
    let fits = |contents: &Contents| {
        known
            .first_commit
            .is_none_or(|first| first == contents.first_commit)
    };
    if let Some(contents) = indexed.filter(fits) {
        return Ok(contents);
    }
    let bytes = fs::read(&file).map_err(|error| OpenError::system(data, "read the log", &error))?;
    let damaged = |damage: Damage| OpenError::log(data, &file, &damage);
    let contents = scan(&bytes.into(), known).map_err(damaged)?;
    if known.is_sealed && read_index(folder, known.number).as_ref() != Some(&contents) {
        // It is only a shortcut. If it can't be written, it is made again each time.
        let _ = write_index(folder, known.number, &contents);
    }
    Ok(contents)
}
