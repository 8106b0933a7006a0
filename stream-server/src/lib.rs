//! `stream-server`: Oracle OCI Streaming's REST protocol on an embedded, crash-safe store.
//!
//! The way of a request:
//!
//! | step | where |
//! |---|---|
//! | who is connected, and who makes room | `listener`, `connections`, `connection_threads` |
//! | deadlines of a connection | `http::connection` |
//! | what a web page could send | `http::gate` (pure) |
//! | path to operation, JSON | `http` |
//! | who has signed it | [`auth`] (pure) |
//! | what is to go wrong on purpose | `faults` (pure) |
//! | what the operation means | [`service`] |
//! | who of a group reads what | [`group`] (pure) |
//! | offsets, times, hashes | [`partition_log`] (pure) |
//! | cursors as text | [`cursor`] (pure) |
//! | Oracle's rates | [`throttle`] (pure) |
//! | the same without a network | [`protocol`] |
//! | the seam to any store | [`storage`] |
//! | a log for messages, SQLite for the rest, group commit | [`store`] |
//! | `stream-server copy`, with the feature `copy` | `copy` |
//! | topics of Apache Kafka, with the feature `kafka` | `kafka` |
//! | other servers of the same cluster | `fronts` |
//!
//! The pure modules know no clock, no disk and no network; a simulation shares them.
//!
//! ```no_run
//! # async fn example() -> Result<(), stream_server::server::StartError> {
//! use stream_server::{server::Server, settings::Settings};
//! let server = Server::start(Settings::local("data").with_stream("calls", 4)).await?;
//! println!("{}", server.url());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod api_error;
pub mod auth;
mod backend;
mod chosen;
pub mod cli;
mod cli_engine;
mod config_check;
mod connection_threads;
mod connections;
#[cfg(feature = "copy")]
pub mod copy;
pub mod cursor;
mod faults;
#[cfg_attr(
    not(feature = "kafka"),
    allow(dead_code, reason = "a build without Kafka has no other fronts")
)]
mod fronts;
pub mod group;
mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod limits;
mod listener;
pub mod logging;
mod metric;
mod ops;
pub mod partition_log;
mod private;
pub mod protocol;
mod request_log;
mod retention;
pub mod server;
pub mod service;
pub mod settings;
mod start_error;
pub mod storage;
pub mod store;
pub mod throttle;
pub mod time;
