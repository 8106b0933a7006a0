//! What is built in Go, from the modules that `envoy-gateway/go.mod` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use provision::Project;
use provision::command::capture;
use provision::go::{self, GoProgram};
use serde_json::Value;

use super::network;

/// The folder of the Go module, from the root on.
const MODULE: &str = "verification/controlplanes/envoy-gateway";

const fn program<'a>(name: &'a str, package: &'a str) -> GoProgram<'a> {
    GoProgram {
        name,
        module: MODULE,
        package,
        variables: &[],
    }
}

/// The version of Kubernetes whose own kinds are known: the newest that the judge has.
const KUBERNETES: &str = "1.32";

/// Envoy Gateway's programs, and what judges and serves what they read.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Translates resources without a server.
    pub egctl: PathBuf,
    /// The server.
    pub envoy_gateway: PathBuf,
    /// Reads manifests as Kubernetes' API does.
    pub kubectl_validate: PathBuf,
    /// Serves images, and pushes them.
    pub crane: PathBuf,
    /// Where the definitions of Envoy Gateway's and the Gateway API's resources are.
    pub definitions: PathBuf,
}

impl Programs {
    /// Builds them, once in a process. `None` where there is no Go.
    ///
    /// # Panics
    /// When one doesn't compile.
    #[must_use]
    pub fn provide() -> Option<Self> {
        static PROVIDED: OnceLock<Option<Programs>> = OnceLock::new();
        PROVIDED.get_or_init(Self::build).clone()
    }

    fn build() -> Option<Self> {
        let project = Project::here();
        // Whoever made that network has built everything before.
        let provide = |program: GoProgram<'_>| match network::is_own() {
            true => Some(project.target().join("tools").join(program.name)),
            false => go::provide(&project, program).unwrap(),
        };
        let gateway = "github.com/envoyproxy/gateway";
        let mut list = Command::new("go");
        list.current_dir(module(&project))
            .args(["list", "-m", "-f", "{{.Dir}}", gateway]);
        Some(Self {
            egctl: provide(program("egctl", &format!("{gateway}/cmd/egctl")))?,
            envoy_gateway: provide(program(
                "envoy-gateway",
                &format!("{gateway}/cmd/envoy-gateway"),
            ))?,
            kubectl_validate: provide(program("kubectl-validate", "sigs.k8s.io/kubectl-validate"))?,
            crane: provide(go::CRANE)?,
            definitions: Path::new(capture(&mut list).unwrap().trim())
                .join("charts/gateway-helm/charts/crds/crds"),
        })
    }

    /// Returns how many documents of a file Kubernetes' API would take, by the definitions of
    /// Envoy Gateway and of the Gateway API; 0 where it would refuse one.
    ///
    /// # Panics
    /// When what judges can't be started.
    #[must_use]
    pub fn validate(&self, file: &Path) -> usize {
        let mut command = Command::new(&self.kubectl_validate);
        let generated = self.definitions.join("generated");
        command
            .args(["--version", KUBERNETES, "--output", "json", "--local-crds"])
            .arg(&self.definitions)
            .arg("--local-crds")
            .arg(generated)
            .arg(file);
        let output = command.output().unwrap();
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

/// The folder of the Go module.
pub(super) fn module(project: &Project) -> PathBuf {
    project.root().join(MODULE)
}
