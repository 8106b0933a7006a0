//! One function for each kind of input from outside. None of them may panic, whatever the bytes;
//! each says what else it checks. libFuzzer drives them with a nightly compiler; `tests/corpus.rs`
//! replays its findings with any compiler.
#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a fuzz target fails by panicking"
)]

use sluice::accept::admission::{RequestHead, admit};
use sluice::accept::config::AcceptConfig;
use sluice::config::Document;
use sluice::drain::config::DrainConfig;
use sluice::drain::dead_letter::{DeadLetter, Reason};
use sluice::egress::target_url::TargetUrl;
use sluice::http::CalloutResult;
use sluice::http::{Fields, IncomingResponse, is_field_value, is_token};
use sluice::id::Position;
use sluice::limits::RECORD_ERROR_BYTES_MAX;
use sluice::record;
use sluice::stream::consume::{parse_cursor, parse_messages};
use sluice::stream::error::expect_ok;
use sluice::stream::put::parse_put_answer;
use sluice::time::Wall;

/// A target with its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("call_record", call_record),
    ("stream_answer", stream_answer),
    ("configuration", configuration),
    ("request_head", request_head),
    ("target", target),
    ("simulation", simulation),
];

/// Inputs of the simulation are cut here, because later bytes would steer nothing.
const STEERING_BYTES_MAX: usize = 4_096;

/// A call record that anybody may have published: it is refused with a bounded text, or it can be
/// written again and means the same; and a dead letter can be made of it either way.
pub fn call_record(data: &[u8]) {
    match record::decode(data) {
        Ok(call) => {
            let again = record::encode(&call.head, &call.body).map(|json| record::decode(&json));
            match again {
                Ok(Ok(again)) => assert_eq!(again, call, "it means something else when written"),
                other => panic!("it can't be written again: {other:?}"),
            }
        }
        Err(error) => assert!(error.0.len() <= RECORD_ERROR_BYTES_MAX, "{}", error.0.len()),
    }
    let letter = DeadLetter {
        id: "c1",
        reason: Reason::UnreadableRecord,
        detail: "a fuzzer has written it",
        dead_at: "2026-11-23T04:36:00.000Z",
        stream_id: "calls",
        source: Position {
            partition: 0,
            offset: 0,
        },
        attempts: &[],
        record: data,
    };
    assert!(!letter.messages().is_empty(), "nothing is kept of it");
}

/// An answer of the Stream: status in the first two bytes, then the content.
pub fn stream_answer(data: &[u8]) {
    let (status, body) = data.split_at_checked(2).unwrap_or((&[], data));
    let status = status
        .iter()
        .fold(0_u16, |n, byte| n.wrapping_mul(256) | u16::from(*byte));
    let response = IncomingResponse {
        status: if status.is_multiple_of(2) {
            200
        } else {
            status % 1_000
        },
        headers: vec![("opc-next-cursor".to_owned(), b"next".to_vec())],
        body: body.to_vec(),
        body_bytes: body.len(),
    };
    for count in [0, 1, 3] {
        if let Ok(entries) = parse_put_answer(body, count) {
            assert_eq!(entries.len(), count, "each record has one entry");
        }
    }
    let _ = parse_cursor(body);
    let _ = parse_messages(&response);
    let _ = expect_ok(CalloutResult::Answered(response));
}

/// A plugin configuration of either role: it is taken, or refused with mistakes that have paths.
pub fn configuration(data: &[u8]) {
    let refusals = [
        AcceptConfig::from_json(data).err(),
        DrainConfig::from_json(data).err(),
    ];
    for refusal in refusals.into_iter().flatten() {
        assert!(!refusal.0.is_empty(), "it is refused without a reason");
    }
}

/// The head of a marked request, one field a line; options, `Prefer` and marks among them. What is
/// admitted can be stored, and read again, and carries no option any more.
pub fn request_head(data: &[u8]) {
    let mut fields: Fields = vec![
        (":method".to_owned(), b"POST".to_vec()),
        (":path".to_owned(), b"/".to_vec()),
        (":authority".to_owned(), b"a.test".to_vec()),
        (":scheme".to_owned(), b"https".to_vec()),
    ];
    for line in data.split(|byte| *byte == b'\n').take(200) {
        let mut parts = line.splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let value = parts.next().unwrap_or_default();
        // Envoy lets nothing else through.
        if is_token(name.as_bytes()) && is_field_value(value) {
            fields.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    let head = RequestHead {
        fields,
        has_route: true,
        ..RequestHead::default()
    };
    let config = br#"{"stream":{"cluster":"s","authority":"s","streamId":"c"},
        "targets":{"allow":[{"host":"*.example.com"}]}}"#;
    let Ok(config) = AcceptConfig::from_json(config) else {
        panic!("the configuration is wrong");
    };
    if let Ok(admitted) = admit(head, &config, Wall(1_795_408_560_000)) {
        let removes = |name: &str| config.options.headers.removes(name);
        let option = admitted.head.headers.iter().find(|(name, _)| removes(name));
        assert_eq!(option, None, "the target would see it");
        let stored = record::encode(&admitted.head, b"").map(|json| record::decode(&json));
        assert!(
            matches!(stored, Ok(Ok(_))),
            "it can't be read again: {stored:?}"
        );
    }
}

/// An explicit target or a reply address: what is understood is written in one way, and understood
/// as the same again.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(found) = TargetUrl::parse(text) {
        let written = format!(
            "{}://{}{}",
            found.scheme.name(),
            found.authority(),
            found.path_and_query
        );
        assert_eq!(
            TargetUrl::parse(&written),
            Ok(found),
            "{text:?} as {written:?}"
        );
    }
}

/// The bytes steer the simulation, which checks every guarantee.
pub fn simulation(data: &[u8]) {
    let bytes = data.get(..STEERING_BYTES_MAX).unwrap_or(data);
    let report = sim::run_steered(0, bytes);
    assert!(report.violation.is_none(), "{}", report.story());
}
