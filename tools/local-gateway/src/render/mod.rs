//! Writes a configuration of a gateway or a sidecar with other ports, another function and other
//! plugin settings.
//!
//! The configurations in `envoy/` work as they stand. They are edited by structure, not by text:
//! what is looked for by name and not found is an error that says so.

pub mod egress;
mod merge;
mod target;
mod versions;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub use merge::merge_patch;
pub use target::{Target, add_target, authorities, change_routes};
pub use versions::{UnfilteredTargets, for_envoy};

/// What to change.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Where the gateway listens: loopback, except in a container, whose published ports arrive at
    /// its other address. Envoy's admin interface, which can stop it, stays on loopback.
    pub listen: IpAddr,
    /// Where clients reach the gateway, or others the sidecar.
    pub gateway_port: u16,
    /// Envoy's admin interface.
    pub admin_port: u16,
    /// The stream server's host.
    pub stream_host: String,
    /// The stream server's port.
    pub stream_port: u16,
    /// The drain's listener.
    pub drain_port: u16,
    /// Where the route `/` goes: the function, or the sidecar's application.
    pub function: Target,
    /// The built filter.
    pub filter: PathBuf,
    /// Merged into the accept filter's settings (RFC 7396).
    pub accept_patch: Option<Value>,
    /// Merged into the drain's settings (RFC 7396).
    pub drain_patch: Option<Value>,
    /// How often Envoy sums its metrics up, where that is to be other than its default.
    pub stats_flush_interval: Option<Duration>,
}

/// How the parts are named that a gateway and a sidecar have both.
#[derive(Clone, Copy, Debug)]
struct Names {
    /// The listener that others reach.
    front: &'static str,
    /// The listeners with an accept filter.
    accepting: &'static [&'static str],
    /// The cluster of what is called.
    function: &'static str,
}

impl Names {
    fn of(config: &mut Value) -> Self {
        if listener(config, "inbound").is_ok() {
            return Self {
                front: "inbound",
                accepting: &["inbound", "outbound"],
                function: "application",
            };
        }
        Self {
            front: "gateway",
            accepting: &["gateway"],
            function: "function",
        }
    }
}

/// The changed configuration. A sidecar's listener `outbound` and the services that its application
/// calls stay as they are.
///
/// # Errors
/// When the text is no YAML or has no place for one of the changes.
pub fn render(yaml: &str, changes: &Changes) -> Result<Value> {
    let mut config: Value = yaml_serde::from_str(yaml).context("the configuration is no YAML")?;
    *at(&mut config, "/admin/address/socket_address/port_value")? = json!(changes.admin_port);
    if let Some(interval) = changes.stats_flush_interval {
        let seconds = format!("{}s", interval.as_secs_f64());
        let root = config
            .as_object_mut()
            .context("the configuration is no mapping")?;
        root.insert("stats_flush_interval".into(), json!(seconds));
    }

    let loopback = json!(Ipv4Addr::LOCALHOST);
    *at(&mut config, "/admin/address/socket_address/address")? = loopback;
    let names = Names::of(&mut config);
    let front = listener(&mut config, names.front)?;
    *at(front, "/address/socket_address/address")? = json!(changes.listen);
    *listener_port(&mut config, names.front)? = json!(changes.gateway_port);
    *listener_port(&mut config, "drain")? = json!(changes.drain_port);
    *endpoint(cluster(&mut config, "drain")?, "port_value")? = json!(changes.drain_port);
    *endpoint(cluster(&mut config, "stream")?, "address")? = json!(changes.stream_host);
    *endpoint(cluster(&mut config, "stream")?, "port_value")? = json!(changes.stream_port);
    target::apply(&mut config, names, &changes.function)?;
    // Somebody's own configuration need not have explicit targets.
    let has_targets = cluster(&mut config, "targets-https").is_ok();
    if let Some(authorities) = authorities().filter(|_| has_targets) {
        egress::trust(&mut config, &authorities)?;
    }

    let accepting = names.accepting.iter();
    let plugins = accepting.map(|name| (*name, "sluice.accept", &changes.accept_patch));
    let drain = ("drain", "sluice.drain", &changes.drain_patch);
    // Somebody's own configuration need not have these.
    let answering = ["dispatch", "egress-https", "egress-http"];
    let answering: Vec<_> = answering
        .into_iter()
        .filter(|name| {
            let listener = listener(&mut config, name);
            listener.is_ok_and(|listener| http_filter(listener, "sluice.answer").is_ok())
        })
        .map(|name| (name, "sluice.answer", &None))
        .collect();
    for (listener_name, filter_name, patch) in plugins.chain([drain]).chain(answering) {
        let filter = http_filter(listener(&mut config, listener_name)?, filter_name)?;
        let code = at(filter, "/typed_config/config/vm_config/code/local/filename")?;
        *code = json!(changes.filter);
        if let Some(patch) = patch {
            merge_configuration(filter, patch)?;
        }
    }
    Ok(config)
}

/// Changes a plugin configuration, which stands in Envoy's as a string of JSON.
fn merge_configuration(filter: &mut Value, patch: &Value) -> Result<()> {
    let text = at(filter, "/typed_config/config/configuration/value")?;
    let mut settings: Value = serde_json::from_str(text.as_str().unwrap_or_default())
        .context("a plugin configuration is no JSON")?;
    merge_patch(&mut settings, patch);
    *text = json!(settings.to_string());
    Ok(())
}

/// What stands at this JSON pointer.
///
/// # Errors
/// When nothing does.
pub fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value> {
    value
        .pointer_mut(pointer)
        .with_context(|| format!("the configuration has no {pointer}"))
}

/// The listener of this name.
///
/// # Errors
/// When there is none.
pub fn listener<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    named(at(config, "/static_resources/listeners")?, name, "listener")
}

/// The cluster of this name.
///
/// # Errors
/// When there is none.
pub fn cluster<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    named(at(config, "/static_resources/clusters")?, name, "cluster")
}

/// The HTTP filter of this name in the first filter chain of a listener.
///
/// # Errors
/// When there is none.
pub fn http_filter<'a>(listener: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    let filters = at(
        listener,
        "/filter_chains/0/filters/0/typed_config/http_filters",
    )?;
    named(filters, name, "HTTP filter")
}

fn named<'a>(list: &'a mut Value, name: &str, kind: &str) -> Result<&'a mut Value> {
    let Some(entries) = list.as_array_mut() else {
        bail!("the {kind}s are no list")
    };
    entries
        .iter_mut()
        .find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
        .with_context(|| format!("the configuration has no {kind} named '{name}'"))
}

/// The port of the listener of this name.
///
/// # Errors
/// When there is none, or it is internal.
pub fn listener_port<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    at(
        listener(config, name)?,
        "/address/socket_address/port_value",
    )
}

/// `address` or `port_value` of a cluster's first endpoint.
///
/// # Errors
/// When it has none.
pub fn endpoint<'a>(cluster: &'a mut Value, member: &str) -> Result<&'a mut Value> {
    const SOCKET: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
    at(cluster, &format!("{SOCKET}/socket_address/{member}"))
}

#[cfg(test)]
mod tests;
