//! A gateway whose Envoy starts from what a control plane has made.

use serde_json::Value;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// Where the parts of a gateway listen, as its bootstrap and its manifests say.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The gateway.
    pub gateway: u16,
    /// Envoy's admin interface.
    pub admin: u16,
    /// The stream server.
    pub stream: u16,
    /// The drain's listener.
    pub drain: u16,
}

/// Starts a gateway with this bootstrap instead of the project's own.
///
/// # Panics
/// When a part doesn't get ready.
#[must_use]
pub fn start(name: &str, target: Target, ports: Ports, bootstrap: Value) -> Gateway {
    Gateway::with(name, target, |builder| {
        builder
            .gateway_port(ports.gateway)
            .admin_port(ports.admin)
            .stream_port(ports.stream)
            .drain_port(ports.drain)
            .edit(move |config| {
                *config = bootstrap;
                Ok(())
            })
    })
}
