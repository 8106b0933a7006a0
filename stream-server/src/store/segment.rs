//! One file of the log: its name, its head, and reading from it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::frame::{u32_at, u64_at};
use crate::private;

/// Bytes before the first frame.
pub(super) const HEAD_BYTES: usize = 32;
/// Begins every file of the log, with its version.
const MAGIC: [u8; 8] = *b"SluLog\x00\x01";

/// Whether reading may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Only what is in memory is read; otherwise [`io::ErrorKind::WouldBlock`].
    None,
    /// As long as it takes.
    Full,
}

/// An open file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: File,
}

/// Returns the folder of the log in the data folder.
pub(super) fn log_folder(data: &Path) -> PathBuf {
    data.join("log")
}

/// Returns the file of the segment with this number.
pub(super) fn log_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.log"))
}

/// Returns the file that tells where the frames of a sealed segment are.
pub(super) fn index_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.index"))
}

/// Returns the number of the segment in a file of this name.
pub(super) fn number_of(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".log")?.parse().ok()
}

/// Returns the first bytes of a segment.
pub(super) fn head(number: u64, first_commit: u64) -> [u8; HEAD_BYTES] {
    let mut text = [
        &MAGIC[..],
        &number.to_le_bytes(),
        &first_commit.to_le_bytes(),
    ]
    .concat();
    text.extend_from_slice(&crc32fast::hash(&text).to_le_bytes());
    let mut head = [0; HEAD_BYTES];
    head.iter_mut().zip(text).for_each(|(to, from)| *to = from);
    head
}

/// Returns number and first commit of a segment that begins with these bytes; `None` if it is not a
/// segment.
pub(super) fn read_head(bytes: &[u8]) -> Option<(u64, u64)> {
    let checked = bytes.get(..24)?;
    let is_segment = checked.starts_with(&MAGIC) && crc32fast::hash(checked) == u32_at(bytes, 24)?;
    is_segment.then_some(())?;
    Some((u64_at(bytes, 8)?, u64_at(bytes, 16)?))
}

impl Segment {
    /// Makes a file without messages. The file and its name are on the disk afterwards.
    pub(super) fn create(folder: &Path, number: u64, first_commit: u64) -> io::Result<Self> {
        let mut options = private::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(log_file(folder, number))?;
        file.write_all_at(&head(number, first_commit), 0)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(Self { number, file })
    }

    /// Opens the last file of the log, to go on writing.
    pub(super) fn open_to_write(folder: &Path, number: u64) -> io::Result<Self> {
        let path = log_file(folder, number);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { number, file })
    }

    /// Opens a file that is not written any more.
    pub(super) fn open_to_read(folder: &Path, number: u64) -> io::Result<Self> {
        let file = File::open(log_file(folder, number))?;
        Ok(Self { number, file })
    }

    /// Fills the buffer with the bytes at a position.
    pub(super) fn read(
        &self,
        position: u32,
        buffer: &mut [u8],
        patience: Patience,
    ) -> io::Result<()> {
        let mut filled = 0_usize;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let at = u64::from(position).saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.read_some(room, at, patience) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_some(&self, room: &mut [u8], at: u64, patience: Patience) -> io::Result<usize> {
        match patience {
            Patience::Full => self.file.read_at(room, at),
            Patience::None => read_cached(&self.file, room, at),
        }
    }
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, room: &mut [u8], at: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let slices = &mut [io::IoSliceMut::new(room)];
    match preadv2(file, slices, at, ReadWriteFlags::NOWAIT) {
        // A file system without this flag always waits.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::WouldBlock.into()),
        other => Ok(other?),
    }
}

/// Other systems can't tell what is in memory.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}
