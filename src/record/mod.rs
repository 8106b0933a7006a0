//! The call record: the public JSON in which the Stream stores a call.
//!
//! Anybody who may publish on the Stream may have written a record, so reading one checks
//! everything that it will be used for. Readers ignore members that they don't know. A record of
//! another major version is refused.

pub mod check;
mod codec;
mod error;
mod fields;
pub mod grammar;
mod head;
pub mod hop;
pub mod names;
pub mod note;
pub mod progress;
pub mod reply_address;
pub mod reply_context;
pub mod seal;
pub mod sealed;

pub use codec::{decode, encode};
pub use error::RecordError;
pub use head::{Call, CallHead, RECORD_VERSION};

#[cfg(test)]
mod tests;

#[cfg(test)]
mod hostile_tests;
