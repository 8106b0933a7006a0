//! Small files that people name.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Returns the text of a file of at most `bytes_max` bytes.
///
/// # Errors
/// The name of the file and what is wrong with it.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let read = file
        .take(bytes_max.saturating_add(1))
        .read_to_string(&mut text);
    read.map_err(unreadable)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= bytes_max) {
        Ok(text)
    } else {
        Err(format!("{shown} is larger than {bytes_max} bytes"))
    }
}

/// Returns a path in which a first `~` is the user's home, as Oracle's tools take it.
#[must_use]
pub fn expand_home(path: &str) -> PathBuf {
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match path.strip_prefix("~/").map(|rest| (rest, home())) {
        Some((rest, Some(home))) => home.join(rest),
        Some((_, None)) | None => PathBuf::from(path),
    }
}
