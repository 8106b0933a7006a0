//! The configurations in `envoy/` are for the newest Envoys: what an older one lacks is taken out.

use anyhow::{Context, Result, bail};
use provision::envoy::{OLDEST, Version};
use serde_json::Value;

use super::{at, http_filter, listener};

/// The first that takes private addresses out of what a name resolves to
/// (`resolved_address_filter`). Older ones refuse a configuration that asks for it.
const ADDRESS_FILTER: Version = Version::new(1, 39, 0);

/// What leads to explicit targets: two listeners, and four clusters.
const EGRESS_LISTENERS: [&str; 2] = ["egress-https", "egress-http"];
const EGRESS_CLUSTERS: [&str; 4] = [
    "egress-https",
    "egress-http",
    "targets-https",
    "targets-http",
];

/// What becomes of explicit targets with an Envoy that can't filter the addresses that a name
/// resolves to. Only one of these addresses is judged there, and Envoy may connect to another one
/// (`docs/explicit-targets.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnfilteredTargets {
    /// There are none: what leads to them is taken out.
    #[default]
    Refused,
    /// They are called all the same. Whoever may choose a name that the allow-list allows, or
    /// answers for it, may then reach private addresses.
    Accepted,
}

/// Takes out what an Envoy of this version doesn't know. From 1.39 on the configuration stays as
/// it is. Somebody's own configuration need not have what leads to explicit targets.
///
/// # Errors
/// When the version isn't supported, when explicit targets or replies to URLs are allowed that
/// would have to be called unfiltered, and when the configuration isn't one of a gateway.
pub fn for_envoy(
    config: &mut Value,
    version: Version,
    unfiltered: UnfilteredTargets,
) -> Result<()> {
    if version < OLDEST {
        bail!("Envoy {version} is too old: at least {OLDEST} is needed");
    }
    if version >= ADDRESS_FILTER {
        return Ok(());
    }
    if unfiltered == UnfilteredTargets::Accepted {
        return drop_address_filters(config);
    }
    let mut allowed = Vec::new();
    collect_allowed(config, &mut allowed);
    if !allowed.is_empty() {
        bail!(
            "explicit targets are refused with Envoy {version}, because it can't keep a name from \
             leading to a private address: use Envoy {ADDRESS_FILTER} or newer, or accept that \
             (docs/explicit-targets.md), or take out the rules of {}",
            allowed.join(", ")
        );
    }
    drop_egress(config)
}

fn drop_address_filters(config: &mut Value) -> Result<()> {
    for cluster in list(config, "clusters")? {
        let cache = cluster.pointer_mut("/cluster_type/typed_config/dns_cache_config");
        if let Some(cache) = cache.and_then(Value::as_object_mut) {
            cache.remove("resolved_address_filter");
        }
    }
    Ok(())
}

fn drop_egress(config: &mut Value) -> Result<()> {
    let is_named = |value: &Value, names: &[&str]| {
        let name = value.get("name").and_then(Value::as_str);
        name.is_some_and(|name| names.contains(&name))
    };
    list(config, "listeners")?.retain(|listener| !is_named(listener, &EGRESS_LISTENERS));
    list(config, "clusters")?.retain(|cluster| !is_named(cluster, &EGRESS_CLUSTERS));
    let drain = http_filter(listener(config, "drain")?, "sluice.drain")?;
    let text = at(drain, "/typed_config/config/configuration/value")?;
    let mut settings: Value = serde_json::from_str(text.as_str().unwrap_or_default())
        .context("the drain's settings are no JSON")?;
    if let Some(dispatch) = settings.get_mut("dispatch").and_then(Value::as_object_mut) {
        dispatch.remove("httpsCluster");
        dispatch.remove("httpCluster");
    }
    *text = settings.to_string().into();
    Ok(())
}

fn list<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Vec<Value>> {
    at(config, &format!("/static_resources/{name}"))?
        .as_array_mut()
        .with_context(|| format!("{name} is no list"))
}

/// Finds the allow-lists of our plugins that allow something, wherever they stand, as
/// `NAME: $.PATH`.
fn collect_allowed(value: &Value, found: &mut Vec<String>) {
    if let Some(plugin) = value.get("root_id").and_then(|_| value.get("name")) {
        let settings = value.pointer("/configuration/value");
        let settings = settings.and_then(Value::as_str).unwrap_or_default();
        let settings: Value = serde_json::from_str(settings).unwrap_or_default();
        let lists = ["targets", "replies"].iter().filter(|list| {
            let rules = settings.pointer(&format!("/{list}/allow"));
            let rules = rules.and_then(Value::as_array);
            rules.is_some_and(|rules| !rules.is_empty())
        });
        let plugin = plugin.as_str().unwrap_or_default();
        found.extend(lists.map(|list| format!("{plugin}: $.{list}.allow")));
    }
    match value {
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| collect_allowed(element, found)),
        Value::Object(members) => members
            .values()
            .for_each(|member| collect_allowed(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cluster, merge_patch};
    use super::*;
    use serde_json::json;

    const FILES: [&str; 4] = [
        include_str!("../../../../envoy/gateway.yaml"),
        include_str!("../../../../envoy/gateway.oci.yaml"),
        include_str!("../../../../envoy/gateway.jwt.yaml"),
        include_str!("../../../../envoy/sidecar.yaml"),
    ];
    const OLD: Version = Version::new(1, 38, 9);

    fn parsed(yaml: &str) -> Value {
        yaml_serde::from_str(yaml).unwrap()
    }

    #[test]
    fn from_1_39_on_nothing_changes() {
        for yaml in FILES {
            let mut config = parsed(yaml);
            for version in [Version::new(1, 39, 0), Version::new(2, 0, 0)] {
                for_envoy(&mut config, version, UnfilteredTargets::Refused).unwrap();
                assert_eq!(config, parsed(yaml));
            }
        }
    }

    #[test]
    fn an_older_one_has_no_way_to_explicit_targets() {
        for yaml in FILES {
            let mut config = parsed(yaml);
            for_envoy(&mut config, OLD, UnfilteredTargets::Refused).unwrap();
            let text = config.to_string();
            for gone in ["egress", "targets-http", "resolved_address_filter"] {
                assert!(!text.contains(gone), "{gone}");
            }
            for kept in ["sluice.accept", "sluice.drain", "sluice.answer"] {
                assert!(text.contains(kept), "{kept}");
            }
            assert!(cluster(&mut config, "dispatch").is_ok());
        }
    }

    #[test]
    fn who_accepts_unfiltered_targets_loses_the_filter_alone() {
        for yaml in FILES {
            let mut config = parsed(yaml);
            for_envoy(&mut config, OLD, UnfilteredTargets::Accepted).unwrap();
            assert!(!config.to_string().contains("resolved_address_filter"));
            for name in EGRESS_CLUSTERS {
                assert!(cluster(&mut config, name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn rules_that_would_lose_their_meaning_are_all_named() {
        let mut config = parsed(FILES[0]);
        for (name, filter, list) in [
            ("gateway", "sluice.accept", "targets"),
            ("drain", "sluice.drain", "replies"),
        ] {
            let filter = http_filter(listener(&mut config, name).unwrap(), filter).unwrap();
            let text = at(filter, "/typed_config/config/configuration/value").unwrap();
            let mut settings: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            merge_patch(
                &mut settings,
                &json!({ list: { "allow": [{ "host": "*" }] } }),
            );
            *text = settings.to_string().into();
        }
        let error = for_envoy(&mut config, OLD, UnfilteredTargets::Refused).unwrap_err();
        let error = error.to_string();
        let rules = "sluice.accept: $.targets.allow, sluice.drain: $.replies.allow";
        assert!(error.ends_with(rules), "{error}");
        for_envoy(&mut config, OLD, UnfilteredTargets::Accepted).unwrap();
    }

    #[test]
    fn what_is_too_old_is_refused() {
        let mut config = parsed(FILES[0]);
        let version = Version::new(1, 36, 4);
        let error = for_envoy(&mut config, version, UnfilteredTargets::Accepted).unwrap_err();
        assert!(error.to_string().contains("1.37.0"), "{error}");
    }
}
