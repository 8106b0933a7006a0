//! The keys of the input that are about the host; all others are the plugins' own.

use std::net::IpAddr;

use sluice::config::{Document, Section, TextForm};

use crate::origin::Origin;

/// Services that an application calls through its sidecar.
const SERVICES_MAX: usize = 64;
/// Hosts of one service.
const HOSTS_MAX: usize = 32;
/// Labels that choose a gateway's pods.
const LABELS_MAX: usize = 16;

/// What stands in the place of a text that has been refused.
const NAME: TextForm = TextForm::Pattern("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$");

/// The input's keys about the host.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) module: Option<String>,
    pub(crate) function: Option<Origin>,
    pub(crate) stream: Option<Origin>,
    pub(crate) authority: Option<String>,
    pub(crate) gateway: Gateway,
    pub(crate) ports: Ports,
    pub(crate) trust: String,
    pub(crate) internal_listeners: bool,
    pub(crate) loopback: Loopback,
    pub(crate) services: Vec<Service>,
    pub(crate) istio: Istio,
    pub(crate) envoy_gateway: EnvoyGateway,
    pub(crate) accepts_unfiltered: bool,
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

/// Which gateway of Istio.
#[derive(Clone, Debug)]
pub(crate) struct Istio {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) port: u64,
    pub(crate) routes: Option<String>,
}

/// Which gateway of Envoy Gateway.
#[derive(Clone, Debug)]
pub(crate) struct EnvoyGateway {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) gateway: String,
    pub(crate) listener: String,
    pub(crate) port: u64,
    pub(crate) is_second_scheme: bool,
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
            "Where the route `/` leads to: your function, or a sidecar's application. A URL such as \
             http://127.0.0.1:8080, without a path. Control planes have routes of their own.",
        );
        let function = origin(root, "function", function);
        let (stream, authority) = root.section("stream", read_stream);
        Self {
            module,
            function,
            stream,
            authority,
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
        }
    }
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

fn read_stream(stream: &mut Section<'_>) -> (Option<Origin>, Option<String>) {
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
    (origin, authority)
}

impl Gateway {
    fn read(gateway: &mut Section<'_>) -> Self {
        let address = gateway.optional_text(
            "address",
            "Where the gateway listens, or a sidecar for others. Without it: 127.0.0.1, and 0.0.0.0 \
             in a container.",
        );
        if address.as_deref().is_some_and(|address| address.parse::<IpAddr>().is_err()) {
            gateway.refuse("address", "must be an IP address".to_owned());
        }
        Self {
            address,
            port: port(gateway, "port", 10_000, "The port of that listener."),
            routes: gateway.optional_text(
                "routes",
                "File beside this one with your routes: a YAML list in Envoy's words (`routes` of a \
                 virtual host). Without it: all goes to `function`, which is a cluster's name there.",
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
            admin: port(ports, "admin", 9901, "Envoy's admin interface, on loopback."),
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
        if variable.starts_with(|first: char| first.is_ascii_digit()) || !variable.chars().all(is_part)
        {
            let message = "must be the name of an environment variable, not a secret itself";
            loopback.refuse("secretEnvironment", message.to_owned());
        }
        let folder = loopback.optional_text(
            "pipes",
            "Folder for Unix sockets that take the place of the three ports: only Envoy's user may \
             enter it.",
        );
        refuse_control(loopback, "pipes", folder.as_deref());
        if folder.as_deref().is_some_and(|folder| !folder.starts_with('/') || folder.len() > 80) {
            let message = "must be an absolute path of up to 80 characters";
            loopback.refuse("pipes", message.to_owned());
        }
        Self {
            variable,
            folder,
            dispatch: port(loopback, "dispatchPort", 10_003, "Where calls re-enter."),
            egress_https: port(loopback, "httpsPort", 10_004, "The way of explicit https targets."),
            egress_http: port(loopback, "httpPort", 10_005, "The way of explicit http targets."),
        }
    }
}

fn read_services(sidecar: &mut Section<'_>) -> Vec<Service> {
    let meaning = "Services that the application calls through its sidecar.";
    sidecar.list("services", SERVICES_MAX, meaning, |service| {
        let name = name(service, "name", None, "A name for it: lower-case letters, digits, hyphens.");
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
            !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || "-.:[]".contains(one))
        };
        if !hosts.iter().all(is_host) {
            service.refuse("hosts", "must be hosts, with a port or without".to_owned());
        }
        Service {
            name,
            origin,
            hosts,
        }
    })
}

impl Istio {
    fn read(istio: &mut Section<'_>) -> Self {
        let name_of = name(istio, "name", Some("sluice"), "Name of the EnvoyFilter.");
        let meaning = "Its namespace: that of the gateway's pods.";
        let namespace = name(istio, "namespace", Some("istio-system"), meaning);
        let labels = istio.texts(
            "labels",
            LABELS_MAX,
            &["istio=ingressgateway"],
            "Labels of the gateway's pods. With the Gateway API: \
             gateway.networking.k8s.io/gateway-name=NAME.",
        );
        istio.declare_form(TextForm::Pattern("^[^=]+=[^=]*$"));
        let is_part = |part: &str| part.chars().all(|one| one.is_ascii_alphanumeric() || "-._/".contains(one));
        let pair = |label: &String| {
            let (name, value) = label.split_once('=')?;
            (!name.is_empty() && is_part(name) && is_part(value))
                .then(|| (name.to_owned(), value.to_owned()))
        };
        let pairs: Vec<_> = labels.iter().filter_map(pair).collect();
        if pairs.len() < labels.len() {
            istio.refuse("labels", "must be labels such as istio=ingressgateway".to_owned());
        }
        if labels.is_empty() {
            let message = "must have a label: without any, all of the namespace's pods are changed";
            istio.refuse("labels", message.to_owned());
        }
        let port = port(
            istio,
            "port",
            8080,
            "Port at which the gateway's pods listen: the targetPort of its Service.",
        );
        let routes = istio.optional_text(
            "routes",
            "Name of Istio's routes at that port. Without it: http.PORT, which is right for HTTP. \
             For HTTPS: https.SERVICEPORT.PORTNAME.GATEWAY.NAMESPACE.",
        );
        refuse_control(istio, "routes", routes.as_deref());
        Self {
            name: name_of,
            namespace,
            labels: pairs,
            port,
            routes,
        }
    }
}

impl EnvoyGateway {
    fn read(gateway: &mut Section<'_>) -> Self {
        let meaning = "Name of the EnvoyPatchPolicy, the EnvoyProxy and the ClientTrafficPolicy.";
        let name_of = name(gateway, "name", Some("sluice"), meaning);
        let namespace = name(gateway, "namespace", Some("default"), "The Gateway's namespace.");
        let of = name(gateway, "gateway", Some("eg"), "The Gateway's name.");
        let listener = name(gateway, "listener", Some("http"), "Name of its listener, an HTTP one.");
        let port = port(gateway, "port", 80, "That listener's port.");
        let scheme = gateway.text(
            "xdsNames",
            "v1",
            "How Envoy Gateway names listeners: `v1`, after the Gateway, the default up to 1.9; \
             `v2`, after protocol and port (XDSNameSchemeV2), the default from 1.10.",
        );
        gateway.declare_form(TextForm::OneOf(vec!["v1", "v2"]));
        if !["v1", "v2"].contains(&scheme.as_str()) {
            gateway.refuse("xdsNames", "must be v1 or v2".to_owned());
        }
        Self {
            name: name_of,
            namespace,
            gateway: of,
            listener,
            port,
            is_second_scheme: scheme == "v2",
        }
    }
}

fn port(section: &mut Section<'_>, key: &'static str, default: u64, meaning: &'static str) -> u64 {
    section.integer(key, 1..=65_535, default, "a TCP port", meaning)
}

/// Reads the name of an object or a cluster.
fn name(
    section: &mut Section<'_>,
    key: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> String {
    let text = match default {
        Some(default) => section.text(key, default, meaning),
        None => section.required_text(key, meaning),
    };
    section.declare_form(NAME);
    let is_part = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || "-.".contains(one);
    let is_edge = |one: char| "-.".contains(one);
    if !text.chars().all(is_part) || text.starts_with(is_edge) || text.ends_with(is_edge) {
        let message = "must be lower-case letters, digits, hyphens and dots";
        section.refuse(key, message.to_owned());
    }
    text
}

fn origin(section: &mut Section<'_>, key: &'static str, url: Option<String>) -> Option<Origin> {
    match url?.parse() {
        Ok(origin) => Some(origin),
        Err(error) => {
            section.refuse(key, format!("must be the URL of a server: {error}"));
            None
        }
    }
}

fn refuse_control(section: &mut Section<'_>, key: &'static str, text: Option<&str>) {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        section.refuse(key, "must have no control characters".to_owned());
    }
}
