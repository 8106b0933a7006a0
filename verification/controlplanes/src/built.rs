//! What is built in Go, from the modules whose versions are pinned beside this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use provision::Project;
use provision::go::{self, GoProgram};
use serde_json::Value;

use crate::network;

/// The version of Kubernetes whose own kinds are known: the newest that the judge has.
const JUDGED: &str = "1.32";

/// A Go module, as its folder from the root on.
#[derive(Clone, Copy, Debug)]
pub struct Module(&'static str);

/// Istio's programs.
pub const ISTIO: Module = Module("verification/controlplanes/istio");

/// Envoy Gateway's programs, and what shares most of its libraries: Helm, and what reads manifests
/// as Kubernetes' API does.
pub const ENVOY_GATEWAY: Module = Module("verification/controlplanes/envoy-gateway");

/// What runs the chart's own tests.
pub const UNITTEST: Module = Module("verification/controlplanes/helm-unittest");

/// Kubernetes' API.
pub const KUBERNETES: Module = Module("verification/controlplanes/kubernetes");

/// Definitions of kinds of other projects.
pub const DEFINITIONS: Module = Module("verification/controlplanes/definitions");

impl Module {
    /// Returns its folder.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        Project::here().root().join(self.0)
    }

    /// Builds one of its programs, once in a process. `None` where there is no Go.
    ///
    /// # Panics
    /// When it doesn't compile.
    #[must_use]
    pub fn program(self, name: &str, package: &str) -> Option<PathBuf> {
        self.program_that_knows(&[], name, package)
    }

    /// Builds one of its programs with these variables of Go set, once in a process. `None` where
    /// there is no Go.
    ///
    /// # Panics
    /// When it doesn't compile.
    #[must_use]
    pub fn program_that_knows(
        self,
        variables: &[&str],
        name: &str,
        package: &str,
    ) -> Option<PathBuf> {
        provide(GoProgram {
            name,
            module: self.0,
            package,
            variables,
        })
    }

    /// Returns where the source of a module is that this one needs. `None` where there is no Go.
    ///
    /// # Panics
    /// When it needs no such module.
    #[must_use]
    pub fn source(self, of: &str) -> Option<PathBuf> {
        once(of, || go::source(&Project::here(), self.0, of).unwrap())
    }
}

/// Builds a program, once in a process. `None` where there is no Go.
///
/// # Panics
/// When it doesn't compile.
#[must_use]
pub fn provide(program: GoProgram<'_>) -> Option<PathBuf> {
    once(program.name, || {
        let project = Project::here();
        // Whoever made that network has built everything before.
        match network::is_own() {
            true => Some(project.target().join("tools").join(program.name)),
            false => go::provide(&project, program).unwrap(),
        }
    })
}

/// Makes what has this name unless it was made before; others wait meanwhile.
fn once(name: &str, make: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(name) {
        return Some(known.clone());
    }
    let new = make()?;
    made.insert(name.to_owned(), new.clone());
    Some(new)
}

/// Reads manifests as Kubernetes' API does.
#[derive(Clone, Debug)]
pub struct Judge {
    program: PathBuf,
    /// Folders with the definitions of kinds that Kubernetes doesn't know itself.
    definitions: Vec<PathBuf>,
}

impl Judge {
    /// Provides it, with these definitions. `None` where there is no Go.
    ///
    /// # Panics
    /// When it doesn't compile.
    #[must_use]
    pub fn provide(definitions: Vec<PathBuf>) -> Option<Self> {
        let package = "sigs.k8s.io/kubectl-validate";
        Some(Self {
            program: ENVOY_GATEWAY.program("kubectl-validate", package)?,
            definitions,
        })
    }

    /// Returns how many documents of a file Kubernetes' API would take; 0 where it would refuse
    /// one.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn taken(&self, file: &Path) -> usize {
        let mut command = Command::new(&self.program);
        command.args(["--version", JUDGED, "--output", "json"]);
        for folder in &self.definitions {
            command.arg("--local-crds").arg(folder);
        }
        let output = command.arg(file).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let judged = said[file.to_str().unwrap()].as_array().unwrap();
        let taken = judged.iter().filter(|one| one["status"] == "Success");
        if taken.count() == judged.len() {
            return judged.len();
        }
        eprintln!("{said:#}");
        0
    }
}
