//! What the tests with real control planes share.
//!
//! | what | where |
//! |---|---|
//! | the real istiod, and an Envoy that gets everything from it | [`istio`] |
//! | the real Envoy Gateway, and an Envoy that gets everything from it | [`envoy_gateway`] |
//! | the Helm chart, and the real kube-apiserver | [`kubernetes`] |
//! | the calls that have to work under every control plane | [`calls`] |
//! | how such a gateway is started | [`behind`] |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is only for tests: whatever is unexpected in here fails one"
)]

pub mod behind;
pub mod calls;
pub mod envoy_gateway;
pub mod istio;
pub mod kubernetes;
