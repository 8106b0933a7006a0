//! Only the owner may access what the server keeps, whatever the umask: folders are made with mode
//! 0700, files with 0600. More rights are taken away at the start.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// The rights of the group and all others.
const OTHERS: u32 = 0o077;
/// Those of them that allow changes.
const OTHERS_WRITE: u32 = 0o022;
/// In such a folder everybody may have files, as in `/tmp`, so it belongs to nobody.
const STICKY: u32 = 0o1000;

/// The server's own files in a data folder, besides those of the log.
const DATA_FILES: [&str; 5] = [
    "lock",
    "stream.db",
    "stream.db-wal",
    "stream.db-shm",
    "stream.db-journal",
];

/// Returns options for files that may be created.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Creates a folder, and missing ones above it.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Writes a whole file.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = options();
    let options = options.write(true).create(true).truncate(true);
    io::Write::write_all(&mut options.open(file)?, bytes)
}

/// Takes all others' rights to a data folder and the server's files in it. If that fails, the log
/// says so.
pub(crate) fn mend_data(folder: &Path, log: &Path) {
    let mut mended = mend_folder(folder, OTHERS);
    mended = mended.saturating_add(mend(log, OTHERS));
    for name in DATA_FILES {
        mended = mended.saturating_add(mend(&folder.join(name), OTHERS));
    }
    for file in fs::read_dir(log).into_iter().flatten().flatten() {
        mended = mended.saturating_add(mend(&file.path(), OTHERS));
    }
    if mended > 0 {
        tracing::warn!(
            "other users of this machine could get at the data folder {}: {mended} folders and \
             files are its owner's alone now",
            folder.display()
        );
    }
}

/// Keeps others from adding keys to a folder of public keys, or from changing them. They may read
/// it: the folder may have other purposes, and public keys are not secret.
pub(crate) fn mend_keys(folder: &Path) {
    let mut mended = mend_folder(folder, OTHERS_WRITE);
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        mended = mended.saturating_add(mend(&file.path(), OTHERS_WRITE));
    }
    if mended > 0 {
        tracing::warn!(
            "other users of this machine could write to the key folder {}, and so let themselves \
             in: {mended} folders and files can be written by their owner alone now",
            folder.display()
        );
    }
}

/// Takes these rights to a folder or file away. Returns how many were changed. Links are left
/// alone.
fn mend(path: &Path, rights: u32) -> usize {
    match try_mend(path, rights) {
        Ok(is_changed) => usize::from(is_changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(problem) => {
            tracing::warn!(
                "other users of this machine may get at {}: {problem}. Give it to this server's \
                 user alone",
                path.display()
            );
            0
        }
    }
}

/// Returns the same for a folder that the operator has named, perhaps by a link.
fn mend_folder(folder: &Path, rights: u32) -> usize {
    let real = fs::canonicalize(folder);
    mend(real.as_deref().unwrap_or(folder), rights)
}

fn try_mend(path: &Path, rights: u32) -> io::Result<bool> {
    let is_open = |found: &Metadata| {
        (found.is_file() || found.is_dir()) && found.permissions().mode() & rights != 0
    };
    if !is_open(&fs::symlink_metadata(path)?) {
        return Ok(false);
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let opened: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let found = opened.metadata()?;
    // If nobody can write, as in a mounted secret, nobody has to be kept from writing.
    let is_fixed = fstatvfs(&opened)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY);
    if !is_open(&found) || is_fixed {
        return Ok(false);
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    let mode = found.permissions().mode();
    if mode & STICKY != 0 {
        return Err(io::Error::other("it is a folder for everybody"));
    }
    opened.set_permissions(Permissions::from_mode(mode & !rights))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn others_lose_their_rights_and_the_owner_keeps_his() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stream.db");
        fs::write(&file, "x").unwrap();
        for (before, after) in [(0o666, 0o600), (0o640, 0o600), (0o400, 0o400)] {
            set(&file, before);
            mend_data(folder.path(), &folder.path().join("log"));
            assert_eq!(mode(&file), after, "{before:o}");
        }
        set(&file, 0o664);
        mend_keys(folder.path());
        assert_eq!(mode(&file), 0o644);
    }

    #[test]
    fn what_is_for_everybody_or_elsewhere_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "x").unwrap();
        set(&elsewhere, 0o644);
        let data = folder.path().join("data");
        create_folder(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        std::os::unix::fs::symlink(&elsewhere, data.join("stream.db")).unwrap();
        fs::write(data.join("notes"), "x").unwrap();
        set(&data.join("notes"), 0o644);
        set(&data, 0o1777);
        mend_data(&data, &data.join("log"));
        assert_eq!(mode(&elsewhere), 0o644);
        assert_eq!(mode(&data.join("notes")), 0o644);
        assert_eq!(mode(&data), 0o1777);
    }
}
