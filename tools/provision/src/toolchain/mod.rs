//! A Rust that can build for a wasm target.
//!
//! There are two ways, in this order: the target's standard library of the Rust in use (installed,
//! or fetched by rustup), else Debian's Rust, which builds the standard library from its own
//! sources. The environment variable `SLUICE_WASM_TOOLCHAIN` (`rustup` or `debian`) selects one of
//! them.

mod debian;
mod rustup;

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Project;
use crate::command::capture;

/// A wasm target of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmTarget {
    /// The filter's target: Envoy offers a little of WASI to it.
    Wasip1,
    /// The target for tests of pure code in Node.
    Unknown,
}

impl WasmTarget {
    /// Returns rustc's name for it.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::Wasip1 => "wasm32-wasip1",
            Self::Unknown => "wasm32-unknown-unknown",
        }
    }

    /// Returns the prefix of the environment variables that configure it for cargo.
    fn variable(self, name: &str) -> String {
        format!(
            "CARGO_TARGET_{}_{name}",
            self.triple().replace('-', "_").to_uppercase()
        )
    }
}

/// How to call cargo for a wasm target.
#[derive(Clone, Debug)]
pub struct WasmToolchain {
    target: WasmTarget,
    cargo: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    description: String,
}

impl WasmToolchain {
    /// Finds a way to build for the target, and installs what is missing if it may.
    ///
    /// # Errors
    /// When there is no way to build for it; the message says which command provides one.
    pub fn find(target: WasmTarget) -> Result<Self> {
        match env::var("SLUICE_WASM_TOOLCHAIN").ok().as_deref() {
            Some("rustup") => rustup::provide(target),
            Some("debian") => debian::provide(target),
            Some(other) if !other.is_empty() => {
                bail!("SLUICE_WASM_TOOLCHAIN is '{other}': it has to be 'rustup' or 'debian'")
            }
            _ => rustup::provide(target).or_else(|first| {
                debian::provide(target).with_context(|| {
                    format!("no Rust here can build for {} ({first:#})", target.triple())
                })
            }),
        }
    }

    /// Returns a cargo command for the target, run in the project's root with the wasm build
    /// folder.
    #[must_use]
    pub fn cargo(&self, project: &Project, subcommand: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        command
            .current_dir(project.root())
            .arg(subcommand)
            .args(["--target", self.target.triple()])
            .args(&self.arguments)
            .arg("--target-dir")
            .arg(project.wasm_target())
            // Flags that a user sets for this machine's code have no meaning for wasm, and they
            // would replace the project's flags.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Returns whether it can lint as well.
    #[must_use]
    pub fn has_clippy(&self) -> bool {
        let mut command = Command::new(&self.cargo);
        command
            .args(["clippy", "--version"])
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        capture(&mut command).is_ok()
    }

    /// Returns which way was found, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}

/// Features that V8 and every other known host have.
const TARGET_FEATURES: &str = "-C target-feature=+simd128,+bulk-memory";
