//! The pure core under wasm, where a `usize` has 32 bits and nothing of the host is there: one
//! call from its request to its commit, records, ids, times, and every number that could wrap.
//!
//! Run in Node by `cargo xtask test --only wasm`.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use sluice::accept::Input as AcceptInput;
use sluice::accept::admission::{RequestHead, admit};
use sluice::accept::config::AcceptConfig;
use sluice::accept::refusal::Refusal;
use sluice::config::Document;
use sluice::drain::Input as DrainInput;
use sluice::drain::config::DrainConfig;
use sluice::id::{Entropy, RequestId};
use sluice::limits::PUT_BYTES_MAX;
use sluice::record::{Call, CallHead, decode, encode};
use sluice::time::{Steady, Wall};
use support::asking::{NOW, ask, gateway, refused};
use support::{accept, accept_engine, answer, at, drain, drain_engine, field, messages};
use support::{records, request, stored};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn one_call_from_request_to_commit() {
    let mut accepting = accept_engine("");
    let said = accept(&mut accepting, request(7, &[("x-a", "1")]), at(0), b"");
    assert_eq!((said.wakes, said.callouts.len()), (1, 0));
    let said = accept(&mut accepting, AcceptInput::Wake, at(1), b"");
    let put = &said.callouts[0];
    let record = records(put).remove(0);
    let done = AcceptInput::CalloutDone(put.ticket, stored(put, 12));
    let said = accept(&mut accepting, done, at(3), b"");
    let (RequestId(7), 202, receipt) = &said.responses[0] else {
        panic!("{said:?}")
    };
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    assert_eq!(
        (&receipt["id"], &receipt["offset"]),
        (&record["id"], &12.into())
    );

    let mut draining = drain_engine("", "");
    let said = drain(&mut draining, DrainInput::HealthCheck, at(0));
    let joined = answer(200, &[], r#"{"value":"start"}"#);
    let joined = DrainInput::CalloutDone(said.callouts[0].ticket, joined);
    let said = drain(&mut draining, joined, at(1));
    let fetched = messages(12, &[&record.to_string()]);
    let fetched = DrainInput::CalloutDone(said.callouts[0].ticket, fetched);
    let said = drain(&mut draining, fetched, at(4));
    let call = said
        .callouts
        .iter()
        .find(|callout| &*callout.cluster == "dispatch");
    let call = call.unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(support::target(call), "POST /orders");
    assert_eq!(
        (field(call, "x-a"), field(call, "async-attempt")),
        ("1".into(), "1".into())
    );
    assert_eq!(field(call, "async-call-id"), record["id"].as_str().unwrap());

    let mut commits = Vec::new();
    for callout in &said.callouts {
        let result = match &*callout.cluster {
            "dispatch" => answer(204, &[], ""),
            _ => messages(13, &[]),
        };
        let done = DrainInput::CalloutDone(callout.ticket, result);
        commits.extend(drain(&mut draining, done, at(100)).targets());
    }
    assert!(
        commits.contains(&"POST calls/commit?cursor=after-13".to_owned()),
        "{commits:?}"
    );
}

#[wasm_bindgen_test]
fn records_come_back_as_they_were_written() {
    let large: Vec<u8> = (0..=255).cycle().take(655_360).collect();
    let head = CallHead {
        method: "PUT".to_owned(),
        path: "/a%2Fb?x".to_owned(),
        headers: vec![
            ("x-bytes".to_owned(), (0x80..=0xff).collect()),
            ("x-bytes".to_owned(), Vec::new()),
        ],
        ..CallHead::default()
    };
    for body in [
        &b""[..],
        b"\xff",
        b"{\"a\":\"\\u0000\"}",
        "gr\u{fc}n".as_bytes(),
        &large,
    ] {
        let record = encode(&head, body).unwrap();
        assert!(record.len() < PUT_BYTES_MAX);
        let call = decode(&record).unwrap();
        assert_eq!((&call.head, call.body.as_slice()), (&head, body));
    }
}

#[wasm_bindgen_test]
fn hostile_records_are_errors_and_no_traps() {
    let deep = format!(r#"{{"path":"/","headers":{}"#, "[".repeat(500_000));
    for record in [
        "",
        "null",
        "{",
        r#"{"path":"/\r\n"}"#,
        r#"{"path":"/","version":4294967297}"#,
        r#"{"path":"/","bodyBase64":"*"}"#,
        r#"{"path":"/","headers":[["x","\u0000"]]}"#,
        &deep,
    ] {
        assert!(decode(record.as_bytes()).is_err(), "{:.60}", record);
    }
    assert!(decode(&[0xff; 1_000_000]).is_err());
    let least = decode(br#"{"path":"/x"}"#).unwrap();
    let head = CallHead {
        method: "GET".to_owned(),
        path: "/x".to_owned(),
        ..CallHead::default()
    };
    assert_eq!(
        least,
        Call {
            head,
            body: Vec::new()
        }
    );
}

/// 2^32 + 1, which 32 bits would take for 1.
const WRAPS_TO_ONE: u64 = 4_294_967_297;

#[wasm_bindgen_test]
fn settings_beyond_32_bits_are_refused_and_not_cut() {
    let stream = r#""stream":{"cluster":"s","authority":"s","streamId":"calls"}"#;
    let accept = format!(
        r#"{{{stream},"publish":{{"batchRecords":{WRAPS_TO_ONE},"inFlight":{WRAPS_TO_ONE}}},
            "limits":{{"bodyBytes":{WRAPS_TO_ONE},"waitingRequests":{WRAPS_TO_ONE}.0}}}}"#
    );
    let mistakes = AcceptConfig::from_json(accept.as_bytes()).unwrap_err().0;
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    let drain = format!(
        r#"{{{stream},"deadLetters":{{"streamId":"d"}},"dispatch":{{"cluster":"d"}},
            "window":{{"bytes":536870912,"calls":{WRAPS_TO_ONE}}},
            "attempt":{{"attempts":{WRAPS_TO_ONE},"timeoutMs":18446744073709551616}}}}"#
    );
    let mistakes = DrainConfig::from_json(drain.as_bytes()).unwrap_err().0;
    let paths: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "$.window.calls",
            "$.attempt.timeoutMs",
            "$.attempt.attempts"
        ]
    );
}

#[wasm_bindgen_test]
fn a_length_beyond_32_bits_is_too_large() {
    for length in [WRAPS_TO_ONE, u64::MAX] {
        let fields = [
            (":method", "POST"),
            (":path", "/"),
            ("content-length", &length.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let head = RequestHead {
            fields: fields.to_vec(),
            has_route: true,
            ..RequestHead::default()
        };
        let config = br#"{"stream":{"cluster":"s","authority":"s","streamId":"c"},
            "limits":{"bodyBytes":10}}"#;
        let refused = admit(head, &AcceptConfig::from_json(config).unwrap(), Wall(0));
        assert!(
            matches!(
                refused,
                Err(Refusal::TooLarge {
                    limit_bytes: 10,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

#[wasm_bindgen_test]
fn offsets_keep_all_of_their_64_bits() {
    let offset = 9_007_199_254_740_993_u64;
    let mut accepting = accept_engine("");
    accept(&mut accepting, request(1, &[]), at(0), b"");
    let said = accept(&mut accepting, AcceptInput::Wake, at(1), b"");
    let entry = format!(r#"{{"failures":0,"entries":[{{"partition":"0","offset":{offset}}}]}}"#);
    let done = AcceptInput::CalloutDone(said.callouts[0].ticket, answer(200, &[], &entry));
    let said = accept(&mut accepting, done, at(2), b"");
    assert!(
        said.responses[0]
            .2
            .contains(&format!(r#""offset":{offset}}}"#)),
        "{said:?}"
    );
}

#[wasm_bindgen_test]
fn options_count_in_64_bits() {
    let year_ms = 366 * 86_400_000;
    let earliest = |name, value: &str| {
        let admitted = ask(&gateway(""), &[(name, value.as_bytes())]);
        admitted.map(|admitted| admitted.options.deliver_at)
    };
    for (name, value) in [
        ("async-delay", "366d"),
        ("async-delay", "31622400000ms"),
        ("async-delay", "PT31622400S"),
        ("async-deliver-at", "2027-11-24T04:36:00Z"),
        ("async-deliver-at", "Wed, 24 Nov 2027 04:36:00 GMT"),
        ("async-deliver-at", "1827030960"),
    ] {
        assert_eq!(
            earliest(name, value),
            Ok(Some(Wall(NOW.0 + year_ms))),
            "{value}"
        );
    }
    for (name, value) in [
        ("async-delay", format!("{WRAPS_TO_ONE}s")),
        ("async-delay", "18446744073709551617ms".to_owned()),
        ("async-deliver-at", "9999-12-31T23:59:59Z".to_owned()),
        (
            "async-deliver-at",
            "Fri, 31 Dec 9999 23:59:59 GMT".to_owned(),
        ),
        ("async-retries", WRAPS_TO_ONE.to_string()),
        ("async-timeout", format!("{WRAPS_TO_ONE}ms")),
        ("async-max-age", format!("{WRAPS_TO_ONE}s")),
    ] {
        assert_eq!(
            refused(&gateway(""), &[(name, value.as_bytes())]).0,
            400,
            "{value}"
        );
    }
    // A moment that 32 bits of seconds would take for 1970.
    let record = format!(r#"{{"path":"/","deliverAt":{WRAPS_TO_ONE},"maxAgeMs":{WRAPS_TO_ONE}}}"#);
    let head = decode(record.as_bytes()).unwrap().head;
    assert_eq!(head.deliver_at, Some(Wall(WRAPS_TO_ONE * 1_000)));
    assert_eq!(head.max_age_ms, Some(WRAPS_TO_ONE));
    for member in ["retries", "timeoutMs"] {
        let record = format!(r#"{{"path":"/","{member}":{WRAPS_TO_ONE}}}"#);
        assert!(decode(record.as_bytes()).is_err(), "{member}");
    }
}

#[wasm_bindgen_test]
fn times_and_ids_are_those_of_64_bits() {
    assert_eq!(
        Wall(1_795_408_560_123).to_string(),
        "2026-11-23T04:36:00.123Z"
    );
    assert_eq!(
        Wall(253_402_300_799_999).to_string(),
        "9999-12-31T23:59:59.999Z"
    );
    let late = Steady(u64::from(u32::MAX));
    assert_eq!(
        late.plus(std::time::Duration::from_secs(1))
            .since(late)
            .as_millis(),
        1_000
    );

    let mut entropy = Entropy::from_seed([3; 32]);
    let mut ids: Vec<_> = (0..1_000)
        .map(|n| entropy.call_id(Wall(1_795_408_560_000 + n)))
        .collect();
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
    assert_eq!(ids[0].0.get(..13), Some("01a206b0-7f80"));
    assert!((0..1_000).all(|_| entropy.up_to(u64::from(u32::MAX) + 9) <= u64::from(u32::MAX) + 9));
}
