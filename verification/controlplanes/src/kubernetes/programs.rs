//! What is built in Go, from the modules beside this crate's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use provision::Project;
use provision::go::{self, GoProgram};
use serde_json::Value;

use crate::envoy_gateway::network;

/// Helm and what reads manifests: they share most of their libraries with Envoy Gateway.
const ENVOY_GATEWAY: &str = "verification/controlplanes/envoy-gateway";
const UNITTEST: &str = "verification/controlplanes/helm-unittest";
const KUBERNETES: &str = "verification/controlplanes/kubernetes";
const DEFINITIONS: &str = "verification/controlplanes/definitions";

/// The version of Kubernetes in `kubernetes/go.mod`. Programs built by `go build` don't know
/// theirs, and Helm refuses a server that doesn't.
pub(super) const VERSION: &str = "1.36.3";
const VERSION_VARIABLES: [&str; 3] = [
    "k8s.io/component-base/version.gitVersion=v1.36.3",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=36",
];

/// The newest version of Kubernetes' own kinds that kubectl-validate has.
const JUDGED: &str = "1.32";

/// The programs, and the definitions of kinds that Kubernetes doesn't have itself.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Renders charts and installs them.
    pub helm: PathBuf,
    /// Runs the chart's own tests.
    pub unittest: PathBuf,
    /// Reads manifests as Kubernetes' API does.
    pub kubectl_validate: PathBuf,
    /// Kubernetes' API.
    pub apiserver: PathBuf,
    /// Where the API keeps its objects.
    pub etcd: PathBuf,
    /// Asks the API.
    pub kubectl: PathBuf,
    /// A folder with the definitions of Istio's, Envoy Gateway's, the Gateway API's and
    /// Prometheus' kinds.
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
        let built = |name, module, package, variables| {
            let program = GoProgram {
                name,
                module,
                package,
                variables,
            };
            // Whoever made that network has built everything before.
            match network::is_own() {
                true => Some(project.target().join("tools").join(name)),
                false => go::provide(&project, program).unwrap(),
            }
        };
        let helm = "helm.sh/helm/v3/cmd/helm";
        let unittest = "github.com/helm-unittest/helm-unittest/cmd/helm-unittest";
        let validate = "sigs.k8s.io/kubectl-validate";
        let own = |name, package| built(name, KUBERNETES, package, &VERSION_VARIABLES[..]);
        Some(Self {
            helm: built("helm", ENVOY_GATEWAY, helm, &[])?,
            unittest: built("helm-unittest", UNITTEST, unittest, &[])?,
            kubectl_validate: built("kubectl-validate", ENVOY_GATEWAY, validate, &[])?,
            apiserver: own("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver")?,
            etcd: own("etcd", "go.etcd.io/etcd/server/v3")?,
            kubectl: own("kubectl", "k8s.io/kubernetes/cmd/kubectl")?,
            definitions: definitions(&project)?,
        })
    }

    /// Returns how many documents of a file Kubernetes' API would take; 0 where it would refuse
    /// one.
    ///
    /// # Panics
    /// When what judges can't be started.
    #[must_use]
    pub fn validate(&self, file: &Path) -> usize {
        let mut command = Command::new(&self.kubectl_validate);
        command
            .args(["--version", JUDGED, "--output", "json", "--local-crds"])
            .arg(&self.definitions)
            .arg(file);
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let judged = said[file.to_str().unwrap()].as_array().unwrap();
        if judged.iter().all(|one| one["status"] == "Success") {
            return judged.len();
        }
        eprintln!("{said:#}");
        0
    }
}

/// Puts all definitions into one folder.
fn definitions(project: &Project) -> Option<PathBuf> {
    let folder = project.target().join("kubernetes/definitions");
    if network::is_own() {
        return Some(folder);
    }
    let source = |module, of| go::source(project, module, of).unwrap();
    let istio = source(DEFINITIONS, "istio.io/api")?;
    let prometheus = source(
        DEFINITIONS,
        "github.com/prometheus-operator/prometheus-operator",
    )?;
    let gateway = source(ENVOY_GATEWAY, "github.com/envoyproxy/gateway")?;
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
