//! What is built in Go, from the modules beside this crate's sources.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use provision::Project;

use crate::built::{DEFINITIONS, ENVOY_GATEWAY, Judge, KUBERNETES, UNITTEST};
use crate::network;

/// The version of Kubernetes in `kubernetes/go.mod`. Programs built by `go build` don't know
/// theirs, and Helm refuses a server that doesn't.
pub(super) const VERSION: &str = "1.36.3";
const VERSION_VARIABLES: [&str; 3] = [
    "k8s.io/component-base/version.gitVersion=v1.36.3",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=36",
];

/// The programs, and the definitions of kinds that Kubernetes doesn't have itself.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Renders charts and installs them.
    pub helm: PathBuf,
    /// Runs the chart's own tests.
    pub unittest: PathBuf,
    /// Kubernetes' API.
    pub apiserver: PathBuf,
    /// Where the API keeps its objects.
    pub etcd: PathBuf,
    /// Asks the API.
    pub kubectl: PathBuf,
    /// A folder with the definitions of Istio's, Envoy Gateway's, the Gateway API's and
    /// Prometheus' kinds.
    pub definitions: PathBuf,
    /// Knows all of these kinds.
    pub judge: Judge,
}

impl Programs {
    /// Builds them, once in a process. `None` where there is no Go.
    ///
    /// # Panics
    /// When one doesn't compile.
    #[must_use]
    pub fn provide() -> Option<Self> {
        let unittest = "github.com/helm-unittest/helm-unittest/cmd/helm-unittest";
        let own = |name, package| KUBERNETES.program_that_knows(&VERSION_VARIABLES, name, package);
        Some(Self {
            helm: ENVOY_GATEWAY.program("helm", "helm.sh/helm/v3/cmd/helm")?,
            unittest: UNITTEST.program("helm-unittest", unittest)?,
            apiserver: own("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver")?,
            etcd: own("etcd", "go.etcd.io/etcd/server/v3")?,
            kubectl: own("kubectl", "k8s.io/kubernetes/cmd/kubectl")?,
            definitions: definitions()?,
            judge: Judge::provide(vec![definitions()?])?,
        })
    }
}

/// Puts all definitions into one folder.
fn definitions() -> Option<PathBuf> {
    static WRITTEN: OnceLock<Option<PathBuf>> = OnceLock::new();
    WRITTEN.get_or_init(write_definitions).clone()
}

fn write_definitions() -> Option<PathBuf> {
    let folder = Project::here().target().join("kubernetes/definitions");
    if network::is_own() {
        return Some(folder);
    }
    let istio = DEFINITIONS.source("istio.io/api")?;
    let prometheus = "github.com/prometheus-operator/prometheus-operator";
    let prometheus = DEFINITIONS.source(prometheus)?;
    let gateway = ENVOY_GATEWAY.source("github.com/envoyproxy/gateway")?;
    let gateway = gateway.join("charts/gateway-helm/charts/crds/crds");
    let monitor = "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml";
    let mut files = vec![
        istio.join("kubernetes/customresourcedefinitions.gen.yaml"),
        prometheus.join(monitor),
        gateway.join("gatewayapi-crds.yaml"),
    ];
    let generated = fs::read_dir(gateway.join("generated")).unwrap();
    files.extend(generated.map(|entry| entry.unwrap().path()));
    fs::create_dir_all(&folder).unwrap();
    for file in files {
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        fs::write(folder.join(file.file_name().unwrap()), text).unwrap();
    }
    Some(folder)
}
