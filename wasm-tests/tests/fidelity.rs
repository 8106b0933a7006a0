//! The target sees a call exactly as it would have seen the request, had it not been marked: every
//! awkward request is sent both ways, and what arrives is compared byte for byte.
//!
//! Left out of the comparison, on both sides: the framing of the content on one connection
//! (`transfer-encoding`, `te`) and the number that Envoy gives each exchange (`x-request-id`).
//! What is added to a call is checked on its own.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod fidelity_cases;

use fidelity_cases::{Case, Sent, cases};
use testkit::Field;
use testkit::http2::blocking;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Seen;

/// Of one connection or one exchange, and so no part of a request.
const FRAMING: [&str; 3] = ["te", "transfer-encoding", "x-request-id"];

/// What the gateway adds to a call, in this order.
const MARKS: [&str; 5] = [
    "async-call-id",
    "async-correlation-id",
    "async-attempt",
    "async-accepted-at",
    "idempotency-key",
];

#[test]
fn a_call_is_the_request_byte_for_byte() {
    let gateway = Gateway::start("fidelity");
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases() {
        count += 1;
        let name = case.name;
        let Some((unmarked, marked)) = both_ways(&gateway, &case) else {
            continue;
        };
        let differences = compare(&case, &unmarked, &marked);
        if !differences.is_empty() {
            failures.push(format!("{name}:\n{}", differences.join("\n")));
        }
    }
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{failed} of {count} requests differ\n\n{}\n",
        failures.join("\n\n")
    );
    gateway.wait_until_settled();
}

/// Sends a request unmarked and marked, and returns what the target sees of each; `None` if this
/// Envoy leaves a path as it is that another one would change, so that it is no call.
fn both_ways(gateway: &Gateway, case: &Case) -> Option<(Seen, Seen)> {
    let name = case.name;
    let before = gateway.target.count();
    let (status, _) = send(gateway, &case.unmarked);
    assert_eq!(status, 200, "{name}, unmarked");
    let (status, call_id) = send(gateway, &case.marked);
    if gateway.target.seen().split_off(before)[0].has_dots_with_parameters() {
        assert_eq!(status, 400, "{name}, marked");
        return None;
    }
    assert_eq!(status, 202, "{name}, marked");
    gateway.wait(&format!("{name} arrives"), || {
        gateway.target.count() >= before + 2
    });
    let mut seen = gateway.target.seen().split_off(before).into_iter();
    let (unmarked, marked) = (seen.next().unwrap(), seen.next().unwrap());
    assert_eq!(unmarked.call_id(), "", "{name}: nobody may forge a call id");
    assert_eq!(marked.call_id(), call_id, "{name}");
    assert!(seen.next().is_none(), "{name}: a third request has come");
    Some((unmarked, marked))
}

fn send(gateway: &Gateway, request: &Sent) -> (u16, String) {
    match request {
        Sent::Http1(request) => {
            let response = gateway.exchange(request);
            (response.status, response.message.text("async-call-id"))
        }
        Sent::Http2(request) => {
            let connection = blocking::Connection::open(gateway.port()).unwrap();
            let response = connection.exchange(request).unwrap();
            (response.status, response.text("async-call-id"))
        }
    }
}

fn compare(case: &Case, unmarked: &Seen, marked: &Seen) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, expected: &[u8], found: &[u8]| {
        if expected != found {
            let (expected, found) = (show(expected), show(found));
            differences.push(format!("  {what}\n    - {expected}\n    + {found}"));
        }
    };
    let (asked, made) = (&unmarked.message, &marked.message);
    differ("request line", &asked.start, &made.start);
    differ("content", &asked.body, &made.body);
    let lines = |fields: &[Field]| {
        let lines = fields.iter();
        let lines = lines.map(|(name, value)| [name.as_slice(), b": ", value].concat());
        lines.collect::<Vec<_>>()
    };
    let (expected, found) = (lines(&asked.trailers), lines(&made.trailers));
    differ("trailers", &expected.concat(), &found.concat());

    let mut left_out: Vec<&str> = FRAMING.to_vec();
    if !case.unmarked.tells_its_length() {
        // What one connection frames by chunks, or not at all, another one frames by its length,
        // which stands anywhere, but has to be right.
        for seen in [asked, made] {
            let length = seen.body.len().to_string();
            let told = seen.field("content-length").unwrap_or(length.as_bytes());
            differ("content-length", length.as_bytes(), told);
        }
        left_out.push("content-length");
    }
    let expected = unmarked.fields_without(&left_out);
    left_out.extend(MARKS.iter().filter(|mark| !case.keeps.contains(mark)));
    let (expected, found) = (lines(&expected), lines(&marked.fields_without(&left_out)));
    if expected != found {
        differences.push(format!("  fields\n{}", diff(&expected, &found)));
    }
    differences.extend(wrong_marks(case, marked));
    differences
}

/// Checks what is added to a call: each once, in this order, behind everything else.
fn wrong_marks(case: &Case, marked: &Seen) -> Option<String> {
    let expected: Vec<&str> = MARKS
        .into_iter()
        .filter(|mark| !case.keeps.contains(mark))
        .collect();
    let fields = &marked.message.fields;
    let names = fields.iter().map(|(name, _)| String::from_utf8_lossy(name));
    let found: Vec<_> = names.filter(|n| expected.contains(&n.as_ref())).collect();
    let text = |name: &str| marked.message.text(name);
    let is_right = found == expected
        && text("async-attempt") == "1"
        && text("async-correlation-id") == text("async-call-id")
        && text("async-accepted-at").len() == "2026-11-23T04:36:00.123Z".len()
        && (case.keeps.contains(&"idempotency-key")
            || text("idempotency-key") == text("async-call-id"));
    (!is_right).then(|| format!("  marks {found:?} in {fields:?}"))
}

/// Returns the lines of both sides; `-` is missing in the call, `+` has been added.
fn diff(expected: &[Vec<u8>], found: &[Vec<u8>]) -> String {
    let mut lines = Vec::new();
    let mut rest = found.iter().peekable();
    for line in expected {
        if !rest.clone().any(|other| other == line) {
            lines.push(format!("    - {}", show(line)));
            continue;
        }
        while let Some(other) = rest.next_if(|other| *other != line) {
            lines.push(format!("    + {}", show(other)));
        }
        rest.next();
        lines.push(format!("      {}", show(line)));
    }
    lines.extend(rest.map(|other| format!("    + {}", show(other))));
    lines.join("\n")
}

fn show(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 160 {
        return text;
    }
    let start: String = text.chars().take(160).collect();
    format!("{start}… ({} bytes)", bytes.len())
}
