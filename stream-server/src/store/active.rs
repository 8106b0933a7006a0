//! The file of the log that is being written.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::recover::Active;
use super::segment::Segment;

/// Zeros that are written behind a small commit at the end of the file. The following commits
/// overwrite them. A synchronisation takes half as long if the size of the file doesn't change.
const SLACK_BYTES: usize = 262_144;
/// Commits above this size gain nothing from it.
const SLACK_COMMIT_BYTES_MAX: usize = 131_072;
/// Bytes that a probe writes: as many as disks write at once.
const PROBE_BYTES: usize = 4_096;

/// The file that is being written.
pub(super) struct ActiveFile {
    pub(super) segment: Arc<Segment>,
    pub(super) first_commit: u64,
    /// Where the next commit begins. Everything before it is durable.
    pub(super) end: u64,
    /// The end of what is written. There are only zeros between both, unless a commit has failed.
    length: u64,
    /// Whether a commit has failed, and left something behind the end.
    has_remains: bool,
}

impl ActiveFile {
    pub(super) fn new(active: Active) -> Self {
        Self {
            segment: active.segment,
            first_commit: active.first_commit,
            end: active.end,
            length: active.end,
            has_remains: false,
        }
    }

    /// Appends a commit and waits for the disk. Returns its position. If it fails, the next commit
    /// takes its place.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let position = self.end;
        self.write(bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.end = position.saturating_add(length);
        Ok(position)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.has_remains {
            self.cut()?;
        }
        self.has_remains = true;
        let file = &self.segment.file;
        file.write_all_at(bytes, self.end)?;
        let end = self
            .end
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let mut length = self.length.max(end);
        if end > self.length && bytes.len() <= SLACK_COMMIT_BYTES_MAX {
            // If the disk has no room for them, it may still have some for messages.
            if file.write_all_at(&[0; SLACK_BYTES], end).is_ok() {
                length = end.saturating_add(u64::try_from(SLACK_BYTES).unwrap_or(0));
            }
        }
        file.sync_data()?;
        self.length = length;
        self.has_remains = false;
        Ok(())
    }

    /// Writes zeros where the next commit will be.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        self.write(&[0; PROBE_BYTES])
    }

    /// Removes what is behind the end.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        self.segment.file.set_len(self.end)?;
        self.length = self.end;
        self.has_remains = false;
        Ok(())
    }
}
