//! What the project's tests and measurements share: servers and clients that neither tidy up nor
//! forgive, so that every byte between them and the tested program is that program's work.
//!
//! | what | where |
//! |---|---|
//! | requests of both versions, part by part | [`request`] |
//! | raw HTTP/1.1 messages, and clients for them | [`http1`] |
//! | clients for HTTP/2, and any bytes in a request of it | [`http2`] |
//! | a server in this process that can be killed and restarted | [`server`] |
//! | the Stream, as another client of it sees it | [`stream`] |
//! | TLS before a server, by an authority of its own | `tls` |
//! | brokers of Kafka that are there for tests | [`kafka`] |
//! | waiting for a condition | [`wait`] |
//! | medians and percentiles | [`figures`] |
//! | tables | [`table`] |
//!
//! Nothing of this exists for wasm.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is only for tests: whatever is unexpected in here fails one"
)]

use std::time::Duration;

pub mod figures;
#[cfg(feature = "http")]
pub mod http1;
#[cfg(feature = "http")]
pub mod http2;
pub mod kafka;
#[cfg(feature = "http")]
pub mod request;
#[cfg(feature = "http")]
pub mod server;
#[cfg(feature = "http")]
pub mod stream;
pub mod table;
#[cfg(feature = "tls")]
pub mod tls;
pub mod wait;

/// Longer than any limit of the gateway, even on a busy machine. A request without an answer by
/// then never gets one.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A field line: name and value, without the white space around the value.
pub type Field = (Vec<u8>, Vec<u8>);

/// Returns a field of these texts.
#[must_use]
pub fn field(name: &str, value: impl AsRef<[u8]>) -> Field {
    (name.as_bytes().to_vec(), value.as_ref().to_vec())
}

/// Returns the runtime for clients that wait in a thread.
#[cfg(feature = "http")]
fn runtime() -> &'static tokio::runtime::Runtime {
    use std::sync::LazyLock;
    use tokio::runtime::{Builder, Runtime};
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    });
    &RUNTIME
}
