//! What the tests with real control planes share.
//!
//! | what | where |
//! |---|---|
//! | the real istiod, and an Envoy that gets everything from it | [`istio`] |
//! | the real Envoy Gateway, and an Envoy that gets everything from it | [`envoy_gateway`] |
//! | the Helm chart, and the real kube-apiserver | [`kubernetes`] |
//! | the calls that have to work under every control plane | [`calls`] |
//! | how such a gateway is started, also where it speaks TLS | [`behind`], [`https`] |
//! | what is built in Go for all that | [`built`] |
//! | a network of its own for a test | [`network`] |
//! | every manifest for a control plane, to be judged | [`written`] |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is only for tests: whatever is unexpected in here fails one"
)]

pub mod behind;
pub mod built;
pub mod calls;
pub mod envoy_gateway;
pub mod https;
pub mod istio;
pub mod kubernetes;
pub mod network;
pub mod written;
