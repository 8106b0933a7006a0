//! The places of things in this checkout.

use std::env;
use std::path::{Path, PathBuf};

/// The checkout that this crate was built in.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    cargo_target: PathBuf,
}

impl Project {
    /// Returns the checkout that this crate was built in, with the build folder cargo is told to
    /// use.
    #[must_use]
    pub fn here() -> Self {
        // This crate is two folders below the root.
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).unwrap_or(manifest);
        let root = root.to_path_buf();
        let cargo_target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |folder| root.join(folder));
        Self { root, cargo_target }
    }

    /// Returns the folder of the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where cargo puts what it builds for this machine.
    #[must_use]
    pub fn cargo_target(&self) -> &Path {
        &self.cargo_target
    }

    /// Returns where cargo puts what it builds for wasm. It is a folder of its own because another
    /// Rust may build it, and because the standard library that it may have to build is worth
    /// keeping.
    #[must_use]
    pub fn wasm_target(&self) -> PathBuf {
        self.cargo_target.join("wasm")
    }

    /// Returns the project's own `target` folder, for what cargo doesn't build.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Returns the shipped filter, as `dist` leaves it.
    #[must_use]
    pub fn filter(&self) -> PathBuf {
        self.target().join("dist/sluice.wasm")
    }

    /// Returns the filter that tests can make trap, as `dist` leaves it.
    #[must_use]
    pub fn trap_filter(&self) -> PathBuf {
        self.target().join("dist/sluice-trap.wasm")
    }

    /// Returns the shipped filter as an OCI image, a folder that `dist --image` writes.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.target().join("dist/sluice-oci")
    }

    /// Returns a path below the root, as one would write it in a shell there.
    #[must_use]
    pub fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
