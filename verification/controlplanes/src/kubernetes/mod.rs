//! The Helm chart, and a real kube-apiserver that takes what it renders. No pod ever runs here.
//!
//! | what | where |
//! |---|---|
//! | what is built in Go | [`Programs`] |
//! | the chart with values, as its manifests | [`chart`] |
//! | kube-apiserver and etcd, with the definitions of other projects | [`server`] |

pub mod chart;
mod programs;
pub mod server;

pub use programs::Programs;
