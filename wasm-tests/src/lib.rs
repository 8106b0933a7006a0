//! What the end-to-end tests share: servers and clients that neither tidy up nor forgive, so that
//! every byte between them and the gateway is what the gateway has made of it.
//!
//! | what | where |
//! |---|---|
//! | a local set with a recording target, and what tests ask of it | [`gateway`] |
//! | the recording target, scriptable | [`target`] |
//! | a server in this process that can be killed and restarted | [`server`] |
//! | raw HTTP/1.1 messages, and a client for them | [`message`], [`client`] |
//! | a client for HTTP/2 | [`client2`] |
//! | any bytes in a request of HTTP/2 | [`raw2`] |
//! | the Stream, as another client of it sees it | [`stream`] |
//! | `sluice`, the command line for dead letters | [`sluice`] |
//! | TLS before a server, by an authority of its own | [`tls`] |
//! | many clients with a ledger of what they were promised | [`load`] |
//!
//! Nothing of this exists for wasm, where only `tests/core.rs` runs.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is only for tests: whatever is unexpected in here fails one"
)]

pub mod client;
pub mod client2;
pub mod gateway;
pub mod load;
pub mod message;
pub mod raw2;
pub mod server;
pub mod sluice;
pub mod stream;
pub mod target;
pub mod tls;
