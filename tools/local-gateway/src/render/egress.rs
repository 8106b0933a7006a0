//! The two listeners through which explicit targets are called.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{at, cluster, http_filter, listener};

/// The addresses that tests call.
const LOOPBACK: (&str, u8) = ("127.0.0.0", 8);

const MATCHER: &str = "envoy.rbac.matchers.upstream_ip_port";
const MATCHER_TYPE: &str =
    "type.googleapis.com/envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher";

/// Lets explicit targets be on 127.0.0.0/8, in both places that judge addresses: what an operator
/// does by hand for a network of their own.
///
/// # Errors
/// When the listeners or clusters are not where they were.
pub fn allow_loopback(config: &mut Value) -> Result<()> {
    let (address, length) = LOOPBACK;
    for scheme in ["https", "http"] {
        let egress = listener(config, &format!("egress-{scheme}"))?;
        let judge = http_filter(egress, "envoy.filters.http.rbac")?;
        let policies = at(judge, "/typed_config/rules/policies")?;
        policies
            .as_object_mut()
            .context("the policies are no mapping")?
            .insert(
                "own-network".to_owned(),
                json!({
                    "principals": [{ "any": true }],
                    "permissions": [{ "matcher": {
                        "name": MATCHER,
                        "typed_config": {
                            "@type": MATCHER_TYPE,
                            "upstream_ip": { "address_prefix": address, "prefix_len": length },
                        },
                    }}],
                }),
            );
        let targets = cluster(config, &format!("targets-{scheme}"))?;
        let ranges = at(
            targets,
            "/cluster_type/typed_config/dns_cache_config/resolved_address_filter/ranges",
        )?;
        ranges
            .as_array_mut()
            .context("the ranges are no list")?
            .retain(|range| range.get("address_prefix") != Some(&json!(address)));
    }
    Ok(())
}

/// Verifies explicit `https` targets by these authorities, a file in PEM.
///
/// # Errors
/// When the cluster is not where it was.
pub fn trust(config: &mut Value, authorities: &Path) -> Result<()> {
    let context = "/transport_socket/typed_config/common_tls_context/validation_context";
    let file = at(
        cluster(config, "targets-https")?,
        &format!("{context}/trusted_ca/filename"),
    )?;
    *file = json!(authorities);
    Ok(())
}
