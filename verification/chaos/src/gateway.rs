//! How the gateways of a run are configured.

use anyhow::{Context as _, Result};
use local_gateway::render::{add_target, at, change_routes, cluster};
use serde_json::{Value, json};

use crate::history::{Engine, Gateway, Millis};
use crate::target::GATEWAY_HEADER;

/// Where replies go: to the first target's [`REPLIES`](crate::target::REPLIES).
const REPLY_PATH: &str = "/t0/reply";

/// Where a gateway reaches everything.
#[derive(Clone, Debug)]
pub struct Ways {
    /// The ports of stream servers.
    pub to_streams: Vec<u16>,
    /// Names and ports of targets.
    pub to_targets: Vec<(String, u16)>,
}

/// Returns settings of the accept filter. A client that waits longer learns nothing more.
#[must_use]
pub fn accept_settings() -> Value {
    json!({ "publish": { "timeoutMs": 2_000 }, "replies": { "paths": [REPLY_PATH] } })
}

/// Returns settings of the drain: as quick as configuration allows, so that many sessions and
/// retries fit into a minute. On Kafka a request takes longer. No call may end because of its age
/// or the number of its attempts.
#[must_use]
pub fn drain_settings(engine: Engine) -> Value {
    let timeout: Millis = match engine {
        Engine::Embedded => 1_000,
        Engine::Kafka => 2_000,
    };
    json!({
        "group": { "timeoutMs": timeout },
        "fetch": { "timeoutMs": timeout },
        "replies": { "paths": [REPLY_PATH] },
        "attempt": {
            "timeoutMs": 10_000,
            "backoffBaseMs": 50,
            "backoffMaxMs": 2_000,
            "retries": 10_000,
        },
    })
}

/// Edits the configuration so that the gateway says who it is, and reaches everything by its links.
///
/// # Errors
/// When the configuration has no place for that.
pub fn edit(config: &mut Value, gateway: Gateway, ways: &Ways) -> Result<()> {
    const PORT: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address\
                        /socket_address/port_value";
    let stream = cluster(config, "stream")?;
    match ways.to_streams.as_slice() {
        [port] => *at(stream, PORT)? = json!(port),
        ports => reach_several(stream, ports)?,
    }
    for (name, port) in &ways.to_targets {
        add_target(config, name, *port)?;
    }
    change_routes(config, |routes| {
        for route in routes.iter_mut().filter_map(Value::as_object_mut) {
            let header = json!({ "key": GATEWAY_HEADER, "value": gateway.to_string() });
            route.insert(
                "request_headers_to_add".to_owned(),
                json!([{ "header": header }]),
            );
        }
    })
}

/// Has a cluster reach several stream servers, as `docs/kafka.md` tells operators: those that
/// aren't ready are left out, and what they have under way is given up.
fn reach_several(stream: &mut Value, ports: &[u16]) -> Result<()> {
    let endpoint = |port: &u16| {
        let address = json!({ "address": "127.0.0.1", "port_value": port });
        json!({ "endpoint": { "address": { "socket_address": address } } })
    };
    let endpoints: Vec<Value> = ports.iter().map(endpoint).collect();
    *at(stream, "/load_assignment/endpoints/0/lb_endpoints")? = json!(endpoints);
    let stream = stream.as_object_mut().context("a cluster is a mapping")?;
    stream.insert(
        "health_checks".to_owned(),
        json!([{
            "timeout": "1s",
            "interval": "1s",
            "no_traffic_interval": "1s",
            "unhealthy_threshold": 2,
            "healthy_threshold": 1,
            "http_health_check": { "path": "/ready" },
        }]),
    );
    stream.insert(
        "close_connections_on_host_health_failure".to_owned(),
        json!(true),
    );
    Ok(())
}
