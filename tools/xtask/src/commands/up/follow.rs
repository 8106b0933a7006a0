//! New lines of a log file that a child writes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// A log file, and how far it was read.
#[derive(Debug)]
pub(super) struct Follower {
    file: PathBuf,
    offset: u64,
    unfinished: Vec<u8>,
}

impl Follower {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            offset: 0,
            unfinished: Vec::new(),
        }
    }

    /// Returns the lines that were completed since the last time. An unreadable file has none.
    pub(super) fn new_lines(&mut self) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.file)?;
            file.seek(SeekFrom::Start(self.offset))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        self.offset += u64::try_from(bytes.len()).unwrap_or(0);
        self.unfinished.extend(bytes);
        let finished = self.unfinished.iter().rposition(|byte| *byte == b'\n');
        let Some(end) = finished else {
            return Vec::new();
        };
        let rest = self.unfinished.split_off(end + 1);
        let lines = std::mem::replace(&mut self.unfinished, rest);
        String::from_utf8_lossy(&lines)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn each_line_comes_once_and_whole() {
        let path = std::env::temp_dir().join(format!("follow-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut follower = Follower::new(&path);
        assert!(follower.new_lines().is_empty());
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(follower.new_lines(), ["one"]);
        file.write_all(b"o\nthree\n").unwrap();
        assert_eq!(follower.new_lines(), ["two", "three"]);
        assert!(follower.new_lines().is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
