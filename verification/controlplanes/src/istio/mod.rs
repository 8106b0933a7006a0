//! The real istiod, and an Envoy that gets everything but its bootstrap from it.
//!
//! | what | where |
//! |---|---|
//! | istiod and what else is built in Go | [`Programs`] |
//! | what istiod reads: our EnvoyFilter, as `sluice render` writes it, and more | [`manifests`] |
//! | with what Envoy starts | [`Bootstrap`] |
//! | what Envoy got | [`dump`] |

mod bootstrap;
pub mod dump;
pub mod manifests;
mod programs;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use local_gateway::process::{Process, Program};
use local_gateway::{LocalSet, http, ports};
use provision::dist::Variant;
use provision::{Programs as LocalPrograms, Project};
use serde_json::Value;
use testkit::tls::Proxy;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

use crate::behind::{self, Ports};
use crate::built::ISTIO;
use crate::https::{Https, NAME, OTHER};

pub use bootstrap::Bootstrap;
pub use manifests::Kind;
pub use programs::Programs;

/// Istiod starts in a second, on an idle machine.
const ISTIOD_DEADLINE: Duration = Duration::from_secs(60);

/// What istiod has to be told before it starts: without Istio's own build of Envoy there are no
/// filters of Istio's own, and nobody deploys gateways. Whoever connects is asked who they are.
const ISTIOD_ENVIRONMENT: [(&str, &str); 7] = [
    ("PILOT_ENABLE_ALPN_FILTER", "false"),
    ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
    ("PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER", "false"),
    ("PILOT_ENABLE_GATEWAY_API_STATUS", "false"),
    ("PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER", "false"),
    ("POD_NAMESPACE", "istio-system"),
    ("XDS_AUTH_PLAINTEXT", "true"),
];

/// How a set with Istio is to be.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// A name for its folder, such as the test's.
    pub name: &'a str,
    /// The kind of gateway.
    pub kind: Kind,
    /// With what Envoy starts.
    pub bootstrap: Bootstrap,
    /// Whether the gateway speaks TLS.
    pub is_https: bool,
    /// Merged into the input of `sluice render` (RFC 7396).
    pub input: Value,
}

/// Istiod, an Envoy that it serves, the stream server, and two functions.
pub struct Istio {
    /// Envoy, the stream server, and the function that the routes lead to at first.
    pub gateway: Gateway,
    /// The other function.
    pub other: Target,
    /// Leads to the other server of the gateway's port, where it speaks TLS.
    pub other_server: Option<Proxy>,
    /// What Istio reads.
    folder: PathBuf,
    values: manifests::Values,
    kind: Kind,
    _istiod: Process,
    _client: Option<Proxy>,
}

impl Istio {
    /// Starts everything and waits until the gateway takes requests and its drain drains.
    ///
    /// # Panics
    /// When a part doesn't get ready.
    #[must_use]
    pub fn start(programs: &Programs, setup: &Setup<'_>, target: Target) -> Self {
        let project = Project::here();
        let local = LocalPrograms::for_tests(&project, Variant::Shipped).unwrap();
        let work = work_folder(&project, setup.name);
        let folder = work.join("config");
        fs::create_dir_all(&folder).unwrap();
        let other = Target::start();
        let [gateway, admin, stream, drain, xds] = [(); 5].map(|()| ports::free().unwrap());
        let https = setup.is_https.then(Https::default);
        let values = manifests::Values {
            gateway,
            stream,
            drain,
            functions: [target.port(), other.port()],
            module: local.filter.clone(),
            envoy: local.envoy_version.to_string(),
            certificates: https
                .as_ref()
                .map(|https| [NAME, OTHER].map(|name| https.secret(name))),
        };
        manifests::write(&folder, setup.kind, &values, &setup.input);
        let istiod = start_istiod(
            programs,
            &local,
            values.form(setup.kind),
            &work,
            &folder,
            xds,
        );
        let bootstrap = setup.bootstrap.of(programs, setup.kind, &work, admin, xds);
        let client = |name| https.as_ref().map(|https| https.client(name, gateway));
        let (client, other_server) = (client(NAME), client(OTHER));
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
        let mut istio = Self {
            gateway,
            other,
            other_server,
            folder,
            values,
            kind: setup.kind,
            _istiod: istiod,
            _client: client,
        };
        istio.set().wait_until_draining().unwrap();
        istio
    }

    fn set(&mut self) -> &mut LocalSet {
        &mut self.gateway.set
    }

    /// Returns the port at which Envoy's gateway listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.values.gateway
    }

    /// Has the routes lead to the other function from now on, as an operator's edit does.
    pub fn lead_elsewhere(&self) {
        manifests::write_routes(&self.folder, self.kind, &self.values, "function-b");
    }

    /// Everything that Envoy has: what `/config_dump` shows.
    ///
    /// # Panics
    /// When it is no JSON.
    #[must_use]
    pub fn config_dump(&self) -> Value {
        serde_json::from_str(&self.admin("/config_dump")).unwrap()
    }

    /// What Envoy's admin interface shows.
    ///
    /// # Panics
    /// When it doesn't answer.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        let url = format!("{}{path}", self.gateway.set.admin_url());
        http::get(&url).unwrap().body
    }
}

fn work_folder(project: &Project, name: &str) -> PathBuf {
    let folder = format!("local-sets/istiod-{name}-{}", std::process::id());
    project.target().join(folder)
}

fn start_istiod(
    programs: &Programs,
    local: &LocalPrograms,
    form: &str,
    work: &Path,
    folder: &Path,
    port: u16,
) -> Process {
    let mesh = ISTIO.folder().join("mesh.yaml");
    let environment = ISTIOD_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let program = Program {
        name: "istiod",
        with_parent: local.tools.with_parent.clone(),
        path: programs.istiod.clone(),
        arguments: vec![
            form.into(),
            folder.into(),
            mesh.into(),
            format!("127.0.0.1:{port}").into(),
        ],
        environment: environment.to_vec(),
        folder: work.to_path_buf(),
        log: work.join("istiod.log"),
    };
    let mut process = Process::start(&program).unwrap();
    let accepts = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    let ready = process.wait_until(ISTIOD_DEADLINE, "connection", accepts);
    ready.unwrap();
    process
}
