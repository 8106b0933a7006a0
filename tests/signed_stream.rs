//! Requests to the Stream with signatures, and a Stream that refuses, throttles or has forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::json;
use sluice::accept::Input as AcceptInput;
use sluice::drain::Input;
use sluice::id::Entropy;
use sluice::metric::Metric;
use sluice::stream::signing::{KEY_BITS_MIN, KeyId, PrivateKey, Signer};

use support::lab::Lab;
use support::{accept, accept_engine, answer, at, drain_engine, field, request, stored, target};

const KEY: &str = include_str!("keys/rsa-2048-pkcs8.pem");

fn signer() -> Option<Signer> {
    let key = PrivateKey::from_pem(KEY, KEY_BITS_MIN).unwrap();
    let fingerprint = key.fingerprint().unwrap();
    let key_id = format!("ocid1.tenancy.oc1..t/ocid1.user.oc1..u/{fingerprint}");
    let rsa = key.signs_itself(Entropy::from_seed([9; 32]));
    Some(Signer::new(KeyId::parse(&key_id).unwrap(), rsa))
}

fn signed_lab() -> Lab {
    Lab::with_engine(drain_engine("", "").signed_by(signer()))
}

#[test]
fn a_call_to_a_target_of_oci_is_signed_with_its_content() {
    let rule = r#","targets":{"allow":[{"host":"*.functions.oci.oraclecloud.com",
        "pathPrefix":"/20181201/functions","sign":"oci"},{"host":"api.example.com"}]}"#;
    let stream = r#","stream":{"cluster":"stream","authority":"s","streamId":"calls",
        "signing":{"keyId":"ST$token"}}"#;
    let engine = drain_engine(r#","httpsCluster":"egress""#, &format!("{rule}{stream}"));
    let mut lab = Lab::with_engine(engine.signed_by(signer()));
    let invoke = "/20181201/functions/ocid1.fnfunc.oc1..f/actions/invoke";
    let target = format!("https://x.eu.functions.oci.oraclecloud.com{invoke}");
    let headers = json!([
        ["authorization", "Bearer of-the-caller"],
        ["x-date", "forged"]
    ]);
    lab.bring(
        "calls",
        0,
        &[
            json!({ "target": target, "method": "POST", "headers": headers, "body": "hello" }),
            json!({ "target": "https://api.example.com/", "method": "PUT" }),
        ],
    );
    let call = lab.take(&format!("POST {invoke}"));
    assert_eq!(covered(&call), ALL);
    assert_eq!(
        field(&call, "x-content-sha256"),
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    );
    assert_eq!(field(&call, "content-length"), "5");
    assert_eq!(field(&call, "content-type"), "application/octet-stream");
    assert_eq!(field(&call, "x-date"), "");
    let fields = call.request.headers.iter();
    let signatures = fields.filter(|(name, _)| name == "authorization");
    assert_eq!(signatures.count(), 1);
    assert_eq!(field(&lab.take("PUT /"), "authorization"), "");
}

/// Returns the names of the parts that a request's signature covers.
fn covered(callout: &sluice::engine::Callout) -> String {
    let authorization = field(callout, "authorization");
    let (_, names) = authorization.split_once("headers=\"").unwrap_or_default();
    names.split('"').next().unwrap_or_default().to_owned()
}

const HEAD: &str = "date (request-target) host";
const ALL: &str = "date (request-target) host content-length content-type x-content-sha256";

#[test]
fn every_request_of_a_session_is_signed_and_no_call_to_a_target_is() {
    let mut lab = signed_lab();
    let fetch = lab.take("GET calls/messages");
    assert_eq!(covered(&fetch), HEAD);
    assert_eq!(field(&fetch, "date"), "Mon, 23 Nov 2026 04:36:00 GMT");
    let records = support::messages(0, &[r#"{"path":"/a"}"#]);
    lab.input(Input::CalloutDone(fetch.ticket, records));
    let call = lab.answer("GET /a", answer(200, &[], ""));
    assert_eq!(field(&call, "authorization"), "");
    lab.fetch_nothing(1);
    lab.wait(100);
    let commit = lab.take("commit?");
    assert_eq!(covered(&commit), ALL);
    assert_eq!(field(&commit, "content-length"), "0");
}

#[test]
fn batches_of_calls_share_a_signature_for_a_minute() {
    let mut engine = accept_engine("").signed_by(signer());
    let mut publish = |number: u32, millis: u64| {
        accept(&mut engine, request(number, &[]), at(millis), b"");
        let mut said = accept(&mut engine, AcceptInput::Wake, at(millis), b"");
        let put = said.callouts.remove(0);
        let done = AcceptInput::CalloutDone(put.ticket, stored(&put, 0));
        accept(&mut engine, done, at(millis), b"");
        assert_eq!(covered(&put), HEAD);
        field(&put, "authorization")
    };
    let first = publish(1, 0);
    assert_eq!(publish(2, 59_000), first);
    assert_ne!(publish(3, 60_000), first);
}

#[test]
fn a_refused_signature_is_counted_and_explained() {
    let mut lab = signed_lab();
    let refusal = r#"{"code":"NotAuthenticated","message":"The required information to complete \
                     authentication was not provided or was incorrect."}"#;
    let late = [("date", "Mon, 23 Nov 2026 04:26:00 GMT")];
    lab.answer("GET calls/messages", answer(401, &late, refusal));
    assert_eq!(lab.said.counted(Metric::Unauthenticated), 1);
    let line = lab.said.logs.pop().unwrap();
    assert!(
        line.contains("clock is 600 s ahead of the Stream's"),
        "{line}"
    );
    // It goes on by itself once somebody has set the clock.
    lab.wait(1_000);
    assert!(lab.is_open("GET calls/messages"));
}

#[test]
fn an_unsigned_drain_is_told_to_sign() {
    let mut lab = Lab::joined("");
    lab.answer("GET calls/messages", answer(401, &[], "{}"));
    let line = lab.said.logs.pop().unwrap();
    assert!(line.contains("configure stream.signing"), "{line}");
}

#[test]
fn a_group_outside_retention_is_moved_on_and_that_is_said() {
    let mut lab = signed_lab();
    let outside = r#"{"code":"InvalidParameter",
        "message":"The cursor is outside the retention period and is now invalid."}"#;
    lab.answer("GET calls/messages", answer(400, &[], outside));
    assert!(lab.open.is_empty());
    lab.wait(1_000);
    let update = lab.take("PUT calls/groups/sluice");
    assert_eq!(
        update.request.body.as_slice(),
        br#"{"type":"TRIM_HORIZON"}"#
    );
    assert_eq!(covered(&update), ALL);
    // Joining is useless until it is moved.
    lab.input(Input::CalloutDone(update.ticket, answer(500, &[], "")));
    lab.wait(1_000);
    lab.answer("PUT calls/groups/sluice", answer(200, &[], ""));
    assert_eq!(lab.said.counted(Metric::OutsideRetention), 1);
    assert!(
        lab.said
            .logs
            .iter()
            .any(|line| line.contains("not settled are lost"))
    );
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"anew"}"#));
    assert!(target(&lab.take("GET calls/messages")).contains("cursor=anew"));
}

#[test]
fn whoever_commits_what_is_not_theirs_any_more_joins_again() {
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/a"]);
    lab.deliver("/a");
    lab.fetch_nothing(1);
    lab.wait(100);
    let unreserved = r#"{"code":"InvalidParameter",
        "message":"Trying to commit unreserved partition 0."}"#;
    lab.answer("commit?", answer(400, &[], unreserved));
    lab.wait(1_000);
    lab.answer("groupCursors", answer(200, &[], r#"{"value":"anew"}"#));
    // The call was made; it isn't again when its record comes again, and then it is committed.
    lab.fetch(0, &["/a"]);
    assert!(!lab.is_open("GET /a"));
    assert!(lab.is_open("commit?cursor=after-1"));
}

#[test]
fn the_pause_that_the_stream_asks_for_is_kept_by_commits_and_fetches() {
    let throttled = || answer(429, &[], "next request can be made in 1500 ms");
    let mut lab = Lab::joined("");
    lab.fetch(0, &["/a"]);
    lab.deliver("/a");
    lab.answer("GET calls/messages", throttled());
    lab.wait(1_499);
    assert!(lab.open.is_empty(), "{:?}", lab.open);
    lab.wait(1);
    lab.answer("commit?", throttled());
    lab.wait(1_499);
    assert!(lab.open.is_empty(), "{:?}", lab.open);
    lab.wait(1);
    assert_eq!(lab.open.len(), 1);
}

#[test]
fn accepting_goes_on_after_the_pause_that_the_stream_asks_for() {
    let mut engine = accept_engine("");
    accept(&mut engine, request(1, &[]), at(0), b"");
    let said = accept(&mut engine, AcceptInput::Wake, at(0), b"");
    let throttled = answer(429, &[], "next request can be made in 300 ms");
    let done = AcceptInput::CalloutDone(said.callouts[0].ticket, throttled);
    let said = accept(&mut engine, done, at(0), b"");
    assert_eq!(said.responses[0].1, 503);
    accept(&mut engine, request(2, &[]), at(10), b"");
    for (millis, published) in [(20, 0), (299, 0), (300, 1)] {
        let said = accept(&mut engine, AcceptInput::Tick, at(millis), b"");
        assert_eq!(said.callouts.len(), published, "at {millis} ms");
    }
}

#[test]
fn keys_count_as_bytes_of_a_batch() {
    let first_batch = |batch_bytes: usize| {
        let config = format!(r#","publish":{{"batchBytes":{batch_bytes}}}"#);
        let mut engine = accept_engine(&config);
        let key = "k".repeat(200);
        for number in 1..=2 {
            let order = [("async-order-key", key.as_str())];
            accept(&mut engine, request(number, &order), at(0), b"");
        }
        let mut said = accept(&mut engine, AcceptInput::Wake, at(0), b"");
        said.callouts.remove(0)
    };
    let both = first_batch(1_048_576);
    let records = support::records(&both);
    assert_eq!(records.len(), 2);
    let bytes: usize = records.iter().map(|r| r.to_string().len() + 200).sum();
    assert!(bytes > 1_024, "a limit as low as that can be configured");
    assert_eq!(support::records(&first_batch(bytes)).len(), 2);
    assert_eq!(support::records(&first_batch(bytes - 1)).len(), 1);
}

#[test]
fn without_a_token_nothing_leaves_and_nothing_is_promised() {
    let mut engine = accept_engine("").signed_by_principal();
    let publish = |engine: &mut _, number: u32, ms: u64| {
        accept(engine, request(number, &[]), at(ms), b"");
        accept(engine, AcceptInput::Wake, at(ms + 1), b"")
    };
    let said = publish(&mut engine, 1, 0);
    assert_eq!((said.callouts.len(), said.unsigned.len()), (0, 1));
    let not_sent = sluice::http::CalloutResult::NotSent;
    let done = AcceptInput::CalloutDone(said.unsigned[0], not_sent);
    let said = accept(&mut engine, done, at(2), b"");
    let (_, status, body) = &said.responses[0];
    assert_eq!(*status, 503);
    assert!(body.contains(r#""stored":"no""#), "{body}");

    // The token is there, until it ends.
    let until = at(5_000).wall;
    engine.renew_token(signer().unwrap(), until);
    let said = publish(&mut engine, 2, 1_000);
    assert_eq!(covered(&said.callouts[0]), "date (request-target) host");
    let done = AcceptInput::CalloutDone(said.callouts[0].ticket, stored(&said.callouts[0], 1));
    accept(&mut engine, done, at(1_002), b"");
    let said = publish(&mut engine, 3, 5_000);
    assert_eq!((said.callouts.len(), said.unsigned.len()), (0, 1));
}

#[test]
fn a_refused_signature_is_told_once() {
    let mut engine = accept_engine("").signed_by_principal();
    engine.renew_token(signer().unwrap(), at(60_000).wall);
    assert!(!engine.take_refused_signature());
    accept(&mut engine, request(1, &[]), at(0), b"");
    let put = accept(&mut engine, AcceptInput::Wake, at(1), b"");
    let refused = answer(401, &[], r#"{"code":"NotAuthenticated","message":"no"}"#);
    let done = AcceptInput::CalloutDone(put.callouts[0].ticket, refused);
    accept(&mut engine, done, at(2), b"");
    assert!(engine.take_refused_signature());
    assert!(!engine.take_refused_signature());
}
