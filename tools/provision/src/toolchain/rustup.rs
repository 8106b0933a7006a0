//! The target's standard library as rustup (or whoever installed the Rust in use) provides it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{TARGET_FEATURES, WasmTarget, WasmToolchain};
use crate::command::{capture, on_path};
use crate::progress::say;

/// How long rustup may take. A download of this size needs seconds. If a machine reaches no server,
/// nobody should have to wait long for the other way.
const RUSTUP_DEADLINE: Duration = Duration::from_secs(120);

pub(super) fn provide(target: WasmTarget) -> Result<WasmToolchain> {
    if !is_installed(target)? {
        fetch(target)?;
        if !is_installed(target)? {
            bail!(
                "rustup added {} to another toolchain than the one in use",
                target.triple()
            );
        }
    }
    Ok(WasmToolchain {
        target,
        cargo: "cargo".into(),
        arguments: Vec::new(),
        environment: vec![(target.variable("RUSTFLAGS"), TARGET_FEATURES.into())],
        description: format!("the installed Rust has {}", target.triple()),
    })
}

/// Returns whether the Rust in use has the target's standard library.
fn is_installed(target: WasmTarget) -> Result<bool> {
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"]))
        .context("Rust is missing: install it from https://rustup.rs")?;
    let library = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(target.triple())
        .join("lib");
    Ok(library.is_dir())
}

fn fetch(target: WasmTarget) -> Result<()> {
    let Some(rustup) = on_path("rustup") else {
        bail!("there is no rustup that could add it");
    };
    say(&format!("rustup target add {} …", target.triple()));
    let mut child = Command::new(rustup)
        .args(["target", "add", target.triple()])
        .env("RUSTUP_MAX_RETRIES", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start rustup")?;
    let deadline = Instant::now() + RUSTUP_DEADLINE;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("`rustup target add {}` failed", target.triple());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("`rustup target add {}` took too long", target.triple());
        }
        thread::sleep(Duration::from_millis(50));
    }
}
