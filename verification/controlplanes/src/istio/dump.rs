//! What Envoy got, as `/config_dump` shows it, against what our manifest says.

use serde_json::Value;

/// Our filters before the router, in their order.
const FILTERS: [&str; 4] = [
    "sluice.no-marks",
    "sluice.accept",
    "sluice.no-conversation",
    "envoy.filters.http.router",
];

const LISTENERS: [&str; 4] = ["dispatch", "egress-https", "egress-http", "drain"];

const CLUSTERS: [&str; 7] = [
    "stream",
    "dispatch",
    "egress-https",
    "egress-http",
    "targets-https",
    "targets-http",
    "drain",
];

/// Returns what is missing, as sentences: nothing where every patch has matched.
#[must_use]
pub fn missing(dump: &Value, port: u16) -> Vec<String> {
    let mut missing = Vec::new();
    let listeners = resources(dump, "dynamic_listeners", "/active_state/listener");
    let clusters = resources(dump, "dynamic_active_clusters", "/cluster");
    let routes = resources(dump, "dynamic_route_configs", "/route_config");
    let mut has = |what: String, is_there: bool| {
        if !is_there {
            missing.push(format!("Envoy has no {what}"));
        }
    };
    let named = |list: &[&Value], name: &str| list.iter().any(|one| one["name"] == name);
    for name in LISTENERS {
        has(format!("listener {name}"), named(&listeners, name));
    }
    for name in CLUSTERS {
        has(format!("cluster {name}"), named(&clusters, name));
    }
    let removed = routes.iter().any(|routes| {
        let headers = &routes["response_headers_to_remove"];
        headers.as_array().is_some_and(|list| list.len() == 2)
    });
    has("response_headers_to_remove in its routes".into(), removed);

    let at = "/address/socket_address/port_value";
    let gateway = listeners
        .iter()
        .find(|listener| listener["name"] != "drain" && listener.pointer(at) == Some(&port.into()));
    let manager = "/filter_chains/0/filters/0/typed_config";
    let manager = gateway.and_then(|gateway| gateway.pointer(manager));
    let filters = manager.and_then(|manager| manager["http_filters"].as_array());
    let filters: Vec<&Value> = filters.into_iter().flatten().collect();
    let names = filters.iter().filter_map(|filter| filter["name"].as_str());
    let ours: Vec<&str> = names.filter(|name| FILTERS.contains(name)).collect();
    has(
        format!("{} in this order, but {ours:?}", FILTERS.join(", ")),
        ours == FILTERS,
    );
    let accept = filters
        .iter()
        .find(|filter| filter["name"] == "sluice.accept");
    let config = accept.map_or(&Value::Null, |accept| &accept["typed_config"]["config"]);
    has(
        "allow_on_headers_stop_iteration".into(),
        config["allow_on_headers_stop_iteration"] == true,
    );
    has(
        "FAIL_RELOAD".into(),
        config["failure_policy"] == "FAIL_RELOAD",
    );
    let allowed = config.pointer("/capability_restriction_config/allowed_capabilities");
    let count = allowed
        .and_then(Value::as_object)
        .map_or(0, |list| list.len());
    has("restriction of capabilities".into(), count > 20);
    let buffer = gateway.map(|gateway| &gateway["per_connection_buffer_limit_bytes"]);
    has(
        "buffer for bodies".into(),
        buffer == Some(&1_048_576.into()),
    );
    let normalizes = manager.is_some_and(|manager| {
        manager["normalize_path"] == true && manager["merge_slashes"] == true
    });
    has("normalization of paths".into(), normalizes);
    missing
}

/// All resources of a kind, wherever they stand in the dump.
fn resources<'a>(dump: &'a Value, kind: &str, pointer: &str) -> Vec<&'a Value> {
    let parts = dump["configs"].as_array().into_iter().flatten();
    let lists = parts.filter_map(|part| part[kind].as_array());
    lists
        .flatten()
        .filter_map(|one| one.pointer(pointer))
        .collect()
}
