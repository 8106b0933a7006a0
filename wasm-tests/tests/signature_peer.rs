//! Whoever receives a reply can verify it with a library of Standard Webhooks: the reference
//! library judges what the dispatch of a reply puts into its request.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use provision::Project;
use provision::command::capture;
use provision::python::{Environment, environment};
use serde_json::{Value, json};
use sluice::drain::dispatch::{self, CallHeaders, Dispatch};
use sluice::record::reply_address::ReplyAddress;
use sluice::record::reply_context::ReplyOutcome;
use sluice::record::{CallHead, decode, encode};
use sluice::reply::result::{Finished, Response};
use sluice::reply::signature::Secrets;
use sluice::time::Wall;

const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The key of RFC 8032 §7.1, test 2, and its public half.
const KEY: &str = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";
const PUBLIC_KEY: &str = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
const OTHER_PUBLIC_KEY: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

const VALID: &str = "valid";
const FORGED: &str = "No matching signature found";
const STALE: &str = "Message timestamp too old";

/// What a receiver gets: the fields of Standard Webhooks, and the content.
#[derive(Clone)]
struct Received {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Received {
    fn with(mut self, name: &str, value: &str) -> Self {
        let known = self.headers.insert(name.to_owned(), value.to_owned());
        assert!(known.is_some() || name.starts_with("x-"), "{name}");
        self
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Returns what a receiver gets of a reply with this content that is dispatched at this time.
fn receive(secrets: &str, body: &[u8], at_ms: u64) -> Received {
    let call = CallHead::default();
    let finished = Finished {
        call: &call,
        id: "an.id",
        correlation_id: "talk",
        outcome: ReplyOutcome::Delivered,
        status: Some(200),
        attempts: 1,
        response: Some(Response {
            content_type: None,
            content_encoding: None,
            headers: vec![
                ("location".to_owned(), b"/orders/7".to_vec()),
                ("link".to_owned(), b"</a>".to_vec()),
            ],
            is_head_cut: false,
            body: body.to_vec(),
            is_cut: false,
        }),
        address: &ReplyAddress::Path("/inbox".to_owned()),
    };
    let (head, content) = finished.into_reply();
    let reply = decode(&encode(&head, &content).unwrap()).unwrap();
    let call_headers = CallHeaders {
        id: head.id.unwrap().0,
        correlation_id: "talk".to_owned(),
        accepted_at: "2026-11-23T04:36:00.123Z".to_owned(),
        attempt: 1,
    };
    let secrets = Secrets::parse(secrets).unwrap();
    let dispatch = Dispatch {
        default_authority: "sluice.invalid",
        secrets: Some(&secrets),
        now: Wall(at_ms),
    };
    let request = dispatch::request(reply, &call_headers, &dispatch);
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let fields = request.headers.iter();
    Received {
        headers: fields
            .filter(|(name, _)| name.starts_with("webhook-") || name.starts_with("async-"))
            .map(|(name, value)| (name.clone().into_owned(), text(value)))
            .collect(),
        body: request.body.to_vec(),
    }
}

/// Returns what the reference library says of each, to somebody who knows this secret.
fn verdicts(cases: &[(Received, &str)]) -> Vec<String> {
    let python = environment(
        &Project::here(),
        Environment {
            name: "the reference library of Standard Webhooks",
            folder: "standardwebhooks",
            requirements: &["standardwebhooks==1.1.0", "cryptography==50.0.2"],
        },
    )
    .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signature_peer.py");
    let cases: Vec<Value> = cases
        .iter()
        .map(|(received, secret)| {
            json!({
                "secret": secret,
                "headers": received.headers,
                "bodyBase64": BASE64.encode(&received.body),
            })
        })
        .collect();
    let cases = Value::from(cases).to_string();
    let said = capture(Command::new(python).arg("-I").arg(script).arg(cases)).unwrap();
    serde_json::from_str(&said).unwrap()
}

fn check(cases: &[(&str, Received, &str, &str)]) {
    let asked: Vec<(Received, &str)> = cases
        .iter()
        .map(|(_, received, secret, _)| (received.clone(), *secret))
        .collect();
    for ((name, _, _, expected), verdict) in cases.iter().zip(verdicts(&asked)) {
        assert_eq!(verdict, *expected, "{name}");
    }
}

#[test]
fn the_reference_library_takes_what_we_sign_and_nothing_else() {
    let now_ms = now_ms();
    let signed = receive(OLD, br#"{"a": "gr\u00fcn"}"#, now_ms);
    let earlier = (now_ms / 1_000 - 1).to_string();
    let changed = Received {
        body: br#"{"a":"gr\u00fcn"}"#.to_vec(),
        ..signed.clone()
    };
    check(&[
        ("as it was sent", signed.clone(), OLD, VALID),
        ("no content", receive(OLD, b"", now_ms), OLD, VALID),
        (
            "text",
            receive(OLD, "gr\u{fc}n\n".as_bytes(), now_ms),
            OLD,
            VALID,
        ),
        ("another content", changed, OLD, FORGED),
        (
            "another id",
            signed.clone().with("webhook-id", "other"),
            OLD,
            FORGED,
        ),
        (
            "another time",
            signed.clone().with("webhook-timestamp", &earlier),
            OLD,
            FORGED,
        ),
        ("another secret", signed, OTHER, FORGED),
        (
            "sent again",
            receive(OLD, b"{}", now_ms - 600_000),
            OLD,
            STALE,
        ),
    ]);
}

#[test]
fn while_secrets_change_receivers_may_know_either() {
    let now_ms = now_ms();
    let both = receive(&format!("{NEW} {OLD}"), b"{}", now_ms);
    check(&[
        ("the new one", both.clone(), NEW, VALID),
        ("the old one", both.clone(), OLD, VALID),
        ("neither", both, OTHER, FORGED),
        ("after the change", receive(NEW, b"{}", now_ms), OLD, FORGED),
    ]);
}

#[test]
fn a_content_that_is_no_text_is_signed_byte_for_byte() {
    let now_ms = now_ms();
    let bytes: Vec<u8> = (0..=255).collect();
    let signed = receive(&format!("{NEW} {OLD}"), &bytes, now_ms);
    let mut changed = signed.clone();
    changed.body[255] = 0xfe;
    check(&[
        (
            "controls",
            receive(OLD, b"\0\x01\r\n\x7f", now_ms),
            OLD,
            VALID,
        ),
        ("every byte", signed.clone(), NEW, VALID),
        ("every byte, the old secret", signed.clone(), OLD, VALID),
        ("one changed", changed, NEW, FORGED),
        ("another secret", signed, OTHER, FORGED),
    ]);
}

#[test]
fn a_public_key_is_enough_to_verify() {
    let now_ms = now_ms();
    let signed = receive(&format!("{KEY} {OLD}"), b"{}", now_ms);
    let earlier = (now_ms / 1_000 - 1).to_string();
    let mut changed = signed.clone();
    changed.body = b"[]".to_vec();
    check(&[
        ("by the key", signed.clone(), PUBLIC_KEY, VALID),
        ("by the secret", signed.clone(), OLD, VALID),
        ("another key", signed.clone(), OTHER_PUBLIC_KEY, FORGED),
        ("another content", changed, PUBLIC_KEY, FORGED),
        (
            "another time",
            signed.clone().with("webhook-timestamp", &earlier),
            PUBLIC_KEY,
            FORGED,
        ),
        (
            "every byte",
            receive(KEY, &[0, 0xff], now_ms),
            PUBLIC_KEY,
            VALID,
        ),
    ]);
}

#[test]
fn marks_are_verified_by_the_same_library() {
    let now_ms = now_ms();
    for (secrets, secret) in [(OLD, OLD), (KEY, PUBLIC_KEY)] {
        let signed = receive(secrets, b"\xff", now_ms);
        let of_marks = |received: Received| received.with("x-verify", "marks");
        let mut asked = vec![("as they were sent", signed.clone(), VALID)];
        for (name, value) in [
            ("async-outcome", "failed"),
            ("async-status", "500"),
            ("async-attempts", "2"),
            ("async-call-id", "other"),
            ("async-correlation-id", "other"),
            ("async-response-location", "/orders/8"),
            ("webhook-id", "other"),
        ] {
            asked.push((name, signed.clone().with(name, value), FORGED));
        }
        let mut more = signed.clone();
        more.headers
            .insert("async-body-cut".to_owned(), "true".to_owned());
        asked.push(("one more", more, FORGED));
        let mut less = signed.clone();
        less.headers.remove("async-response-link").unwrap();
        asked.push(("one less", less, FORGED));
        // A signature of the content is none of marks, and the other way round.
        let content = signed.headers["webhook-signature"].clone();
        asked.push((
            "of content",
            signed.with("async-signature", &content),
            FORGED,
        ));
        let asked: Vec<_> = asked
            .into_iter()
            .map(|(name, received, expected)| (name, of_marks(received), secret, expected))
            .collect();
        check(&asked);
    }
}
