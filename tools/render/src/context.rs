//! What the pieces of text are filled with.

use serde::Serialize;
use sluice::stream::signing::PrincipalKind;

use crate::origin::Origin;
use crate::principal::Principal;
use crate::ranges::Range;
use crate::settings::{self, EnvoyGateway, Istio, Loopback, Service, Way};

/// Where Kubernetes puts a pod's identity, and the authority by which OKE is verified.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ACCOUNT_AUTHORITY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// What the pieces are filled with.
#[derive(Serialize)]
pub(crate) struct Context<'a> {
    pub(crate) host: &'static str,
    pub(crate) head: &'static str,
    pub(crate) source: Option<&'a str>,
    pub(crate) output: Option<&'a str>,
    pub(crate) module: &'a str,
    pub(crate) trust: &'a str,
    pub(crate) gateway: Front<'a>,
    pub(crate) ports: Ports,
    pub(crate) function: Option<Server>,
    pub(crate) stream: Option<Server>,
    /// The host by which each of several stream servers is asked whether it is ready.
    pub(crate) asked_by: Option<&'a str>,
    pub(crate) services: Vec<Called<'a>>,
    pub(crate) own_routes: Option<&'a str>,
    pub(crate) own_filters: Option<&'a str>,
    pub(crate) own_clusters: Option<&'a str>,
    pub(crate) own_cluster_names: Vec<&'static str>,
    pub(crate) own_listener_names: Vec<&'static str>,
    pub(crate) environment: Environment<'a>,
    pub(crate) plugins: Settings<'a>,
    pub(crate) loopback: Option<Sockets<'a>>,
    pub(crate) ways: Ways,
    /// The image that the filter comes as, where the control plane fetches it.
    pub(crate) image: Option<&'a str>,
    pub(crate) istio: IstioNames<'a>,
    pub(crate) eg: GatewayNames<'a>,
    pub(crate) routes_by_name: Option<String>,
    /// The cluster of the application beside this Envoy, where calls go there alone.
    pub(crate) application: Option<String>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) address_filter: Vec<Range>,
    pub(crate) has_address_filter: bool,
    pub(crate) has_function: bool,
    pub(crate) has_signing: bool,
    /// The variable with the key that signs, where a key does.
    pub(crate) key_variable: Option<&'a str>,
    pub(crate) principal: Option<PrincipalNames<'a>>,
    pub(crate) allows_targets: bool,
    pub(crate) is_sidecar: bool,
    pub(crate) is_in_container: bool,
    pub(crate) is_local: bool,
}

#[derive(Serialize)]
pub(crate) struct Front<'a> {
    pub(crate) address: &'a str,
    pub(crate) port: u64,
}

#[derive(Serialize)]
pub(crate) struct Ports {
    pub(crate) admin: u64,
    pub(crate) drain: u64,
    pub(crate) outbound: u64,
    pub(crate) probe: Option<u64>,
}

impl Ports {
    pub(crate) fn of(ports: settings::Ports) -> Self {
        Self {
            admin: ports.admin,
            drain: ports.drain,
            outbound: ports.outbound,
            probe: ports.probe,
        }
    }
}

/// A server that Envoy calls.
#[derive(Serialize)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Whether the host is a name.
    pub(crate) dns: bool,
    /// Whether the server is told which name is meant.
    pub(crate) sni: bool,
    /// What its certificate has to hold.
    pub(crate) san: &'static str,
}

impl Server {
    pub(crate) fn at(origin: &Origin) -> Self {
        let is_address = origin.is_address();
        Self {
            host: origin.host().to_owned(),
            port: origin.port(),
            tls: origin.is_tls(),
            dns: !is_address,
            sni: !is_address,
            san: if is_address { "IP_ADDRESS" } else { "DNS" },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Called<'a> {
    pub(crate) name: &'a str,
    pub(crate) origin: Option<Server>,
    pub(crate) hosts: Vec<String>,
}

impl<'a> Called<'a> {
    pub(crate) fn service(service: &'a Service) -> Self {
        let own = service.origin.iter().map(|origin| origin.host().to_owned());
        let hosts = if service.hosts.is_empty() {
            own.collect()
        } else {
            service.hosts.clone()
        };
        Self {
            name: &service.name,
            origin: service.origin.as_ref().map(Server::at),
            hosts,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Environment<'a> {
    pub(crate) accept: &'a [String],
    pub(crate) drain: &'a [String],
    pub(crate) all: Vec<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Settings<'a> {
    pub(crate) accept: &'a str,
    pub(crate) inbound: &'a str,
    pub(crate) drain: &'a str,
    pub(crate) answer: &'a str,
}

/// The sockets of this machine by which calls are made.
#[derive(Serialize)]
pub(crate) struct Sockets<'a> {
    pub(crate) variable: &'a str,
    pub(crate) dispatch: String,
    pub(crate) egress_https: String,
    pub(crate) egress_http: String,
}

impl<'a> Sockets<'a> {
    pub(crate) fn of(loopback: &'a Loopback) -> Self {
        let listener = |name, port| format!("address: {}", address(loopback, name, port, true));
        Self {
            variable: &loopback.variable,
            dispatch: listener("dispatch", loopback.dispatch),
            egress_https: listener("egress-https", loopback.egress_https),
            egress_http: listener("egress-http", loopback.egress_http),
        }
    }
}

fn address(loopback: &Loopback, name: &str, port: u64, is_listener: bool) -> String {
    match &loopback.folder {
        Some(folder) => pipe(folder, name, is_listener),
        None => format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}"),
    }
}

fn pipe(folder: &str, name: &str, is_listener: bool) -> String {
    let path = serde_json::Value::from(format!("{folder}/{name}.sock"));
    // Only Envoy's user: 0600.
    let mode = if is_listener { ", mode: 384" } else { "" };
    format!("{{ pipe: {{ path: {path}{mode} }} }}")
}

/// Where our own clusters find our own listeners.
#[derive(Serialize)]
pub(crate) struct Ways {
    pub(crate) dispatch: String,
    pub(crate) egress_https: String,
    pub(crate) egress_http: String,
}

impl Ways {
    /// By sockets.
    pub(crate) fn outside(loopback: &Loopback) -> Self {
        let way = |name, port| address(loopback, name, port, false);
        Self {
            dispatch: way("dispatch", loopback.dispatch),
            egress_https: way("egress-https", loopback.egress_https),
            egress_http: way("egress-http", loopback.egress_http),
        }
    }

    /// Without any, to the listeners that `name` says.
    pub(crate) fn inside(name: impl Fn(&str) -> String) -> Self {
        let way = |piece| {
            let name = name(piece);
            format!("{{ envoy_internal_address: {{ server_listener_name: {name} }} }}")
        };
        Self {
            dispatch: way("dispatch"),
            egress_https: way("egress-https"),
            egress_http: way("egress-http"),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct IstioNames<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) labels: Vec<Label<'a>>,
    pub(crate) context: &'static str,
    pub(crate) port: u64,
    pub(crate) sni: Option<&'a str>,
    pub(crate) routes: String,
}

#[derive(Serialize)]
pub(crate) struct Label<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
}

impl<'a> IstioNames<'a> {
    pub(crate) fn of(istio: &'a Istio) -> Self {
        let labels = istio.labels.iter();
        let (context, prefix) = match istio.way {
            Way::Gateway => ("GATEWAY", "http."),
            Way::Inbound => ("SIDECAR_INBOUND", ""),
            Way::Outbound => ("SIDECAR_OUTBOUND", ""),
        };
        let own = || format!("{prefix}{}", istio.port);
        Self {
            name: &istio.name,
            namespace: &istio.namespace,
            labels: labels.map(|(name, value)| Label { name, value }).collect(),
            context,
            port: istio.port,
            sni: istio.sni.as_deref(),
            routes: istio.routes.clone().unwrap_or_else(own),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct GatewayNames<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) gateway: &'a str,
    pub(crate) listener: &'a str,
    pub(crate) pull_secret: Option<&'a str>,
    pub(crate) xds_listener: String,
    pub(crate) xds_routes: String,
    /// Leads to the listener's own filter chain, where others share its port.
    pub(crate) chain: String,
    /// The Gateway's listeners that become ours, where code comes with a listener only.
    pub(crate) sections: Vec<GatewaySection>,
}

/// A listener of the Gateway that becomes one of ours.
#[derive(Serialize)]
pub(crate) struct GatewaySection {
    /// Which of ours.
    pub(crate) piece: &'static str,
    pub(crate) section: String,
    pub(crate) port: u64,
    pub(crate) xds_listener: String,
    /// Its filter that needs the code.
    pub(crate) filter: &'static str,
}

impl<'a> GatewayNames<'a> {
    pub(crate) fn of(
        gateway: &'a EnvoyGateway,
        ports: settings::Ports,
        loopback: &Loopback,
    ) -> Self {
        let named = |section: &str, port: u64, protocol: &str| {
            if gateway.is_second_scheme {
                format!("{protocol}-{port}")
            } else {
                format!("{}/{}/{section}", gateway.namespace, gateway.gateway)
            }
        };
        let section = |piece, port, filter| {
            let section = format!("{}-{piece}", gateway.name);
            GatewaySection {
                piece,
                xds_listener: named(&section, port, "tcp"),
                section,
                port,
                filter,
            }
        };
        // Of HTTPS, each listener has its own.
        let own = format!(
            "{}/{}/{}",
            gateway.namespace, gateway.gateway, gateway.listener
        );
        let (xds_routes, chain) = if gateway.is_https {
            let chain = format!(r#"$.filter_chains[?(@.name=="{own}")]"#);
            (own, chain)
        } else {
            let routes = named(&gateway.listener, gateway.port, "http");
            (routes, String::new())
        };
        Self {
            name: &gateway.name,
            namespace: &gateway.namespace,
            gateway: &gateway.gateway,
            listener: &gateway.listener,
            pull_secret: gateway.pull_secret.as_deref(),
            xds_listener: named(&gateway.listener, gateway.port, "tcp"),
            xds_routes,
            chain,
            sections: vec![
                section("dispatch", loopback.dispatch, "sluice.answer"),
                section("egress-https", loopback.egress_https, "sluice.answer"),
                section("egress-http", loopback.egress_http, "sluice.answer"),
                section("drain", ports.drain, "sluice.drain"),
            ],
        }
    }

    /// The name by which Envoy knows one of our listeners.
    pub(crate) fn listener_of(&self, piece: &str) -> String {
        let mut sections = self.sections.iter();
        let found = sections.find(|section| section.piece == piece);
        found.map_or_else(|| piece.to_owned(), |section| section.xds_listener.clone())
    }
}

/// A principal, as the pieces have it.
#[derive(Serialize)]
pub(crate) struct PrincipalNames<'a> {
    pub(crate) kind: &'static str,
    pub(crate) auth: Option<Server>,
    /// By whom the certificate of `auth` is verified.
    pub(crate) trust: &'a str,
    /// Where a workload's files are.
    pub(crate) account: &'static str,
    /// Where a resource's files are.
    pub(crate) folder: Option<&'a str>,
    /// The socket of the listener with the files, for it and for its cluster. An internal listener
    /// would not do: Envoy's main thread, which runs the roles too, doesn't reach one.
    pub(crate) socket: Option<[String; 2]>,
    /// The folder of this socket.
    pub(crate) sockets: Option<&'a str>,
}

impl<'a> PrincipalNames<'a> {
    pub(crate) fn of(principal: &'a Principal, settings: &'a settings::Settings) -> Self {
        let is_workload = principal.kind == PrincipalKind::Workload;
        Self {
            kind: principal.kind.name(),
            auth: principal.auth.as_ref().map(Server::at),
            trust: if is_workload {
                ACCOUNT_AUTHORITY
            } else {
                &settings.trust
            },
            account: ACCOUNT,
            folder: settings.resource_folder.as_deref(),
            sockets: settings.loopback.folder.as_deref(),
            socket: settings.loopback.folder.as_deref().map(|folder| {
                [true, false].map(|is_listener| pipe(folder, "oci-files", is_listener))
            }),
        }
    }
}
