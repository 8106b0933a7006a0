//! What the tests of the containers share. They need a Docker that answers, with Compose:
//! `cargo xtask test --only containers` finds or starts one.
//!
//! | what | where |
//! |---|---|
//! | Docker's commands, and what they tell | [`docker`] |
//! | a composition of its own name, which is taken down | [`composition`] |
//! | the container that has everything | [`all_in_one`] |
//! | calls through a gateway | [`gateway`] |
//! | what a container may not do | [`confinement`] |
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is only for tests: whatever is unexpected in here fails one"
)]

pub mod all_in_one;
pub mod composition;
pub mod confinement;
pub mod docker;
pub mod gateway;
