//! The script of docs/oci-check.md works, with the stream server in the place of Oracle's service.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use conformance::Server;

#[test]
fn the_script_asks_everything_and_shows_no_secret() {
    let server = Server::start("oci-check").unwrap();
    let report = server
        .oci_check()
        .unwrap_or_else(|error| panic!("{error:#}"));
    for question in [
        "### May one signature of PutMessages be used again?",
        "### How late may a date be?",
        "### A group before its first commit",
        "### What counts for the 1 MiB of a request?",
        "### How large does an answer of GetMessages get?",
        "### What does 429 say?",
        "### A commit after the partition was given away",
        "### How long does a session token last?",
    ] {
        assert!(report.contains(question), "{question} isn't in\n{report}");
    }
    assert!(!report.contains("could not be asked"), "{report}");
    for secret in ["ocid1.", "PRIVATE KEY", "keyId"] {
        assert!(!report.contains(secret), "{secret} is in\n{report}");
    }
}
