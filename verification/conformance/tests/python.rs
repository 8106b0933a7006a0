//! Oracle's Python SDK: every operation, groups, refusals. What has to come stands in
//! `clients/python.py`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

conformance::functions![
    python:
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
