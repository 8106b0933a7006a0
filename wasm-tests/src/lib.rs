//! What the end-to-end tests share, beside the clients and servers of `testkit`.
//!
//! | what | where |
//! |---|---|
//! | a local set with a recording target, and what tests ask of it | [`gateway`] |
//! | the recording target, scriptable | [`target`] |
//! | an external processor, which Envoy shows the bodies | [`ext_proc`] |
//! | `sluice`, the command line for dead letters | [`sluice`] |
//! | Oracle's metadata and auth services, stood in for | [`oci`] |
//! | gateways for Oracle's service as `sluice render` writes them | [`oci_envoy`] |
//! | a network like that of an instance at Oracle | [`instance_network`] |
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

pub mod ext_proc;
pub mod gateway;
pub mod instance_network;
pub mod load;
pub mod oci;
pub mod oci_envoy;
pub mod sluice;
pub mod target;
