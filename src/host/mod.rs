//! Between Envoy and the engines: translate, call the engine, perform its outputs. No policy.
//!
//! Facts of Envoy that shape this code:
//! - A trap takes down every request of the worker, so nothing here may panic; of the SDK only what
//!   can't panic on foreign bytes is used.
//! - A callout's answer comes to the context that made it and is dropped if that is gone, so
//!   callouts are made in callbacks of the root context only.
//! - Envoy also makes a copy of every plugin for its main thread, which sees no request and has to
//!   stay idle; so everything starts with the first request of a worker. But for tokens of a
//!   principal: they are had before the first request, by whichever thread is first.

mod accept;
mod answer;
mod bytes;
mod callouts;
mod clock;
mod drain;
mod entry;
mod principal;
mod request;
mod role;
mod rsa;
mod sink;
mod table;
mod worker;
