//! The keys of the input that are about the host; all others are the plugins' own.

mod control_planes;
mod read;

use std::net::IpAddr;

use sluice::config::{Document, Section, TextForm};

use crate::origin::Origin;

pub(crate) use control_planes::{EnvoyGateway, Istio, Way};
use read::{name, origin, port, refuse_control};

/// Services that an application calls through its sidecar.
const SERVICES_MAX: usize = 64;
/// Hosts of one service.
const HOSTS_MAX: usize = 32;

/// The input's keys about the host.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) module: Option<String>,
    pub(crate) function: Option<Origin>,
    pub(crate) stream: Option<Origin>,
    pub(crate) authority: Option<String>,
    /// Whether the Stream's name stands for several servers, each of which may be gone.
    pub(crate) several_servers: bool,
    pub(crate) gateway: Gateway,
    pub(crate) ports: Ports,
    pub(crate) trust: String,
    pub(crate) internal_listeners: bool,
    pub(crate) loopback: Loopback,
    pub(crate) services: Vec<Service>,
    pub(crate) istio: Istio,
    pub(crate) envoy_gateway: EnvoyGateway,
    pub(crate) accepts_unfiltered: bool,
    /// Where a resource principal has its files.
    pub(crate) resource_folder: Option<String>,
}

/// Where clients come in.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) address: Option<String>,
    pub(crate) port: u64,
    pub(crate) routes: Option<String>,
    pub(crate) filters: Option<String>,
    pub(crate) clusters: Option<String>,
}

/// Ports on the loopback interface, and of a sidecar's application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) admin: u64,
    pub(crate) drain: u64,
    pub(crate) outbound: u64,
    pub(crate) probe: Option<u64>,
}

/// The way of calls where there are no internal listeners.
#[derive(Clone, Debug)]
pub(crate) struct Loopback {
    pub(crate) variable: String,
    pub(crate) folder: Option<String>,
    pub(crate) dispatch: u64,
    pub(crate) egress_https: u64,
    pub(crate) egress_http: u64,
}

/// A service that a sidecar's application calls.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) hosts: Vec<String>,
}

impl Document for Settings {
    fn read(root: &mut Section<'_>) -> Self {
        let module = root.optional_text(
            "module",
            "The filter, `sluice.wasm`, as Envoy finds it. Without it: target/dist/sluice.wasm, \
             and /etc/envoy/sluice.wasm where Envoy runs in a container.",
        );
        refuse_control(root, "module", module.as_deref());
        let function = root.optional_text(
            "function",
            "Where the route `/` leads to: your function, or a sidecar's application. A URL such \
             as http://127.0.0.1:8080, without a path. Control planes have routes of their own.",
        );
        let function = origin(root, "function", function);
        let (stream, authority, several_servers) = root.section("stream", read_stream);
        Self {
            module,
            function,
            stream,
            authority,
            several_servers,
            gateway: root.section("gateway", Gateway::read),
            ports: root.section("ports", Ports::read),
            trust: read_trust(root),
            internal_listeners: root.flag(
                "internalListeners",
                true,
                "Whether Envoy may have internal listeners. False is for hosts whose bootstrap \
                 can't be changed: calls are then made through sockets of this machine, which ask \
                 for a secret.",
            ),
            loopback: root.section("loopback", Loopback::read),
            services: root.section("sidecar", read_services),
            istio: root.section("istio", Istio::read),
            envoy_gateway: root.section("envoyGateway", EnvoyGateway::read),
            accepts_unfiltered: root.section("explicitTargets", |explicit| {
                explicit.flag(
                    "withoutAddressFilter",
                    false,
                    "Whether explicit targets are wanted with an Envoy before 1.39, which can't \
                     take private addresses out of what a name resolves to: whoever chooses what \
                     an allowed name resolves to can then reach your network.",
                )
            }),
            resource_folder: root.section("resourcePrincipal", read_resource_folder),
        }
    }
}

fn read_resource_folder(section: &mut Section<'_>) -> Option<String> {
    let folder = section.optional_text(
        "folder",
        "With `stream.signing.principal` `resource`: the folder of the files that \
         OCI_RESOURCE_PRINCIPAL_RPST and OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM name. Envoy serves \
         these to the filter, and to nobody else.",
    );
    section.declare_form(TextForm::Pattern("^(/[A-Za-z0-9._-]+)+$"));
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        !["", ".", ".."].contains(&part)
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let is_folder = |folder: &str| {
        let parts = folder.strip_prefix('/');
        parts.is_some_and(|parts| parts.split('/').all(is_part))
    };
    if folder.as_deref().is_some_and(|folder| !is_folder(folder)) {
        let message = "must be an absolute path of letters, digits, dots, hyphens and \
                       underscores, and not the root";
        section.refuse("folder", message.to_owned());
    }
    folder
}

fn read_trust(root: &mut Section<'_>) -> String {
    let trust = root.text(
        "trust",
        "/etc/ssl/certs/ca-certificates.crt",
        "Certificates of the authorities by which https servers are verified, a file in PEM as \
         Envoy finds it.",
    );
    refuse_control(root, "trust", Some(&trust));
    trust
}

fn read_stream(stream: &mut Section<'_>) -> (Option<Origin>, Option<String>, bool) {
    let url = stream.required_text(
        "url",
        "Where Envoy reaches the Stream's messages endpoint: a URL without a path, such as \
         http://127.0.0.1:8090.",
    );
    let origin = origin(stream, "url", Some(url).filter(|url| !url.is_empty()));
    let authority = stream.optional_text(
        "authority",
        "Host that the endpoint expects. Without it: that of the URL.",
    );
    let several_servers = stream.flag(
        "severalServers",
        false,
        "Whether the URL's name resolves to several stream servers in front of Kafka. Envoy then \
         asks each of them every second whether it is ready (/ready), and leaves out those that \
         aren't.",
    );
    (origin, authority, several_servers)
}

impl Gateway {
    fn read(gateway: &mut Section<'_>) -> Self {
        let address = gateway.optional_text(
            "address",
            "Where the gateway listens, or a sidecar for others. Without it: 127.0.0.1, and \
             0.0.0.0 in a container.",
        );
        if address
            .as_deref()
            .is_some_and(|address| address.parse::<IpAddr>().is_err())
        {
            gateway.refuse("address", "must be an IP address".to_owned());
        }
        Self {
            address,
            port: port(gateway, "port", 10_000, "The port of that listener."),
            routes: gateway.optional_text(
                "routes",
                "File beside this one with your routes: a YAML list in Envoy's words (`routes` of \
                 a virtual host). Without it: all goes to `function`, which is a cluster's name \
                 there.",
            ),
            filters: gateway.optional_text(
                "filters",
                "File beside this one with HTTP filters that stand before ours, such as \
                 authentication: a YAML list in Envoy's words.",
            ),
            clusters: gateway.optional_text(
                "clusters",
                "File beside this one with clusters that your routes or filters need: a YAML list \
                 in Envoy's words.",
            ),
        }
    }
}

impl Ports {
    fn read(ports: &mut Section<'_>) -> Self {
        Self {
            admin: port(
                ports,
                "admin",
                9901,
                "Envoy's admin interface, on loopback.",
            ),
            drain: port(
                ports,
                "drain",
                10_001,
                "The drain's listener, on loopback: only Envoy's own health check calls it.",
            ),
            outbound: port(
                ports,
                "outbound",
                10_002,
                "Where a sidecar's application makes its calls, on loopback.",
            ),
            probe: ports.optional_integer(
                "probe",
                1..=65_535,
                65_535,
                "a TCP port",
                "Where a platform asks, at the gateway's address, whether Envoy takes requests \
                 (/ready) and for its metrics (/stats/prometheus). Nothing else of the admin \
                 interface is reached by it. Without it: nowhere.",
            ),
        }
    }
}

impl Loopback {
    fn read(loopback: &mut Section<'_>) -> Self {
        let variable = loopback.text(
            "secretEnvironment",
            "SLUICE_LOOPBACK_SECRET",
            "Environment variable of Envoy with the secret: 32 characters or more, such as \
             `openssl rand -hex 32` gives. Not the secret itself.",
        );
        loopback.declare_form(TextForm::Pattern("^[A-Za-z_][A-Za-z0-9_]*$"));
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if variable.starts_with(|first: char| first.is_ascii_digit())
            || !variable.chars().all(is_part)
        {
            let message = "must be the name of an environment variable, not a secret itself";
            loopback.refuse("secretEnvironment", message.to_owned());
        }
        let folder = loopback.optional_text(
            "pipes",
            "Folder for Unix sockets, which only Envoy's user may enter. They take the place of \
             the three ports, and the principals `resource` and `workload` need it for files.",
        );
        refuse_control(loopback, "pipes", folder.as_deref());
        if folder
            .as_deref()
            .is_some_and(|folder| !folder.starts_with('/') || folder.len() > 80)
        {
            let message = "must be an absolute path of up to 80 characters";
            loopback.refuse("pipes", message.to_owned());
        }
        Self {
            variable,
            folder,
            dispatch: port(loopback, "dispatchPort", 10_003, "Where calls re-enter."),
            egress_https: port(
                loopback,
                "httpsPort",
                10_004,
                "The way of explicit https targets.",
            ),
            egress_http: port(
                loopback,
                "httpPort",
                10_005,
                "The way of explicit http targets.",
            ),
        }
    }
}

fn read_services(sidecar: &mut Section<'_>) -> Vec<Service> {
    let meaning = "Services that the application calls through its sidecar.";
    sidecar.list("services", SERVICES_MAX, meaning, |service| {
        let name = name(
            service,
            "name",
            None,
            "A name for it: lower-case letters, digits, hyphens.",
        );
        let url = service.required_text("url", "Where it is: a URL without a path.");
        let origin = origin(service, "url", Some(url).filter(|url| !url.is_empty()));
        let hosts = service.texts(
            "hosts",
            HOSTS_MAX,
            &[],
            "The Hosts by which the application calls it; `*.` before a name is for all below it. \
             Without any: that of the URL.",
        );
        let is_host = |host: &String| {
            let name = host.strip_prefix("*.").unwrap_or(host);
            !name.is_empty()
                && name
                    .chars()
                    .all(|one| one.is_ascii_alphanumeric() || "-.".contains(one))
        };
        if !hosts.iter().all(is_host) {
            service.refuse("hosts", "must be names, without ports".to_owned());
        }
        Service {
            name,
            origin,
            hosts,
        }
    })
}
