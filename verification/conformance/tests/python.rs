//! Oracle's Python SDK: every operation, groups, refusals. What has to come stands in
//! `clients/python.py`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use conformance::Server;

fn check(function: &str) {
    let server = Server::start(&format!("python-{function}")).unwrap();
    if let Err(error) = server.python(function) {
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
    limits_of_messages,
    group,
    group_shares_and_fails_over,
    streams_of_the_control_plane,
    pages,
    pools,
    work_requests,
    errors,
    bad_days,
    signatures,
];
