//! Everything that provides, starts, watches and ends the local set: Envoy with the built filter,
//! the stream server and the demo function.
//!
//! `cargo xtask` is its command line; the end-to-end tests use it as a library.
//!
//! | what | where |
//! |---|---|
//! | where things lie in this checkout | [`project`] |
//! | a Rust that can build wasm | [`toolchain`] |
//! | the shipped filter, built and inspected | [`dist`], [`inspect`] |
//! | Envoy, Node and our own programs, found, installed or built | [`envoy`], [`node`], [`tools`] |
//! | pinned packages for Python and Node | [`python`], [`npm`] |
//! | Oracle's own clients | [`oracle`] |
//! | the gateway's configuration with other ports and settings | [`render`] |
//! | one program that we started | [`process`] |
//! | the whole set, started and held | [`LocalSet`] |

pub mod cancel;
pub mod command;
pub mod dist;
pub mod envoy;
pub mod http;
pub mod inspect;
pub mod node;
pub mod npm;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod progress;
pub mod project;
pub mod python;
pub mod render;
mod set;
pub mod stats;
pub mod toolchain;
pub mod tools;

pub use project::Project;
pub use set::{Builder, LocalSet, PREPARED, Part, Ports, Programs};
