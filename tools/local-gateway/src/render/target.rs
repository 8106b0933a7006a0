//! Where the gateway's route `/` goes.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};
pub use sluice_render::Origin as Target;

use super::{Names, at, cluster, endpoint, listener};

/// Where systems keep the certificate authorities that they trust.
const AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends the cluster of what is called there.
pub(super) fn apply(config: &mut Value, names: Names, target: &Target) -> Result<()> {
    let function = cluster(config, names.function)?;
    *endpoint(function, "address")? = json!(target.host());
    *endpoint(function, "port_value")? = json!(target.port());
    // `localhost` may name both loopback addresses, and most servers listen on the older one.
    set(function, "dns_lookup_family", json!("V4_PREFERRED"))?;
    if !target.is_tls() {
        return Ok(());
    }
    set(function, "transport_socket", tls(target)?)?;
    // A server behind TLS chooses by the name that it is called: that is its own, not ours.
    for name in names.accepting.iter().chain(&["dispatch"]) {
        rewrite_host(listener(config, name)?, names.function)?;
    }
    Ok(())
}

/// Adds a cluster for a server on this machine, and routes what begins with `/NAME` there.
///
/// # Errors
/// When the configuration has no cluster `function` to take after, or no routes.
pub fn add_target(config: &mut Value, name: &str, port: u16) -> Result<()> {
    let mut added = cluster(config, "function")?.clone();
    *at(&mut added, "/name")? = json!(name);
    *at(&mut added, "/load_assignment/cluster_name")? = json!(name);
    *endpoint(&mut added, "port_value")? = json!(port);
    at(config, "/static_resources/clusters")?
        .as_array_mut()
        .context("clusters is no list")?
        .push(added);
    let route = json!({
        "match": { "path_separated_prefix": format!("/{name}") },
        "route": { "cluster": name, "timeout": "30s" },
    });
    change_routes(config, |routes| routes.insert(0, route.clone()))
}

/// Changes the routes of both listeners that have the gateway's routes.
///
/// # Errors
/// When they are not where they were.
pub fn change_routes(config: &mut Value, change: impl Fn(&mut Vec<Value>)) -> Result<()> {
    const ROUTES: &str =
        "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
    for name in ["gateway", "dispatch"] {
        let routes = at(listener(config, name)?, ROUTES)?;
        change(routes.as_array_mut().context("routes is no list")?);
    }
    Ok(())
}

/// Where the certificate authorities are that this machine trusts, in PEM.
#[must_use]
pub fn authorities() -> Option<PathBuf> {
    let chosen = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    chosen
        .into_iter()
        .chain(AUTHORITIES.iter().map(PathBuf::from))
        .find(|file| file.is_file())
}

fn tls(target: &Target) -> Result<Value> {
    let authorities = authorities().context(
        "no trusted certificate authorities are here for an https target: \
         run 'apt-get install ca-certificates' or set SSL_CERT_FILE",
    )?;
    let (host, is_address) = (target.host(), target.is_address());
    let kind = if is_address { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type":
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            // Unless it is told, Envoy offers servers no more than 1.2.
            "tls_params": { "tls_maximum_protocol_version": "TLSv1_3" },
            "validation_context": {
                "trusted_ca": { "filename": authorities },
                "match_typed_subject_alt_names":
                    [{ "san_type": kind, "matcher": { "exact": host } }],
            },
        },
    });
    if !is_address {
        set(&mut context, "sni", json!(host))?;
    }
    Ok(json!({ "name": "envoy.transport_sockets.tls", "typed_config": context }))
}

fn rewrite_host(listener: &mut Value, function: &str) -> Result<()> {
    const HOSTS: &str = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts";
    let hosts = at(listener, HOSTS)?
        .as_array_mut()
        .context("virtual_hosts is no list")?;
    let routes = hosts
        .iter_mut()
        .filter_map(|host| host.get_mut("routes").and_then(Value::as_array_mut))
        .flatten()
        .filter_map(|route| route.get_mut("route"));
    for route in routes.filter(|route| route.get("cluster") == Some(&json!(function))) {
        set(route, "auto_host_rewrite", json!(true))?;
    }
    Ok(())
}

fn set(object: &mut Value, member: &str, value: Value) -> Result<()> {
    let object = object
        .as_object_mut()
        .with_context(|| format!("no place for {member}"))?;
    object.insert(member.to_owned(), value);
    Ok(())
}
