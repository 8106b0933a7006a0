//! What gets a `202` is what the drain can read and Envoy can send: the accept role and the drain
//! hold heads against one grammar.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::borrow::Cow;

use sluice::accept::admission::{RequestHead, admit};
use sluice::accept::config::AcceptConfig;
use sluice::config::Document;
use sluice::drain::dispatch::{CallHeaders, Dispatch, request};
use sluice::http::first;
use sluice::id::CallId;
use sluice::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};
use sluice::record::{decode, encode};
use sluice::time::Wall;

/// Where a byte can stand in a request: the field, what stands before it and what behind.
const PLACES: &[(&str, &str, &str)] = &[
    (":method", "", ""),
    (":method", "PO", "ST"),
    (":path", "", "a"),
    (":path", "/", ""),
    (":path", "/a", "b?c"),
    (":path", "/a?b", ""),
    (":authority", "", ""),
    (":authority", "", "h"),
    (":authority", "h", "h"),
    (":authority", "h:8", ""),
    (":authority", "[::1", "]"),
    (":scheme", "", ""),
    (":scheme", "http", ""),
    ("x-any", "", ""),
    ("x-any", "a", "b"),
    ("cookie", "a=", ""),
    ("content-type", "text/", ""),
    ("async-correlation-id", "c", "c"),
    ("async-order-key", "c", "c"),
    ("async-reply-to", "/in", "x"),
    ("async-reply-to", "https://hooks.example/", "x"),
    ("async-failure-to", "/in", ""),
    ("async-target", "https://api.example/", "x"),
    ("async-target", "https://api", ".example/"),
    ("async-delay", "5", "s"),
    ("async-timeout", "5", ""),
    ("async-retries", "5", ""),
    ("idempotency-key", "\"k", "\""),
];

fn config() -> AcceptConfig {
    let any = r#"{"allow":[{"host":"api.example"},{"host":"hooks.example"}]}"#;
    let json = format!(
        r#"{{"stream":{{"cluster":"s","authority":"s","streamId":"calls"}},
            "targets":{any},
            "replies":{{"allow":[{{"host":"hooks.example"}}],"paths":["/"]}}}}"#
    );
    AcceptConfig::from_json(json.as_bytes()).unwrap()
}

/// Returns a request as Envoy shows it, with one field that is different.
fn head(name: &str, value: Vec<u8>) -> RequestHead {
    let usual = [
        (":method", "POST"),
        (":path", "/a"),
        (":authority", "h"),
        (":scheme", "http"),
    ];
    let usual = usual.into_iter().filter(|(usual, _)| *usual != name);
    let mut fields: Vec<(String, Vec<u8>)> = usual
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    fields.push((name.to_owned(), value));
    RequestHead {
        fields,
        has_route: true,
        ..RequestHead::default()
    }
}

/// Returns whether it is admitted; and if it is, that it is stored, read and sent as it came.
fn is_kept(name: &str, value: &[u8], config: &AcceptConfig) -> bool {
    let Ok(admitted) = admit(head(name, value.to_vec()), config, Wall(0)) else {
        return false;
    };
    let mut stored = admitted.head;
    stored.id = Some(CallId("id".to_owned()));
    stored.accepted_at = Some(Wall(0).to_string());
    let shown = || format!("{name}: {}", value.escape_ascii());
    let json = encode(&stored, b"body").unwrap();
    let call = decode(&json).unwrap_or_else(|error| panic!("{}: {error}", shown()));
    assert_eq!(call.head, stored, "{}", shown());
    if stored.target.is_some() || name.starts_with("async-") || name == "idempotency-key" {
        return true;
    }
    let call_headers = CallHeaders {
        id: "id".to_owned(),
        correlation_id: "id".to_owned(),
        accepted_at: Wall(0).to_string(),
        attempt: 1,
    };
    let dispatch = Dispatch {
        default_authority: "nowhere.invalid",
        secrets: None,
        now: Wall(0),
    };
    let sent = request(call, &call_headers, &dispatch);
    let sent: Vec<(String, Vec<u8>)> = sent
        .headers
        .into_iter()
        .map(|(name, value): (Cow<'_, str>, Cow<'_, [u8]>)| (name.into(), value.into()))
        .collect();
    assert_eq!(first(&sent, name), Some(value), "{}", shown());
    true
}

#[test]
fn every_byte_in_every_part_is_kept_or_refused() {
    let config = config();
    for (name, before, behind) in PLACES {
        let mut kept = 0;
        for byte in 0..=u8::MAX {
            let value = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            kept += usize::from(is_kept(name, &value, &config));
        }
        assert!(kept < 256, "{name} {before}: nothing is refused");
        let is_one_word = *name == ":scheme" || before.contains("https://api");
        assert!(kept > 0 || is_one_word, "{name} {before}: nothing is kept");
    }
}

/// Numbers as good as random ones, the same ones each time (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

#[test]
fn any_text_in_every_part_is_kept_or_refused() {
    const PIECES: &[&[u8]] = &[
        b"/",
        b"//",
        b"a",
        b"%2f",
        b"%",
        b"..",
        b"?",
        b"#",
        b"@",
        b":",
        b":80",
        b"[::1]",
        b"*",
        b"\\",
        b" ",
        b"\t",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xc3\xbc",
        b"http://",
        b"https://h",
        b",",
        b";",
        b"\"",
        b"CONNECT",
        b"connect",
        b"1",
        b"-",
        b".",
    ];
    let config = config();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..40_000 {
        let (name, ..) = PLACES[numbers.below(PLACES.len())];
        let pieces = numbers.below(6);
        let value: Vec<&[u8]> = (0..pieces)
            .map(|_| PIECES[numbers.below(PIECES.len())])
            .collect();
        is_kept(name, &value.concat(), &config);
    }
}

#[test]
fn a_head_that_is_too_large_is_told_the_limit() {
    let refusal = |fields: Vec<(String, Vec<u8>)>| {
        let mut head = head("x-first", Vec::new());
        head.fields.extend(fields);
        let refusal = admit(head, &config(), Wall(0)).err()?;
        let response = refusal.response(std::time::Duration::ZERO);
        let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        Some((response.status, problem["limit"].as_u64().unwrap()))
    };
    let long = |bytes| vec![("x".to_owned(), vec![b'v'; bytes])];
    assert_eq!(refusal(long(HEAD_BYTES_MAX - 100)), None);
    assert_eq!(
        refusal(long(HEAD_BYTES_MAX)),
        Some((431, HEAD_BYTES_MAX as u64))
    );
    let many = |count| vec![("x".to_owned(), Vec::new()); count];
    assert_eq!(refusal(many(HEAD_FIELDS_MAX - 1)), None);
    assert_eq!(
        refusal(many(HEAD_FIELDS_MAX)),
        Some((431, HEAD_FIELDS_MAX as u64))
    );
}
