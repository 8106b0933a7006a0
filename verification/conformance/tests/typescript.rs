//! Oracle's TypeScript SDK: every operation, groups, refusals. What has to come stands in
//! `clients/typescript/client.js`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

conformance::functions![
    typescript:
    messages,
    group,
    group_shares_and_fails_over,
    streams_of_the_control_plane,
    pools,
    errors,
    signatures,
];
