//! Debian's Rust with the sources of its standard library, which cargo builds for the target.
//!
//! `RUSTC_BOOTSTRAP` lets the stable compiler take `-Zbuild-std`. Debian's sysroot has no start
//! files for WASI: they and the C library come from the package `wasi-libc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{TARGET_FEATURES, WasmTarget, WasmToolchain};
use crate::command::{capture, is_executable, on_path, run};
use crate::progress::say;

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const LIBRARY_SOURCES: &str = "lib/rustlib/src/rust/library/Cargo.lock";
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi/libc.a";
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// The oldest of Debian's Rusts that can read this workspace.
const OLDEST_MINOR: u32 = 89;
/// Older linkers can't read the output of today's LLVM.
const OLDEST_LLD: u32 = 19;

pub(super) fn provide(target: WasmTarget) -> Result<WasmToolchain> {
    install_missing()?;
    let linker = linker().context("no linker for wasm: run 'apt-get install lld-22'")?;
    let mut flags = String::from(TARGET_FEATURES);
    if target == WasmTarget::Wasip1 {
        // No `-l c` here: it breaks the crate `libc`, which asks for the library itself.
        flags.push_str(" -C link-self-contained=no -L native=/usr/lib/wasm32-wasi");
    }
    Ok(WasmToolchain {
        target,
        cargo: CARGO.into(),
        arguments: vec!["-Zbuild-std=std,panic_abort".into()],
        environment: vec![
            ("RUSTC".into(), RUSTC.into()),
            ("RUSTC_BOOTSTRAP".into(), "1".into()),
            (target.variable("LINKER"), linker.display().to_string()),
            (target.variable("RUSTFLAGS"), flags),
        ],
        description: format!(
            "Debian's Rust builds the standard library for {} itself",
            target.triple()
        ),
    })
}

fn is_complete() -> bool {
    let Ok(sysroot) = capture(Command::new(RUSTC).args(["--print", "sysroot"])) else {
        return false;
    };
    let sources = Path::new(sysroot.trim()).join(LIBRARY_SOURCES);
    is_executable(Path::new(CARGO))
        && sources.is_file()
        && Path::new(WASI_LIBC).is_file()
        && minor_version().is_some_and(|minor| minor >= OLDEST_MINOR)
}

fn minor_version() -> Option<u32> {
    let text = capture(Command::new(RUSTC).arg("--version")).ok()?;
    text.split_whitespace()
        .nth(1)?
        .split('.')
        .nth(1)?
        .parse()
        .ok()
}

fn install_missing() -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    if !is_complete() {
        packages.extend(PACKAGES);
    }
    if linker().is_none() {
        packages.push("lld-22");
    }
    if packages.is_empty() {
        return Ok(());
    }
    let command = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if on_path("apt-get").is_none() {
        bail!(
            "install Rust with rustup (https://rustup.rs) and run 'rustup target add \
               wasm32-wasip1 wasm32-unknown-unknown'"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "either run 'rustup target add wasm32-wasip1 wasm32-unknown-unknown' \
               or, on Debian, 'sudo {command}'"
        );
    }
    say(&format!("{command} …"));
    // Its lists may be old or missing. The installation shows whether they are good enough.
    let updated = run(apt_get().arg("update"));
    run(apt_get()
        .args(["install", "-y", "--no-install-recommends"])
        .args(&packages))
    .with_context(|| match updated {
        Ok(()) => String::from("Debian's Rust could not be installed"),
        Err(error) => format!("Debian's Rust could not be installed ({error:#})"),
    })?;
    if !is_complete() {
        bail!(
            "Debian's Rust is older than 1.{OLDEST_MINOR}: install Rust with rustup \
               (https://rustup.rs) and run 'rustup target add wasm32-wasip1'"
        );
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Returns the linker of the Rust in use, else the newest of Debian's.
fn linker() -> Option<PathBuf> {
    rust_lld().or_else(debian_lld)
}

fn rust_lld() -> Option<PathBuf> {
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"])).ok()?;
    let targets = fs::read_dir(Path::new(sysroot.trim()).join("lib/rustlib")).ok()?;
    targets
        .filter_map(Result::ok)
        .map(|target| target.path().join("bin/rust-lld"))
        .find(|file| is_executable(file))
}

fn debian_lld() -> Option<PathBuf> {
    let programs = fs::read_dir("/usr/bin").ok()?;
    programs
        .filter_map(Result::ok)
        .filter_map(|program| {
            let name = program.file_name();
            let version: u32 = name.to_str()?.strip_prefix("wasm-ld-")?.parse().ok()?;
            (version >= OLDEST_LLD).then(|| (version, program.path()))
        })
        .max()
        .map(|(_, path)| path)
}
