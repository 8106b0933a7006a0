//! Puts the pieces together for a host.

use std::fmt;

use minijinja::value::Serde;
use serde::Deserialize as _;

use crate::context::{
    Called, Context, Environment, Front, GatewayNames, IstioNames, Ports, PrincipalNames, Server,
    Settings, Sockets, Ways,
};
use crate::form::Host;
use crate::guard;
use crate::input::Input;
use crate::origin::Origin;
use crate::plugins::Plugins;
use crate::principal::Principal;
use crate::ranges::{judged, taken_out};
use crate::settings::Way;
use crate::template;

/// Where the filter is unless the input says something else.
const MODULE: &str = "target/dist/sluice.wasm";
/// The same in a container.
const MODULE_IN_CONTAINER: &str = "/etc/envoy/sluice.wasm";

/// The clusters that are the same for everybody.
const CLUSTERS: [&str; 6] = [
    "dispatch",
    "egress-https",
    "egress-http",
    "targets-https",
    "targets-http",
    "drain",
];
/// The listeners that are the same for everybody.
const LISTENERS: [&str; 4] = ["dispatch", "egress-https", "egress-http", "drain"];

/// What leads to explicit targets.
const EGRESS: [&str; 4] = [
    "egress-https",
    "egress-http",
    "targets-https",
    "targets-http",
];

/// Why nothing can be written. With an input that was found right, that is what stands in a file
/// that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError(String);

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for RenderError {}

/// Writes what the input's host needs. `source` and `output` are the files' names, for the comment
/// at the top.
///
/// # Errors
/// When a file that the input names breaks the YAML that it is put into, has a cluster that is
/// there already, or leads to what is for the filter alone.
pub fn render(
    input: &Input,
    source: Option<&str>,
    output: Option<&str>,
) -> Result<String, RenderError> {
    let context = context(
        input,
        source.and_then(in_comment),
        output.and_then(in_comment),
    );
    let name = match input.form.host {
        Host::Istio => "istio.yaml",
        Host::EnvoyGateway => "envoy-gateway.yaml",
        Host::Envoy | Host::EnvoyOci | Host::Sidecar | Host::Compose => "bootstrap.yaml",
    };
    let failed = |error: minijinja::Error| RenderError(format!("{error:#}"));
    let environment = template::environment().map_err(failed)?;
    let template = environment.get_template(name).map_err(failed)?;
    let text = template.render(Serde(&context)).map_err(failed)?;
    for document in yaml_serde::Deserializer::from_str(&text) {
        let files = "look at the files of gateway.routes, gateway.filters, gateway.clusters";
        let config = serde_json::Value::deserialize(document).map_err(|error| {
            RenderError(format!(
                "what would be written is no YAML ({error}): {files}"
            ))
        })?;
        guard::judge(&config, input.principal.as_ref())
            .map_err(|why| RenderError(format!("{why} ({files})")))?;
    }
    Ok(text)
}

/// A name that can stand in a comment.
fn in_comment(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.chars().any(char::is_control))
}

fn context<'a>(input: &'a Input, source: Option<&'a str>, output: Option<&'a str>) -> Context<'a> {
    let (settings, form) = (&input.settings, input.form);
    let host = form.host;
    let is_in_container = matches!(host, Host::Compose | Host::Istio | Host::EnvoyGateway);
    let (usual_address, usual_module) = usual(host);
    let gateway = &settings.gateway;
    let address = gateway.address.as_deref().unwrap_or(usual_address);
    let server = |origin: &Option<Origin>| origin.as_ref().map(Server::at);
    let (function, stream) = (server(&settings.function), server(&settings.stream));
    let is_near =
        |server: &Option<Server>| server.as_ref().is_some_and(|one| one.host == "127.0.0.1");
    let principal = input.principal.as_ref();
    let there = |pieces: &[&'static str], more: Option<&[&'static str]>| {
        let all = pieces.iter().chain(more.unwrap_or_default()).copied();
        all.filter(|name| input.has_egress || !EGRESS.contains(name))
            .collect()
    };
    let istio = IstioNames::of(&settings.istio);
    let is_inbound = host == Host::Istio && settings.istio.way == Way::Inbound;
    let application = is_inbound.then(|| format!("inbound|{}||", settings.istio.port));
    let loopback = &settings.loopback;
    let eg = GatewayNames::of(&settings.envoy_gateway, settings.ports, loopback);
    Context {
        host: host.name(),
        head: head(host),
        source,
        output,
        module: settings.module.as_deref().unwrap_or(usual_module),
        trust: &settings.trust,
        gateway: Front {
            address,
            port: gateway.port,
        },
        ports: Ports::of(settings.ports),
        is_local: address == "127.0.0.1" && is_near(&function) && is_near(&stream),
        function,
        asked_by: asked_by(settings),
        stream,
        services: settings.services.iter().map(Called::service).collect(),
        own_routes: input.fragments.routes.as_deref(),
        own_filters: input.fragments.filters.as_deref(),
        own_clusters: input.fragments.clusters.as_deref(),
        own_cluster_names: there(&CLUSTERS, principal.map(Principal::clusters)),
        own_listener_names: there(&LISTENERS, principal.map(Principal::listeners)),
        environment: environment(input),
        plugins: settings_of(&input.plugins),
        loopback: (!settings.internal_listeners).then(|| Sockets::of(loopback)),
        ways: ways(input, &eg),
        image: image(input),
        routes_by_name: match host {
            Host::Istio => application.is_none().then(|| istio.routes.clone()),
            Host::EnvoyGateway => Some(eg.xds_routes.clone()),
            Host::Envoy | Host::EnvoyOci | Host::Sidecar | Host::Compose => None,
        },
        application,
        istio,
        eg,
        ranges: judged(),
        address_filter: taken_out(),
        has_address_filter: form.envoy.has_address_filter(),
        has_function: host.is_bootstrap(),
        has_signing: principal.is_some() || input.variables.key.is_some(),
        key_variable: input.variables.key.as_deref(),
        principal: principal.map(|principal| PrincipalNames::of(principal, settings)),
        allows_targets: input.allows_targets,
        is_sidecar: host == Host::Sidecar,
        is_in_container,
    }
}

/// The host by which each of several stream servers is asked whether it is ready.
fn asked_by(settings: &crate::settings::Settings) -> Option<&str> {
    let authority = settings.authority.as_deref();
    let host = authority.or_else(|| settings.stream.as_ref().map(Origin::host));
    host.filter(|_| settings.several_servers)
}

/// Where a gateway listens, and where its filter is, unless the input says something else.
const fn usual(host: Host) -> (&'static str, &'static str) {
    match host {
        Host::Envoy | Host::EnvoyOci | Host::Sidecar => ("127.0.0.1", MODULE),
        Host::Compose => ("0.0.0.0", MODULE_IN_CONTAINER),
        Host::Istio | Host::EnvoyGateway => ("127.0.0.1", MODULE_IN_CONTAINER),
    }
}

/// The image that the filter comes as, where the host fetches one.
fn image(input: &Input) -> Option<&str> {
    let image = input.settings.envoy_gateway.image.as_deref();
    image.filter(|_| input.form.host == Host::EnvoyGateway)
}

fn ways(input: &Input, eg: &GatewayNames<'_>) -> Ways {
    if !input.settings.internal_listeners {
        Ways::outside(&input.settings.loopback)
    } else if image(input).is_some() {
        Ways::inside(|piece| eg.listener_of(piece))
    } else {
        Ways::inside(str::to_owned)
    }
}

const fn head(host: Host) -> &'static str {
    match host {
        Host::Envoy | Host::EnvoyOci | Host::Compose => "head/envoy.txt",
        Host::Sidecar => "head/sidecar.txt",
        Host::Istio => "head/istio.txt",
        Host::EnvoyGateway => "head/envoy-gateway.txt",
    }
}

fn environment(input: &Input) -> Environment<'_> {
    let (accept, drain) = (&input.variables.accept, &input.variables.drain);
    let mut all: Vec<&str> = Vec::new();
    for name in accept.iter().chain(drain) {
        if !all.contains(&name.as_str()) {
            all.push(name);
        }
    }
    Environment { accept, drain, all }
}

fn settings_of(plugins: &Plugins) -> Settings<'_> {
    Settings {
        accept: &plugins.accept,
        inbound: &plugins.inbound,
        drain: &plugins.drain,
        answer: &plugins.answer,
    }
}
