//! Bodies stay whole where Envoy's `ext_proc` filter streams them in full duplex beside our
//! filters, which is where Envoy has lost parts of 16 KiB (its issue 46841).
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::ext_proc::{ExtProc, Place};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// More than the gateway's listener buffers, in many of Envoy's slices.
const LARGE: usize = 1_640_098;
/// Somewhat less than a call may have.
const CALL: usize = 640_000;
/// Somewhat less than a reply may have.
const REPLY: usize = 60_000;
/// Parts were lost in most, but not in all requests.
const ROUNDS: usize = 6;

/// Content in which no part is like another one.
fn content(length: usize) -> Vec<u8> {
    let numbers = (0..).flat_map(|number: u32| format!("{number:08x}").into_bytes());
    numbers.take(length).collect()
}

/// Where two contents begin to differ, for a message that can be read.
fn check_whole(what: &str, got: &[u8], sent: &[u8]) {
    let differs = got.iter().zip(sent).position(|(got, sent)| got != sent);
    assert!(
        got == sent,
        "{what}: {} of {} bytes, different from {differs:?} on",
        got.len(),
        sent.len()
    );
}

fn gateway(name: &str, processor: &ExtProc, listener: &'static str, place: Place) -> Gateway {
    let filter = if listener == "gateway" {
        "sluice.accept"
    } else {
        "sluice.answer"
    };
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/large" => Answer::Reply {
            status: 200,
            fields: Vec::new(),
            body: content(LARGE),
        },
        "/reply" => Answer::Reply {
            status: 200,
            fields: Vec::new(),
            body: content(REPLY),
        },
        _ => Answer::status(200),
    });
    let port = processor.port();
    Gateway::with(name, target, |builder| {
        builder.edit(move |config| ExtProc::put_beside(port, config, listener, place, filter))
    })
}

/// Requests that are no calls, and their answers, pass through both filters.
fn check_unmarked(gateway: &Gateway, processor: &ExtProc) {
    let sent = content(LARGE);
    for round in 1..=ROUNDS {
        let before = processor.body_bytes();
        let path = format!("/unmarked/{round}");
        gateway
            .exchange(&Request::new("POST", &path).body(&sent))
            .expect(200);
        let seen = gateway.target.of(&path);
        check_whole(&path, &seen[0].message.body, &sent);
        assert_eq!(processor.body_bytes() - before, LARGE, "it was shown all");
        let answer = gateway.exchange(&Request::new("GET", "/large")).expect(200);
        check_whole("an answer", &answer.message.body, &sent);
    }
}

/// What is too large for a call is refused as ever, and the largest calls arrive whole.
fn check_marked(gateway: &Gateway) {
    let refused = gateway.exchange(
        &Request::new("POST", "/refused")
            .marked()
            .body(content(LARGE)),
    );
    // By the filter or, if the processor hands much on at once, by Envoy's own limit.
    let _refused = refused.expect(413);
    let sent = content(CALL);
    for round in 1..=ROUNDS {
        let path = format!("/marked/{round}");
        gateway.accept(&Request::new("POST", &path).marked().body(&sent));
        gateway.wait_for(&path, 1);
        let seen = gateway.target.of(&path);
        check_whole(&path, &seen[0].message.body, &sent);
    }
    assert!(gateway.target.of("/refused").is_empty());
}

#[test]
fn bodies_stay_whole_with_an_external_processor_before_the_accept_filter() {
    let processor = ExtProc::start();
    let gateway = gateway("ext-proc-before", &processor, "gateway", Place::Before);
    check_unmarked(&gateway, &processor);
    check_marked(&gateway);
}

#[test]
fn bodies_stay_whole_with_an_external_processor_after_the_accept_filter() {
    let processor = ExtProc::start();
    let gateway = gateway("ext-proc-after", &processor, "gateway", Place::After);
    check_unmarked(&gateway, &processor);
    check_marked(&gateway);
}

/// A call and its reply, where calls are made.
fn check_calls(gateway: &Gateway) {
    let sent = content(CALL);
    let answered = content(REPLY);
    for round in 1..=ROUNDS {
        let inbox = format!("/inbox/{round}");
        let request = Request::new("POST", "/reply").marked().body(&sent);
        gateway.accept(&request.field("Async-Reply-To", &inbox));
        gateway.wait_for(&inbox, 1);
        let seen = gateway.target.of("/reply");
        check_whole("a call", &seen[round - 1].message.body, &sent);
        let reply = gateway.target.of(&inbox);
        check_whole("its reply", &reply[0].message.body, &answered);
        assert_eq!(reply[0].message.text("async-body-cut"), "");
    }
}

#[test]
fn calls_and_replies_stay_whole_with_an_external_processor_before_the_answer_filter() {
    let processor = ExtProc::start();
    let gateway = gateway("ext-proc-calls-1", &processor, "dispatch", Place::Before);
    check_calls(&gateway);
}

#[test]
fn calls_and_replies_stay_whole_with_an_external_processor_after_the_answer_filter() {
    let processor = ExtProc::start();
    let gateway = gateway("ext-proc-calls-2", &processor, "dispatch", Place::After);
    check_calls(&gateway);
}
