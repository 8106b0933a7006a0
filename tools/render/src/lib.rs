//! One input, every host: writes what Envoy, Istio or Envoy Gateway needs to run Sluice.
//!
//! | what | where |
//! |---|---|
//! | which host, and which Envoy it has | [`form`] |
//! | the input: its keys, and what is wrong with it | [`input`] |
//! | the plugins' settings that follow from it | [`plugins`] |
//! | the pieces of text, which people read | `templates/`, [`compose`] |
//! | the keys of a document as a tree, and its JSON Schema | [`key_tree`], [`schema`] |
//!
//! What is written is text with comments, put together from the same pieces for every host. Before
//! anything is written, the plugins' settings are read by the filter's own parser, so that what is
//! written starts.

mod compose;
mod context;
mod fragment;
mod guard;
mod json_text;
mod principal;
mod ranges;
mod settings;
mod template;
mod unknown;
mod variables;

pub mod form;
pub mod input;
pub mod key_tree;
pub mod origin;
pub mod plugins;
pub mod schema;

pub use compose::{RenderError, render};
pub use form::{EnvoyVersion, Form, Host};
pub use input::{Input, Mistakes};
pub use origin::Origin;
