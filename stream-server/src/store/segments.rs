//! All segments of the log: the sealed ones, of which a few are open, and the active one.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::{fs, io};

use super::directory::Directory;
use super::frame::Place;
use super::index::{Contents, Span};
use super::read_buffers::ReadBuffers;
use super::scan::{Known, scan};
use super::segment::{Patience, Segment, index_file, log_file};
use crate::limits::OPEN_SEGMENTS_MAX;
use crate::private;

/// What is known of a sealed segment without opening it.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) bytes: u64,
    pub(super) spans: BTreeMap<Place, Span>,
}

/// A sealed segment that is open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) segment: Segment,
    pub(super) contents: Contents,
}

#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    sealed: RwLock<BTreeMap<u64, Sealed>>,
    active: RwLock<Option<Arc<Segment>>>,
    active_bytes: AtomicU64,
    /// The open segments. The latest used one is the last.
    opened: Mutex<VecDeque<Arc<Opened>>>,
    buffers: ReadBuffers,
}

impl Segments {
    pub(super) fn new(folder: PathBuf, sealed: BTreeMap<u64, Sealed>) -> Self {
        Self {
            folder,
            sealed: RwLock::new(sealed),
            active: RwLock::default(),
            active_bytes: AtomicU64::new(0),
            opened: Mutex::default(),
            buffers: ReadBuffers::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the buffers for reading.
    pub(super) fn buffers(&self) -> &ReadBuffers {
        &self.buffers
    }

    /// Returns the bytes of all files with messages.
    pub(super) fn bytes(&self) -> u64 {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let sealed: u64 = sealed.values().map(|sealed| sealed.bytes).sum();
        sealed.saturating_add(self.active_bytes.load(Ordering::Relaxed))
    }

    pub(super) fn note_active_bytes(&self, bytes: u64) {
        self.active_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns the segment that is being written, if any was begun.
    pub(super) fn active(&self) -> Option<Arc<Segment>> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.clone()
    }

    /// Makes this the segment that is being written.
    pub(super) fn activate(&self, segment: Option<Arc<Segment>>) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        *active = segment;
    }

    /// Adds a segment that is not written any more. Its index is only a shortcut: if it can't be
    /// written, the next reader makes it again.
    pub(super) fn add_sealed(&self, number: u64, contents: &Contents) {
        let _ = write_index(&self.folder, number, contents);
        let sealed = Sealed {
            bytes: u64::from(contents.end),
            spans: contents.spans(),
        };
        let mut all = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(number, sealed);
    }

    /// Opens a sealed segment, unless it is open.
    pub(super) fn open(&self, number: u64, patience: Patience) -> io::Result<Arc<Opened>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let place = opened.iter().position(|open| open.segment.number == number);
        if let Some(open) = place.and_then(|place| opened.remove(place)) {
            opened.push_back(Arc::clone(&open));
            return Ok(open);
        }
        drop(opened);
        if patience == Patience::None {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let segment = Segment::open_to_read(&self.folder, number)?;
        let contents = contents(&self.folder, number)?;
        let open = Arc::new(Opened { segment, contents });
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push_back(Arc::clone(&open));
        while opened.len() > OPEN_SEGMENTS_MAX {
            opened.pop_front();
        }
        Ok(open)
    }

    /// Returns the sealed segments without any message that can be read: all are gone by retention
    /// or with their stream.
    pub(super) fn dead(&self, directory: &Directory) -> Vec<u64> {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let is_dead = |sealed: &Sealed| {
            let mut spans = sealed.spans.iter();
            spans.all(|(place, span)| directory.is_gone(*place, span.next_offset))
        };
        let dead = sealed.iter().filter(|(_, sealed)| is_dead(sealed));
        dead.map(|(number, _)| *number).collect()
    }

    /// Deletes sealed segments. A read that is under way goes on.
    pub(super) fn delete(&self, numbers: &[u64]) -> io::Result<()> {
        for number in numbers {
            let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
            sealed.remove(number);
            drop(sealed);
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.retain(|open| open.segment.number != *number);
            drop(opened);
            delete_files(&self.folder, *number)?;
        }
        Ok(())
    }
}

/// Deletes the files of a segment, as far as they are there.
pub(super) fn delete_files(folder: &Path, number: u64) -> io::Result<()> {
    for file in [index_file(folder, number), log_file(folder, number)] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Returns the index of a sealed segment from its file; `None` if that is missing or damaged.
pub(super) fn read_index(folder: &Path, number: u64) -> Option<Contents> {
    let contents = Contents::decode(&fs::read(index_file(folder, number)).ok()?)?;
    let length = fs::metadata(log_file(folder, number)).ok()?.len();
    (u64::from(contents.end) <= length).then_some(contents)
}

pub(super) fn write_index(folder: &Path, number: u64, contents: &Contents) -> io::Result<()> {
    private::write(&index_file(folder, number), &contents.encode())
}

/// Returns the index of a sealed segment, made again if necessary.
fn contents(folder: &Path, number: u64) -> io::Result<Contents> {
    if let Some(contents) = read_index(folder, number) {
        return Ok(contents);
    }
    let file = log_file(folder, number);
    let known = Known {
        number,
        first_commit: None,
        durable_end: 0,
        is_sealed: true,
    };
    let damaged = |damage| io::Error::other(format!("{}: {damage}", file.display()));
    let contents = scan(&fs::read(&file)?.into(), known).map_err(damaged)?;
    let _ = write_index(folder, number, &contents);
    Ok(contents)
}
