//! Puts the pieces together for a host.

use std::fmt;

use minijinja::value::Serde;
use serde::Deserialize as _;

use crate::context::{
    Called, Context, Environment, Front, GatewayNames, IstioNames, Ports, Server, Settings,
    Sockets, Ways,
};
use crate::form::Host;
use crate::input::{Input, Signs};
use crate::origin::Origin;
use crate::plugins::Plugins;
use crate::ranges::{judged, taken_out};
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
/// When a file that the input names breaks the YAML that it is put into.
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
        serde_json::Value::deserialize(document).map_err(|error| {
            let files = "look at the files of gateway.routes, gateway.filters, gateway.clusters";
            RenderError(format!(
                "what would be written is no YAML ({error}): {files}"
            ))
        })?;
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
    let gateway_address = if host == Host::Compose {
        "0.0.0.0"
    } else {
        "127.0.0.1"
    };
    let module = if is_in_container {
        MODULE_IN_CONTAINER
    } else {
        MODULE
    };
    let gateway = &settings.gateway;
    let address = gateway.address.as_deref().unwrap_or(gateway_address);
    let server = |origin: &Option<Origin>| origin.as_ref().map(Server::at);
    let (function, stream) = (server(&settings.function), server(&settings.stream));
    let is_near =
        |server: &Option<Server>| server.as_ref().is_some_and(|one| one.host == "127.0.0.1");
    let is_there = |name: &&str| input.has_egress || !EGRESS.contains(name);
    let istio = IstioNames::of(&settings.istio);
    let loopback = &settings.loopback;
    let eg = GatewayNames::of(&settings.envoy_gateway, settings.ports, loopback);
    Context {
        host: host.name(),
        head: head(host),
        source,
        output,
        module: settings.module.as_deref().unwrap_or(module),
        trust: &settings.trust,
        gateway: Front {
            address,
            port: gateway.port,
        },
        ports: Ports::of(settings.ports),
        is_local: address == "127.0.0.1" && is_near(&function) && is_near(&stream),
        function,
        stream,
        services: settings.services.iter().map(Called::service).collect(),
        own_routes: input.fragments.routes.as_deref(),
        own_filters: input.fragments.filters.as_deref(),
        own_clusters: input.fragments.clusters.as_deref(),
        own_cluster_names: CLUSTERS.into_iter().filter(is_there).collect(),
        own_listener_names: LISTENERS.into_iter().filter(is_there).collect(),
        environment: environment(input),
        plugins: settings_of(&input.plugins),
        loopback: (!settings.internal_listeners).then(|| Sockets::of(loopback)),
        ways: ways(input, &eg),
        image: image(input),
        routes_by_name: match host {
            Host::Istio => Some(istio.routes.clone()),
            Host::EnvoyGateway => Some(eg.xds_routes.clone()),
            Host::Envoy | Host::EnvoyOci | Host::Sidecar | Host::Compose => None,
        },
        istio,
        eg,
        ranges: judged(),
        address_filter: taken_out(),
        has_address_filter: form.envoy.has_address_filter(),
        has_function: host.is_bootstrap(),
        has_signing: input.variables.signs.is_some(),
        key_variable: match &input.variables.signs {
            Some(Signs::Key(variable)) => variable,
            Some(Signs::Principal) | None => "",
        },
        allows_targets: input.allows_targets,
        is_sidecar: host == Host::Sidecar,
        is_in_container,
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
