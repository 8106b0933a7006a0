//! What of Istio is built in Go.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::built::{ISTIO, Judge};

/// Istio's programs, and what judges what they read.
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
    /// Knows Istio's resources.
    pub judge: Judge,
}

impl Programs {
    /// Builds them, once in a process. `None` where there is no Go.
    ///
    /// # Panics
    /// When one doesn't compile.
    #[must_use]
    pub fn provide() -> Option<Self> {
        let source = ISTIO.source("istio.io/istio")?;
        Some(Self {
            istiod: ISTIO.program("istiod", "./istiod")?,
            bootstrap: ISTIO.program("istio-bootstrap", "./bootstrap")?,
            istioctl: ISTIO.program("istioctl", "istio.io/istio/istioctl/cmd/istioctl")?,
            judge: Judge::provide(vec![source.join("manifests/charts/base/files")])?,
            source,
        })
    }

    /// Returns what `istioctl validate` says of a file.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn validate(&self, file: &Path) -> Output {
        let mut command = Command::new(&self.istioctl);
        command.args(["validate", "-f"]).arg(file);
        command.output().unwrap()
    }
}
