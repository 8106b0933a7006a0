//! Builds the filter file that is shipped, run and tested: one crate type, link-time optimisation.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Project;
use crate::command::run;
use crate::inspect::{self, Inspection};
use crate::progress::say;
use crate::toolchain::{WasmTarget, WasmToolchain};

/// Only the filter that was built to trap on request contains this.
const TRAP_MARKER: &[u8] = b"sluice-test-trap";

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The file that is shipped.
    Shipped,
    /// The same with a way to make it trap, only for tests.
    Trap,
}

impl Variant {
    /// Returns the path of the file.
    #[must_use]
    pub fn path(self, project: &Project) -> PathBuf {
        match self {
            Self::Shipped => project.filter(),
            Self::Trap => project.trap_filter(),
        }
    }
}

/// A built filter.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub inspection: Inspection,
}

/// Builds the filter, checks it and leaves it in `target/dist/`.
///
/// # Errors
/// When no Rust here can build it, when it does not compile, or when a check fails.
pub fn build(project: &Project, variant: Variant) -> Result<Built> {
    let toolchain = WasmToolchain::find(WasmTarget::Wasip1)?;
    say(&format!(
        "building the filter ({})",
        toolchain.description()
    ));
    let mut command = toolchain.cargo(project, "rustc");
    command.args([
        "--package",
        "sluice",
        "--lib",
        "--release",
        "--crate-type",
        "cdylib",
    ]);
    if variant == Variant::Trap {
        command.args(["--features", "trap-on-request"]);
    }
    run(&mut command).context("the filter was not built")?;

    let built = project
        .wasm_target()
        .join("wasm32-wasip1/release/sluice.wasm");
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let inspection = inspect::inspect(&bytes)?;
    let may_trap = inspect::contains(&bytes, TRAP_MARKER);
    if variant == Variant::Shipped && may_trap {
        bail!("the shipped filter has the tests' way to trap");
    }
    let path = variant.path(project);
    replace(&path, &bytes)?;
    Ok(Built { path, inspection })
}

/// Writes a file so that nobody ever reads half of it, because Envoy or a test may be about to load
/// it.
pub(crate) fn replace(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().context("a file has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&draft, bytes).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
