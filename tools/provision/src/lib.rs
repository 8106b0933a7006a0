//! Finds, installs or builds everything that the project needs: a Rust that can build wasm, the
//! filter, Envoy, Python, Node, Oracle's clients, and our own programs.
//!
//! | what | where |
//! |---|---|
//! | where things lie in this checkout | [`project`] |
//! | a Rust that can build wasm | [`toolchain`] |
//! | the shipped filter, built and inspected | [`dist`], [`inspect`] |
//! | the shipped filter as an OCI image | [`image`] |
//! | Envoy, Node and our own programs, found, installed or built | [`envoy`], [`node`], [`tools`] |
//! | pinned packages for Python, Node and Go | [`python`], [`npm`], [`go`] |
//! | Oracle's own clients | [`oci_clients`] |
//! | other people's clients of Kafka | [`kafka_clients`] |
//! | Docker's engine, found or one of our own, and the images to build from | [`docker`] |
//! | all that a local set consists of | [`Programs`] |
//! | running other programs, and ending when we are asked to | [`command`], [`cancel`] |

pub mod cancel;
pub mod command;
pub mod dist;
pub mod docker;
pub mod envoy;
pub mod go;
pub mod image;
pub mod inspect;
pub mod kafka_clients;
pub mod node;
pub mod npm;
pub mod oci_clients;
mod programs;
pub mod progress;
pub mod project;
pub mod python;
pub mod toolchain;
pub mod tools;

pub use programs::{PREPARED, Programs};
pub use project::Project;
