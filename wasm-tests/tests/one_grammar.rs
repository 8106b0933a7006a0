//! Every byte in every part of a head, over HTTP/1.1 and HTTP/2: what gets a `202` arrives at its
//! target as an unmarked request with the same byte does, what doesn't never arrives, and nothing
//! ends as a dead letter. `tests/one_grammar.rs` has the same without Envoy.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use local_gateway::Builder;
use local_gateway::render::{at, listener};
use serde_json::json;
use testkit::http1::Connection;
use testkit::http2::raw::{self, Ended};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Seen;

/// Where a byte stands: the field, what stands before it and what behind.
const PLACES: &[(&str, &str, &str)] = &[
    (":method", "PO", "ST"),
    (":path", "", "a"),
    (":path", "/a", "b?c"),
    (":path", "/a?b", ""),
    (":authority", "", ""),
    (":authority", "h", "h"),
    (":authority", "h:8", ""),
    ("x-any", "a", "b"),
    ("async-correlation-id", "c", "c"),
    ("async-order-key", "c", "c"),
    ("async-reply-to", "/in", "x"),
    ("async-retries", "", ""),
    ("idempotency-key", "\"k", "\""),
];

/// Requests that are made at the same time.
const SENDERS: usize = 16;

/// What can't be said by one byte: field and value.
const ODD: &[(&str, &str)] = &[
    (":scheme", "javascript"),
    (":scheme", "HTTP"),
    (":scheme", ""),
    (":method", "connect"),
    (":method", "CONNECT"),
    (":method", "Connect"),
    (":path", "*"),
    (":path", ""),
    (":path", "/\u{fc}"),
    (":path", "/%"),
    (":path", "/a\\b"),
    (":path", "//a"),
    (":authority", "a@b"),
    (":authority", "a/b"),
    (":authority", "a\"b"),
    (":authority", "[::1]:80"),
    (":authority", "[::1"),
    (":authority", "h:65536"),
    ("async-reply-to", "/in#frag"),
    ("async-reply-to", "//in"),
    ("te", "trailers"),
    ("te", "gzip"),
    ("upgrade", "h2c"),
    ("expect", "100-continue"),
    ("x-forwarded-proto", "javascript"),
    ("x-forwarded-for", "203.0.113.1"),
];

/// Returns the cases: field and value.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = Vec::new();
    for (name, before, behind) in PLACES {
        for byte in 0..=u8::MAX {
            let value = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            cases.push((*name, value));
        }
    }
    cases.extend(
        ODD.iter()
            .map(|(name, value)| (*name, value.as_bytes().to_vec())),
    );
    cases
}

/// Returns all fields of a case, the pseudo header fields first.
fn fields(name: &str, value: &[u8], case: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/any"),
        (":authority", "gateway.test"),
    ];
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = usual
        .into_iter()
        .map(|(usual, fallback)| {
            let value = if usual == name {
                value
            } else {
                fallback.as_bytes()
            };
            (usual.into(), value.to_vec())
        })
        .collect();
    if !name.starts_with(':') {
        fields.push((name.into(), value.to_vec()));
    }
    fields.push((b"x-case".to_vec(), case.into()));
    if case.starts_with('m') {
        fields.push((b"prefer".to_vec(), b"respond-async".to_vec()));
    }
    fields
}

/// Sends it over HTTP/1.1; whether it got a `202`.
fn is_accepted_1(port: u16, fields: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let of = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name.as_bytes());
        found.map(|(_, value)| value.clone()).unwrap()
    };
    let mut bytes = [of(":method"), of(":path"), b"HTTP/1.1\r\nhost: ".to_vec()].join(&b' ');
    bytes.extend(of(":authority"));
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        bytes.extend([b"\r\n", name.as_slice(), b": ", value].concat());
    }
    bytes.extend(b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let mut connection = Connection::open(port).unwrap();
    if connection.send(&bytes).is_err() {
        return false;
    }
    connection
        .receive(false)
        .is_ok_and(|answer| answer.status == 202)
}

/// Sends it over HTTP/2; whether it got a `202`.
fn is_accepted_2(port: u16, fields: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let fields: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    raw::exchange(port, &fields).is_ok_and(|ended| ended == Ended::Accepted)
}

/// Returns what a target sees of a case.
fn essence(seen: &Seen, name: &str) -> (String, String, String, String) {
    let message = &seen.message;
    // Options are for the gateway, and `te` is for one connection.
    let field = if name.starts_with("async-") || name.starts_with(':') || name == "te" {
        String::new()
    } else {
        message
            .field(name)
            .unwrap_or_default()
            .escape_ascii()
            .to_string()
    };
    (
        message.word(0),
        message.word(1),
        message.text("host"),
        field,
    )
}

fn holds(name: &str, send: impl Fn(u16, &[(Vec<u8>, Vec<u8>)]) -> bool + Sync) {
    let gateway = Gateway::with(
        name,
        wasm_tests::target::Target::start(),
        |builder: Builder| {
            builder.edit(|config| {
                let gateway = listener(config, "gateway")?;
                let manager = at(gateway, "/filter_chains/0/filters/0/typed_config")?;
                manager["http_protocol_options"]["allow_custom_methods"] = json!(true);
                manager["delayed_close_timeout"] = json!("0s");
                Ok(())
            })
        },
    );
    let cases = cases();
    let accepted: BTreeSet<usize> = thread::scope(|scope| {
        let all: Vec<usize> = (0..cases.len()).collect();
        let (port, cases, send) = (gateway.port(), &cases, &send);
        let share = |share: &[usize]| {
            let share = share.to_vec();
            let is_accepted = move |index: &usize| {
                let (name, value) = &cases[*index];
                let is_accepted = send(port, &fields(name, value, &format!("m{index}")));
                if is_accepted {
                    send(port, &fields(name, value, &format!("u{index}")));
                }
                is_accepted
            };
            scope.spawn(move || share.into_iter().filter(is_accepted).collect::<Vec<_>>())
        };
        let shares: Vec<_> = all.chunks(cases.len() / SENDERS + 1).map(share).collect();
        shares
            .into_iter()
            .flat_map(|share| share.join().unwrap())
            .collect()
    });
    assert!(accepted.len() > 500, "{}", accepted.len());
    assert!(accepted.len() < cases.len());
    gateway.wait_until_settled();
    let letters = gateway.stream().dead_letters();
    assert!(letters.is_empty(), "{letters:#?}");
    let mut seen: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for one in gateway.target.seen() {
        seen.entry(one.message.text("x-case"))
            .or_default()
            .push(one);
    }
    for (index, (name, value)) in cases.iter().enumerate() {
        let shown = format!("{name}: {}", value.escape_ascii());
        let marked = seen.remove(&format!("m{index}")).unwrap_or_default();
        if !accepted.contains(&index) {
            assert!(marked.is_empty(), "{shown} was refused and arrived");
            continue;
        }
        assert_eq!(marked.len(), 1, "{shown} was accepted");
        let unmarked = seen.remove(&format!("u{index}")).unwrap_or_default();
        assert_eq!(unmarked.len(), 1, "{shown} passes only with the mark");
        assert_eq!(
            essence(&marked[0], name),
            essence(&unmarked[0], name),
            "{shown}"
        );
    }
}

#[test]
fn any_byte_over_http_1_is_sent_as_it_came_or_refused() {
    holds("grammar-1", is_accepted_1);
}

#[test]
fn any_byte_over_http_2_is_sent_as_it_came_or_refused() {
    holds("grammar-2", is_accepted_2);
}
