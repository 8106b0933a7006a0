//! Measures the disk itself: write and fdatasync, one after the other.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::talk::per_second;

/// Returns how often so many bytes are appended and synchronised in a second.
pub(super) fn rate(file: &Path, bytes: usize, duration: Duration) -> Result<f64> {
    let mut file = File::create(file)?;
    let (block, start, mut count) = (vec![b'x'; bytes], Instant::now(), 0);
    while start.elapsed() < duration {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    per_second(count, start.elapsed())
}
