//! What of Envoy Gateway is built in Go.

use std::path::{Path, PathBuf};

use provision::go;

use crate::built::{self, ENVOY_GATEWAY, Judge};

/// Envoy Gateway's programs, and what judges and serves what they read.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Translates resources without a server.
    pub egctl: PathBuf,
    /// The server.
    pub envoy_gateway: PathBuf,
    /// Serves images, and pushes them.
    pub crane: PathBuf,
    /// Knows Envoy Gateway's and the Gateway API's resources.
    pub judge: Judge,
}

impl Programs {
    /// Builds them, once in a process. `None` where there is no Go.
    ///
    /// # Panics
    /// When one doesn't compile.
    #[must_use]
    pub fn provide() -> Option<Self> {
        let gateway = "github.com/envoyproxy/gateway";
        let program = |name| ENVOY_GATEWAY.program(name, &format!("{gateway}/cmd/{name}"));
        Some(Self {
            egctl: program("egctl")?,
            envoy_gateway: program("envoy-gateway")?,
            crane: built::provide(go::CRANE)?,
            judge: Judge::provide(definitions(&ENVOY_GATEWAY.source(gateway)?))?,
        })
    }
}

/// Where Envoy Gateway's source has the definitions of its own resources and of the Gateway API's.
fn definitions(source: &Path) -> Vec<PathBuf> {
    let all = source.join("charts/gateway-helm/charts/crds/crds");
    vec![all.join("generated"), all]
}
