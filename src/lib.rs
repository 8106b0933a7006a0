//! Sluice: asynchronous calls through Envoy.
//!
//! The way of a call:
//!
//! | step | module | in | out |
//! |---|---|---|---|
//! | 1 accept | [`accept`] | a marked request | a record, and `202` |
//! | 2 deliver | [`drain`] | a record | a request, until settled |
//! | 3 reply | [`reply`] | what became of it | who learns of it |
//!
//! Below them: [`record`] is what is stored, [`egress`] where a call may go, [`caller`] who has
//! made it, [`idempotency`] which requests are the same, [`stream`] OCI Streaming's protocol. Above
//! them [`config`] reads documents into what the roles are configured with. `tests/layers.rs` has
//! the table of who may use whom.
//!
//! Everything but `host` is pure: bytes and the time go in, [`engine::Output`]s come out. `host`
//! exists on `wasm32-wasip1` only and translates between Envoy and the engines.
#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod accept;
pub mod answer;
pub mod backoff;
pub mod call_option;
pub mod caller;
pub mod config;
pub mod drain;
pub mod egress;
pub mod engine;
pub mod headers;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod lanes;
pub mod limits;
pub mod metric;
pub mod principal;
pub mod receipt;
pub mod record;
pub mod reply;
pub mod stream;
pub mod time;
pub mod time_text;

#[cfg(target_os = "wasi")]
mod host;
