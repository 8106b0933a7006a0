//! Starts, watches and ends the local set: Envoy with the built filter, the stream server and the
//! demo function.
//!
//! `cargo xtask` is its command line, and `all-in-one` that of a container; the end-to-end tests
//! use it as a library. What it starts is found, installed or built by the crate [`provision`].
//!
//! | what | where |
//! |---|---|
//! | the gateway's configuration with other ports and settings | [`render`] |
//! | one program that we started | [`process`] |
//! | ports, health checks and Envoy's counters | [`ports`], [`http`], [`stats`] |
//! | the whole set, started and held | [`LocalSet`] |
//! | a running set, watched | [`supervise`] |

pub mod http;
pub mod ports;
pub mod process;
pub mod render;
mod set;
pub mod stats;
pub mod supervise;

pub use set::{Builder, LocalSet, Part, Ports, STREAMS};
