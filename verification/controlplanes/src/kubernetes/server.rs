//! A real kube-apiserver with its etcd, in the network of the test. There are no controllers: it
//! keeps objects and judges them, and nothing is done about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use local_gateway::process::{Process, Program};
use provision::Project;
use provision::command::capture;
use provision::tools::Tools;

use super::Programs;
use super::chart::NAMESPACE;

/// It is ready after four seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// Who may do everything on this server.
const TOKEN: &str = "only-in-this-network";

/// The API. Dropping it ends it.
pub struct Server {
    programs: Programs,
    folder: PathBuf,
    _apiserver: Process,
    _etcd: Process,
}

impl Server {
    /// Starts it, with the kinds of Istio, Envoy Gateway, the Gateway API and Prometheus. This
    /// process has to be in a network of its own.
    ///
    /// # Panics
    /// When it doesn't get ready, or refuses a definition.
    #[must_use]
    pub fn start(programs: &Programs, name: &str) -> Self {
        let project = Project::here();
        let folder = format!("local-sets/kubernetes-{name}-{}", std::process::id());
        let folder = project.target().join(folder);
        fs::create_dir_all(folder.join("home")).unwrap();
        fs::write(folder.join("kubeconfig"), kubeconfig()).unwrap();
        let tokens = format!("{TOKEN},admin,1,system:masters\n");
        fs::write(folder.join("tokens.csv"), tokens).unwrap();
        let tools = Tools::of(&project);
        let start = |name, path: &Path, arguments: Vec<String>| {
            let program = Program {
                name,
                with_parent: tools.with_parent.clone(),
                path: path.to_path_buf(),
                arguments: arguments.into_iter().map(Into::into).collect(),
                environment: Vec::new(),
                folder: folder.clone(),
                log: folder.join(format!("{name}.log")),
            };
            Process::start(&program).unwrap()
        };
        let etcd = start("etcd", &programs.etcd, etcd_arguments(&folder));
        let key = project.root().join("tests/keys/rsa-2048-pkcs1.pem");
        let arguments = apiserver_arguments(&folder, &key);
        let mut apiserver = start("kube-apiserver", &programs.apiserver, arguments);
        let ready = || kubectl(programs, &folder, &["get", "--raw", "/readyz"]);
        let waited = apiserver.wait_until(DEADLINE, "answer", || ready().status.success());
        waited.unwrap();
        let server = Self {
            programs: programs.clone(),
            folder,
            _apiserver: apiserver,
            _etcd: etcd,
        };
        server.define();
        server
    }

    /// Makes the kinds of other projects known.
    fn define(&self) {
        let folder = self.programs.definitions.to_str().unwrap();
        self.done(&["apply", "--server-side", "-f", folder]);
        let established = "--for=condition=established";
        self.done(&["wait", established, "--timeout=120s", "crd", "--all"]);
    }

    /// Runs kubectl.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        kubectl(&self.programs, &self.folder, arguments)
    }

    /// Runs kubectl and returns what it says.
    ///
    /// # Panics
    /// When it fails.
    pub fn done(&self, arguments: &[&str]) -> String {
        let mut command = kubectl_command(&self.programs, &self.folder);
        capture(command.args(arguments)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs Helm.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn helm(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.programs.helm);
        command
            .args(arguments)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("HOME", self.folder.join("home"));
        command.output().unwrap()
    }
}

fn kubectl_command(programs: &Programs, folder: &Path) -> Command {
    let mut command = Command::new(&programs.kubectl);
    command
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("HOME", folder.join("home"));
    command
}

fn kubectl(programs: &Programs, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = kubectl_command(programs, folder);
    command.args(arguments).output().unwrap()
}

fn kubeconfig() -> String {
    let cluster = "{ server: 'https://127.0.0.1:6443', insecure-skip-tls-verify: true }";
    let context = format!("{{ cluster: here, user: admin, namespace: {NAMESPACE} }}");
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{ name: here, cluster: {cluster} }}]\n\
         users: [{{ name: admin, user: {{ token: {TOKEN} }} }}]\n\
         contexts: [{{ name: here, context: {context} }}]\n"
    )
}

fn etcd_arguments(folder: &Path) -> Vec<String> {
    let data = folder.join("etcd").display().to_string();
    let words = [
        "--data-dir",
        &data,
        "--listen-client-urls",
        "http://127.0.0.1:2379",
        "--advertise-client-urls",
        "http://127.0.0.1:2379",
        "--listen-peer-urls",
        "http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level",
        "error",
    ];
    words.map(str::to_owned).to_vec()
}

fn apiserver_arguments(folder: &Path, key: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let key = key.display();
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
        "--secure-port=6443".into(),
        format!("--cert-dir={}", at("certificates")),
        format!("--token-auth-file={}", at("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={key}"),
        format!("--service-account-signing-key-file={key}"),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        // Nobody makes the accounts that it would look for.
        "--disable-admission-plugins=ServiceAccount".into(),
    ]
}
