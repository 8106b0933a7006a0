//! The standalone server of Envoy Gateway, and an Envoy with the bootstrap that it gives.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use local_gateway::process::{Process, Program};
use local_gateway::{LocalSet, ports};
use provision::command::capture;
use provision::dist::Variant;
use provision::{Programs as LocalPrograms, Project};
use serde_json::{Value, json};
use testkit::http1::{Request, exchange};
use testkit::tls::Proxy;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

use super::Programs;
use super::manifests::{self, Module, Values, Xds};
use super::registry::Registry;
use crate::behind::{self, Ports};
use crate::built::ENVOY_GATEWAY;
use crate::https::{Https, NAME, OTHER};

/// The server starts in a few seconds, on an idle machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// How a set with the server is to be.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// A name for its folder, such as the test's.
    pub name: &'a str,
    /// How Envoy Gateway names things.
    pub xds: Xds,
    /// How `sluice render` is told that it names them; otherwise than it does in a test of what
    /// becomes of patches that don't fit.
    pub told: Xds,
    /// Whether the filter comes as an image; as a file otherwise.
    pub is_image: bool,
    /// Whether the gateway speaks TLS.
    pub is_https: bool,
    /// Merged into the input of `sluice render` (RFC 7396).
    pub input: Value,
}

/// Envoy Gateway, an Envoy that it serves, the stream server, and two functions.
pub struct Server {
    /// Envoy, the stream server, and the function that the routes lead to at first.
    pub gateway: Gateway,
    /// The other function.
    pub other: Target,
    /// Leads to the other listener of the gateway's port, where it speaks TLS.
    pub other_listener: Option<Proxy>,
    values: Values,
    work: PathBuf,
    server: Process,
    _client: Option<Proxy>,
    _registry: Option<Registry>,
}

impl Server {
    /// Starts everything and waits until Envoy has what it shall have.
    ///
    /// # Panics
    /// When a part doesn't get ready.
    #[must_use]
    pub fn start(programs: &Programs, setup: &Setup<'_>, target: Target) -> Self {
        let project = Project::here();
        let local = LocalPrograms::for_tests(&project, Variant::Shipped).unwrap();
        let work = project.target().join(format!(
            "local-sets/envoy-gateway-{}-{}",
            setup.name,
            std::process::id()
        ));
        for folder in ["resources", "config", "state", "run", "home"] {
            fs::create_dir_all(work.join(folder)).unwrap();
        }
        let registry = setup
            .is_image
            .then(|| Registry::start(programs, &local, &work));
        let other = Target::start();
        let [gateway, admin, stream, drain] = [(); 4].map(|()| ports::free().unwrap());
        let https = setup.is_https.then(Https::default);
        let values = Values {
            gateway,
            stream,
            drain,
            functions: [target.port(), other.port()],
            address: "127.0.0.1",
            module: match &registry {
                Some(registry) => Module::Image {
                    reference: registry.reference.clone(),
                    ports: [(); 3].map(|()| ports::free().unwrap()),
                },
                None => Module::Mounted(local.filter.clone()),
            },
            envoy: local.envoy_version.to_string(),
            xds: setup.told,
            certificates: https
                .as_ref()
                .map(|https| [NAME, OTHER].map(|name| https.secret(name))),
            input: setup.input.clone(),
        };
        prepare(programs, &work, setup.xds, &values.envoy);
        write(&work, &values, "function-a");
        let mut server = start_server(programs, &local, &work);
        let started = work.join("started");
        let noted = server.wait_until(DEADLINE, "start of Envoy", || started.is_file());
        noted.unwrap();
        let bootstrap = bootstrap(&started, admin);
        let client = |name| https.as_ref().map(|https| https.client(name, gateway));
        let (client, other_listener) = (client(NAME), client(OTHER));
        let gateway = behind::start(
            setup.name,
            target,
            Ports {
                gateway: client.as_ref().map_or(gateway, Proxy::port),
                admin,
                stream,
                drain,
            },
            bootstrap,
        );
        Self {
            gateway,
            other,
            other_listener,
            values,
            work,
            server,
            _client: client,
            _registry: registry,
        }
    }

    /// Waits until calls are delivered.
    ///
    /// # Panics
    /// When they never are.
    pub fn wait_until_draining(&mut self) {
        let set: &mut LocalSet = &mut self.gateway.set;
        set.wait_until_draining().unwrap();
    }

    /// Has the routes lead to the other function from now on, as an operator's edit does.
    pub fn lead_elsewhere(&self) {
        write(&self.work, &self.values, "function-b");
    }

    /// What Envoy has: `/config_dump`.
    #[must_use]
    pub fn config_dump(&self) -> Value {
        let admin = self.gateway.set.ports().admin;
        exchange(admin, &Request::new("GET", "/config_dump")).json()
    }

    /// What the server has written so far.
    ///
    /// # Panics
    /// When its log can't be read.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.server.log()).unwrap()).into_owned()
    }
}

/// Writes what Envoy Gateway reads before it starts.
fn prepare(programs: &Programs, work: &Path, xds: Xds, envoy: &str) {
    let binary = work.join(format!("data/envoy-versions/{envoy}/bin/envoy"));
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    let filled = |name: &str| {
        let text = fs::read_to_string(ENVOY_GATEWAY.folder().join(name)).unwrap();
        text.replace("$WORK", work.to_str().unwrap())
    };
    fs::write(&binary, filled("noted.sh")).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = filled("envoy-gateway.yaml");
    if xds == Xds::V2 {
        config.push_str("runtimeFlags: { enabled: [XDSNameSchemeV2] }\n");
    }
    fs::write(work.join("envoy-gateway.yaml"), config).unwrap();
    let mut certificates = std::process::Command::new(&programs.envoy_gateway);
    certificates
        .args(["certgen", "--local", "--config-home"])
        .arg(work.join("config"))
        .env("HOME", work.join("home"));
    capture(&mut certificates).unwrap();
}

fn write(work: &Path, values: &Values, function: &str) {
    let mut resources = manifests::all(values, function);
    let proxy = manifests::find(&mut resources, "EnvoyProxy");
    proxy["spec"]["provider"] = json!({ "type": "Host", "host": { "envoyVersion": values.envoy } });
    if matches!(values.module, Module::Image { .. }) {
        resources.extend(without_kubernetes(work));
    }
    // The folder is watched: what is moved into it is whole.
    let new = work.join("resources.new");
    fs::write(&new, manifests::text(&resources)).unwrap();
    fs::rename(new, work.join("resources/all.yaml")).unwrap();
}

/// What Envoy Gateway finds in Kubernetes, for an Envoy that fetches the filter from it: a Secret,
/// and the place of its own service with the certificates to trust.
fn without_kubernetes(work: &Path) -> [Value; 2] {
    let certificates = work.join("config/certs/envoy");
    let file = |name: &str| BASE64.encode(fs::read(certificates.join(name)).unwrap());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "envoy", "namespace": "envoy-gateway-system" },
        "data": {
            "ca.crt": file("ca.crt"),
            "tls.crt": file("tls.crt"),
            "tls.key": file("tls.key"),
        },
    });
    let patch = |path: &str, value: Value| {
        json!({ "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "wasm_cluster",
            "operation": { "op": "replace", "jsonPath": path, "value": value } })
    };
    let patches = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyPatchPolicy",
        "metadata": { "name": "without-kubernetes", "namespace": "default" },
        "spec": {
            "targetRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg" },
            "type": "JSONPatch",
            "jsonPatches": [
                patch("..trusted_ca.filename", json!(certificates.join("ca.crt"))),
                patch("..socket_address.address", json!("127.0.0.1")),
            ],
        },
    });
    [secret, patches]
}

fn start_server(programs: &Programs, local: &LocalPrograms, work: &Path) -> Process {
    let home = work.join("home").display().to_string();
    let program = Program {
        name: "Envoy Gateway",
        with_parent: local.tools.with_parent.clone(),
        path: programs.envoy_gateway.clone(),
        arguments: vec![
            "server".into(),
            "--config-path".into(),
            work.join("envoy-gateway.yaml").into(),
        ],
        environment: vec![("HOME".into(), home)],
        folder: work.to_path_buf(),
        log: work.join("envoy-gateway.log"),
    };
    Process::start(&program).unwrap()
}

/// The bootstrap with which the server would start Envoy, with the identity that it gives by
/// arguments.
fn bootstrap(started: &Path, admin: u16) -> Value {
    let text = fs::read_to_string(started).unwrap();
    let arguments: Vec<&str> = text.split("\n\0").collect();
    let argument = |name: &str| {
        let place = arguments.iter().position(|one| *one == name);
        let place = place.unwrap_or_else(|| panic!("no {name} in {text}"));
        arguments[place + 1]
    };
    let mut config: Value = yaml_serde::from_str(argument("--config-yaml")).unwrap();
    config["node"] = json!({
        "id": argument("--service-node"), "cluster": argument("--service-cluster") });
    config["admin"] = json!({ "address": { "socket_address": {
        "address": "127.0.0.1", "port_value": admin } } });
    // Otherwise what tests look at is five seconds old.
    config["stats_flush_interval"] = json!("1s");
    config
}
