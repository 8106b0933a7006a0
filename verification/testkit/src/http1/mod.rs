//! HTTP/1.1 as it stands on the wire: nothing is merged, sorted, decoded or lower-cased.
//!
//! [`framing`] says where the messages of a buffer end, and copies nothing. [`Message`] is one of
//! them, whole. [`Connection`] waits in its thread, [`asynchronous::Connection`] in a task; both
//! send exactly what they are told to.

pub mod asynchronous;
mod connection;
pub mod framing;
mod message;
mod request;

pub use connection::{Connection, exchange};
pub use message::{Message, Response};
pub use request::Request;
