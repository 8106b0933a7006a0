//! The local sets that are measured.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use local_gateway::render::{Target as Function, add_target, at, cluster, listener};
use local_gateway::{Builder, LocalSet};
use serde_json::{Value, json};

/// The path that Envoy answers itself.
pub(super) const DIRECT_PATH: &str = "/direct";

/// The programs that are measured, and the engine of the stream server.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    programs: provision::Programs,
    /// The brokers that keep the streams; without any, the stream server does it itself.
    brokers: Option<String>,
}

impl Programs {
    /// Returns the programs with the embedded engine.
    pub(crate) fn embedded(programs: provision::Programs) -> Self {
        let brokers = None;
        Self { programs, brokers }
    }

    /// Returns the programs with these brokers.
    pub(crate) fn on_kafka(programs: provision::Programs, brokers: String) -> Self {
        let brokers = Some(brokers);
        Self { programs, brokers }
    }

    /// Returns the stream server's program.
    pub(crate) fn stream_server(&self) -> &Path {
        &self.programs.tools.stream_server
    }

    /// Returns the program that ends others with this one.
    pub(crate) fn with_parent(&self) -> &Path {
        &self.programs.tools.with_parent
    }

    /// Returns the arguments that choose the engine, with topics that are new.
    pub(crate) fn engine(&self) -> Vec<String> {
        static SETS: AtomicUsize = AtomicUsize::new(0);
        let Some(brokers) = &self.brokers else {
            return Vec::new();
        };
        let number = SETS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("bench-{number}.");
        [
            "--engine",
            "kafka",
            "--brokers",
            brokers,
            "--topic-prefix",
            &prefix,
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

/// Returns a set with one Envoy worker that calls this target.
fn base(programs: &Programs, name: &str, target_port: u16) -> Builder {
    LocalSet::builder()
        .name(name)
        .programs(programs.programs.clone())
        .stream_server_arguments(programs.engine())
        .target(Function::local(target_port))
        .concurrency(1)
        .log_level("warning")
}

/// Ports on which the measured Envoy works without the filter, for comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainPorts {
    /// The port that answers itself, or proxies.
    pub(super) plain: u16,
    /// The port that does the same after it has read the whole body.
    pub(super) buffered: u16,
}

/// Returns a set that accepts but never drains, so that accepted calls wait and accepting has the
/// worker for itself.
pub(super) fn accepting(programs: &Programs, target: u16, ports: PlainPorts) -> Result<LocalSet> {
    base(programs, "bench-accept", target)
        .edit(move |config| {
            // Now nothing wakes the drain.
            let drain = cluster(config, "drain")?;
            drain
                .as_object_mut()
                .context("a cluster")?
                .remove("health_checks");
            let gateway = listener(config, "gateway")?.clone();
            let plain = without_our_filter(gateway.clone(), "plain", ports.plain, None)?;
            let buffered =
                without_our_filter(gateway, "buffered", ports.buffered, Some(buffer_filter()))?;
            let listeners = at(config, "/static_resources/listeners")?;
            listeners
                .as_array_mut()
                .context("a list")?
                .extend([plain, buffered]);
            Ok(())
        })
        .start()
}

/// Returns a set that drains what `accepting` has left on this stream server.
pub(super) fn draining(programs: &Programs, target: u16, stream_port: u16) -> Result<LocalSet> {
    base(programs, "bench-deliver", target)
        .shared_stream(stream_port)
        .start()
}

/// Returns the whole set.
pub(super) fn whole(programs: &Programs, target: u16) -> Result<LocalSet> {
    base(programs, "bench-latency", target).start()
}

/// Returns the whole set, with a second cluster of this name, to which the path `/NAME` leads.
pub(super) fn with_second_target(
    programs: &Programs,
    target: u16,
    name: &'static str,
    port: u16,
) -> Result<LocalSet> {
    base(programs, "bench-neighbour", target)
        .edit(move |config| add_target(config, name, port))
        .start()
}

/// Returns a filter that waits for the body. Envoy answers a route's direct response before it has
/// read the body, and then has to close the connection. Waiting, as accepting does, keeps it open.
fn buffer_filter() -> Value {
    json!({
        "name": "envoy.filters.http.buffer",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": 1_048_576,
        },
    })
}

/// Returns the gateway's listener without our filter, with another one and one more route.
fn without_our_filter(
    mut copy: Value,
    name: &str,
    port: u16,
    filter: Option<Value>,
) -> Result<Value> {
    const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
    *at(&mut copy, "/name")? = json!(name);
    *at(&mut copy, "/address/socket_address/port_value")? = json!(port);
    *at(&mut copy, &format!("{MANAGER}/stat_prefix"))? = json!(name);
    let filters = at(&mut copy, &format!("{MANAGER}/http_filters"))?;
    let router = filters
        .as_array_mut()
        .and_then(Vec::pop)
        .context("no router")?;
    *filters = filter.into_iter().chain([router]).collect();
    let routes = at(
        &mut copy,
        &format!("{MANAGER}/route_config/virtual_hosts/0/routes"),
    )?;
    let direct = json!({
        "match": { "prefix": DIRECT_PATH },
        "direct_response": { "status": 200, "body": { "inline_string": "ok" } },
    });
    routes.as_array_mut().context("a list")?.insert(0, direct);
    Ok(copy)
}
