//! Oracle's TypeScript SDK: every operation, groups, refusals. What has to come stands in
//! `clients/typescript/client.js`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use conformance::Server;

fn check(function: &str) {
    let server = Server::start(&format!("typescript-{function}")).unwrap();
    if let Err(error) = server.typescript(function) {
        panic!("{error:#}");
    }
}

macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

functions![
    messages,
    group,
    group_shares_and_fails_over,
    streams_of_the_control_plane,
    pools,
    errors,
    signatures,
];
