//! The file from which scripts learn that, and where, everything runs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use local_gateway::{LocalSet, Part};
use serde_json::json;

/// Writes the file so that nobody ever reads half of it.
pub(super) fn write(file: &Path, set: &LocalSet) -> Result<()> {
    let ready = json!({
        "gateway": set.gateway_url(),
        "admin": set.admin_url(),
        "stream": set.stream_url(),
        "envoy": set.pid(Part::Envoy),
        "stream_server": set.pid(Part::StreamServer),
    });
    let mut name = file
        .file_name()
        .context("--ready-file needs a file name")?
        .to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = file.with_file_name(name);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(&draft, format!("{ready:#}\n"))
        .and_then(|()| fs::rename(&draft, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Removes it, if it is there.
pub(super) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
