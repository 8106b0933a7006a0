//! A gateway that speaks TLS: its certificate, and clients that trust it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::tls::{Authority, Proxy};

/// The name by which requests of these tests call a gateway.
pub const NAME: &str = "gateway.test";

/// The name of another listener or server at the same port.
pub const OTHER: &str = "other.test";

/// Who has made the certificates of a gateway.
#[derive(Default)]
pub struct Https(Authority);

impl Https {
    /// Returns the Secret with a certificate for a name, as Kubernetes has it. It is called as the
    /// name is.
    #[must_use]
    pub fn secret(&self, name: &str) -> Value {
        let (certificate, key) = self.0.identity(name);
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": name, "namespace": "default" },
            "data": { "tls.crt": BASE64.encode(certificate), "tls.key": BASE64.encode(key) },
        })
    }

    /// Returns what speaks TLS to this port for clients that don't. It knows the gateway by this
    /// name.
    #[must_use]
    pub fn client(&self, name: &str, port: u16) -> Proxy {
        self.0.start_client(None, name, port)
    }
}
