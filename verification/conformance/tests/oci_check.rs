//! The script of docs/oci-check.md works, with the stream server in the place of Oracle's service.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use conformance::Server;

/// What every report has.
const QUESTIONS: [&str; 13] = [
    "### May one signature of PutMessages be used again?",
    "### How late may a date be?",
    "### A group before its first commit",
    "### How long is a cursor?",
    "### What counts for the 1 MiB of a request?",
    "### How large does an answer of GetMessages get?",
    "### What does 429 say?",
    "### An unreadable body",
    "### A cursor that is none",
    "### A stream that isn't there",
    "### A commit after the partition was given away",
    "### How long does a session token last?",
    "### Where are the files of a resource principal, and how old?",
];

/// Each line under "Know what is untested", by some of its words, and the question that answers it.
const UNTESTED: [(&str, &str); 6] = [
    ("a signature of PutMessages more than once", QUESTIONS[0]),
    ("the exact words of its 400s", QUESTIONS[8]),
    ("how large an answer of GetMessages gets", QUESTIONS[5]),
    ("counts for the 1 MB", QUESTIONS[4]),
    ("whether OKE gives one to a workload", "Does OKE know"),
    ("which paths a container instance has", QUESTIONS[12]),
];

/// Runs the script, signed so, and looks at its report.
fn check(auth: &str) -> String {
    let server = Server::start(&format!("oci-check-{auth}")).unwrap();
    let report = server.oci_check(auth);
    let report = report.unwrap_or_else(|error| panic!("{auth}: {error:#}"));
    for question in QUESTIONS {
        assert!(report.contains(question), "{question} isn't in\n{report}");
    }
    assert!(!report.contains("could not be asked"), "{report}");
    for secret in ["ocid1.", "PRIVATE KEY", "keyId", "eyJ"] {
        assert!(!report.contains(secret), "{secret} is in\n{report}");
    }
    report
}

#[test]
fn the_script_asks_everything_and_shows_no_secret() {
    let report = check("api_key");
    assert!(
        report.contains("OCI_RESOURCE_PRINCIPAL_RPST: not set"),
        "{report}"
    );
    assert!(report.contains("there is no token"), "{report}");
}

#[test]
fn signed_by_a_token_it_tells_of_the_token_and_its_files() {
    let report = check("resource_principal");
    assert!(
        report.contains("OCI_RESOURCE_PRINCIPAL_RPST: a file"),
        "{report}"
    );
    assert!(report.contains("it lasts 2402444800 s"), "{report}");
}

#[test]
fn everything_that_is_untested_is_asked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let page = read("docs/oci.md");
    let (_, untested) = page.split_once("## Know what is untested").unwrap();
    let script = read("deploy/oci-check/check.py");
    let lines = untested.split("\n- ").skip(1);
    let lines: Vec<String> = lines.map(|line| line.replace("\n  ", " ")).collect();
    for line in &lines {
        let asked = UNTESTED.iter().find(|(words, _)| line.contains(words));
        let (_, question) = asked.unwrap_or_else(|| panic!("nobody asks: {line}"));
        let question = question.trim_start_matches("### ");
        assert!(script.contains(question), "{question}");
    }
    assert_eq!(lines.len(), UNTESTED.len());
}
