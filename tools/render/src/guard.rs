//! What the operator's own words may not do to what is written around them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::principal::Principal;

/// Judges a whole configuration of Envoy.
///
/// # Errors
/// What is wrong with it, for whoever has written `gateway.routes`, `gateway.filters` or
/// `gateway.clusters`.
pub(crate) fn judge(config: &Value, principal: Option<&Principal>) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let clusters = config.pointer("/static_resources/clusters");
    for cluster in clusters.and_then(Value::as_array).into_iter().flatten() {
        let name = cluster.get("name").and_then(Value::as_str);
        if let Some(name) = name.filter(|name| !names.insert(*name)) {
            return Err(format!(
                "there are two clusters with the name {name}: take yours out of gateway.clusters, \
                 or give it another name"
            ));
        }
    }
    let guarded = principal.map_or(&[][..], Principal::clusters);
    match leading_to(config, guarded) {
        Some(name) if guarded.contains(&name) => Err(format!(
            "something leads to the cluster {name}, which is for the filter alone: whoever reaches \
             it can act as this gateway. Lead it elsewhere"
        )),
        Some(name) => Err(format!(
            "{name} lets whoever sets that header choose {}, and act as this gateway: name the \
             clusters instead",
            guarded.join(" or ")
        )),
        None => Ok(()),
    }
}

/// Finds what leads to one of these clusters: its name, or the key that leaves it to a header.
fn leading_to<'a>(value: &'a Value, guarded: &[&str]) -> Option<&'a str> {
    if guarded.is_empty() {
        return None;
    }
    let is_guarded = |name: &&str| guarded.contains(name);
    match value {
        Value::Array(items) => items.iter().find_map(|item| leading_to(item, guarded)),
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            match key.as_str() {
                "cluster" => value.as_str().filter(is_guarded),
                "cluster_header" => Some(key.as_str()),
                "weighted_clusters" => {
                    let clusters = value.get("clusters").and_then(Value::as_array);
                    let mut names = clusters.into_iter().flatten();
                    names.find_map(|cluster| cluster.get("name")?.as_str().filter(is_guarded))
                }
                _ => None,
            }
            .or_else(|| leading_to(value, guarded))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
