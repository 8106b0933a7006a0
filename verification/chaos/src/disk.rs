//! A disk that can be full: a file system in memory, which only this process and its children see.
//!
//! Whoever isn't the administrator may mount in a namespace of their own. So the command starts
//! itself again in one, if the system lets it.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Tells the command that it may mount.
const MAY_MOUNT: &str = "SLUICE_CHAOS_MAY_MOUNT";

/// MiB of the disk.
const SIZE_MIB: u32 = 256;

/// Bytes that are written at a time to fill it.
const BLOCK_BYTES: usize = 64 * 1024;

/// What fills it.
const BALLAST: &str = "ballast";

/// Starts this process again where it may mount. Returns if that was done before, or can't be.
pub fn enter_namespace() {
    if may_mount() {
        return;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "--"]);
        command
    };
    let mut trial = unshare();
    trial
        .args(["mount", "-t", "tmpfs", "tmpfs"])
        .arg(env::temp_dir());
    trial
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (true, Ok(own)) = (
        trial.status().is_ok_and(|status| status.success()),
        env::current_exe(),
    ) else {
        return;
    };
    // It comes back only if it fails.
    let _failed = unshare()
        .arg(own)
        .args(env::args_os().skip(1))
        .env(MAY_MOUNT, "1")
        .exec();
}

fn may_mount() -> bool {
    env::var(MAY_MOUNT).as_deref() == Ok("1")
}

/// The disk. It is gone with the namespace.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts it on a folder, which is made. `None` where nobody may mount.
    ///
    /// # Errors
    /// When that fails where it has to work.
    pub fn mount(folder: &Path) -> Result<Option<Self>> {
        if !may_mount() {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o"]);
        command
            .arg(format!("size={SIZE_MIB}m"))
            .arg("tmpfs")
            .arg(folder);
        let status = command.status().context("cannot run mount")?;
        ensure!(status.success(), "mount has failed: {status}");
        Ok(Some(Self {
            folder: folder.to_path_buf(),
        }))
    }

    /// Returns the folder for data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// When nothing can be written there at all.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.folder.join(BALLAST))?;
        let block = vec![0; BLOCK_BYTES];
        // The last one may fit in part.
        while ballast.write_all(&block).is_ok() {}
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.folder.join(BALLAST))?)
    }
}
