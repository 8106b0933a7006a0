//! What is built in Go, from the modules that `istio/go.mod` names.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use provision::Project;
use provision::command::capture;
use provision::go::{self, GoProgram};

/// The folder of the Go module, from the root on.
const MODULE: &str = "verification/controlplanes/istio";

const fn program<'a>(name: &'a str, package: &'a str) -> GoProgram<'a> {
    GoProgram {
        name,
        module: MODULE,
        package,
        variables: &[],
    }
}

/// Istio's programs, built.
#[derive(Clone, Debug)]
pub struct Programs {
    /// istiod, by our own main program.
    pub istiod: PathBuf,
    /// Writes Istio's own Envoy bootstrap.
    pub bootstrap: PathBuf,
    /// Istio's command line.
    pub istioctl: PathBuf,
    /// Where Istio's source is.
    pub source: PathBuf,
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
        let provide = |name, package| go::provide(&project, program(name, package)).unwrap();
        let mut list = Command::new("go");
        list.current_dir(module(&project))
            .args(["list", "-m", "-f", "{{.Dir}}", "istio.io/istio"]);
        Some(Self {
            istiod: provide("istiod", "./istiod")?,
            bootstrap: provide("istio-bootstrap", "./bootstrap")?,
            istioctl: provide("istioctl", "istio.io/istio/istioctl/cmd/istioctl")?,
            source: PathBuf::from(capture(&mut list).unwrap().trim()),
        })
    }

    /// What `istioctl validate` says of a file.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn validate(&self, file: &std::path::Path) -> Output {
        let mut command = Command::new(&self.istioctl);
        command.args(["validate", "-f"]).arg(file);
        command.output().unwrap()
    }
}

/// The folder of the Go module.
pub(super) fn module(project: &Project) -> PathBuf {
    project.root().join(MODULE)
}
