//! The real Envoy Gateway, and an Envoy that gets everything from it.
//!
//! | what | where |
//! |---|---|
//! | what is built in Go | [`Programs`] |
//! | the resources: ours as `sluice render` writes them, and the rest | [`manifests`] |
//! | what egctl makes of them, as an Envoy's own configuration | [`translated`] |
//! | the standalone server | [`server`] |
//! | a registry with the filter in it | [`registry`] |

pub mod manifests;
mod programs;
pub mod registry;
pub mod server;
pub mod translated;

pub use manifests::{Module, Values, Xds};
pub use programs::Programs;
