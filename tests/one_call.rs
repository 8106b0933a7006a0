//! One call by hand, from the request to its commit. Read this first.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::accept::Input as AcceptInput;
use sluice::drain::Input as DrainInput;
use sluice::id::RequestId;

use support::{accept, accept_engine, answer, at, drain, drain_engine, field, messages};
use support::{records, request, stored};

#[test]
fn one_call_from_request_to_commit() {
    // A marked request arrives at the gateway, whole. The engine asks for a turn of the event
    // loop, so that requests which arrive at the same time share a batch.
    let mut accepting = accept_engine("");
    let said = accept(
        &mut accepting,
        request(7, &[("content-length", "5")]),
        at(0),
        b"",
    );
    assert_eq!((said.wakes, said.callouts.len()), (1, 0));

    // In that turn the batch goes to the Stream.
    let said = accept(&mut accepting, AcceptInput::Wake, at(1), b"");
    let [put] = said.callouts.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(support::target(put), "POST calls/messages");
    let record = records(put).remove(0);
    assert_eq!(record["path"], "/orders");
    assert_eq!(record["acceptedAt"], "2026-11-23T04:36:00.000Z");

    // The Stream has it: the client gets its 202, and the drain is woken.
    let done = AcceptInput::CalloutDone(put.ticket, stored(put, 12));
    let said = accept(&mut accepting, done, at(3), b"");
    let [(RequestId(7), 202, receipt)] = said.responses.as_slice() else {
        panic!("{said:?}")
    };
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    assert_eq!(
        (&receipt["id"], &receipt["offset"]),
        (&record["id"], &12.into())
    );
    assert_eq!(said.drain_wakes, 1);

    // Meanwhile the drain has been started by its first health check, and has joined the group.
    let mut draining = drain_engine("", "");
    let said = drain(&mut draining, DrainInput::HealthCheck, at(0));
    let [join] = said.callouts.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(support::target(join), "POST calls/groupCursors");
    let joined = DrainInput::CalloutDone(join.ticket, answer(200, &[], r#"{"value":"start"}"#));
    let said = drain(&mut draining, joined, at(1));
    let [fetch] = said.callouts.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(
        support::target(fetch),
        "GET calls/messages?cursor=start&limit=256"
    );

    // The fetch brings our record; the call is made at once, through the gateway's own routes.
    let fetched = DrainInput::CalloutDone(fetch.ticket, messages(12, &[&record.to_string()]));
    let said = drain(&mut draining, fetched, at(4));
    let [call, next_fetch] = said.callouts.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(
        (&*call.cluster, support::target(call).as_str()),
        ("dispatch", "POST /orders")
    );
    assert_eq!(field(call, ":authority"), "example.com");
    assert_eq!(field(call, "async-call-id"), record["id"].as_str().unwrap());
    assert_eq!(field(call, "async-attempt"), "1");
    assert_eq!(
        support::target(next_fetch),
        "GET calls/messages?cursor=after-13&limit=256"
    );

    // The target takes it. The cursor behind it is committed as soon as the session is free.
    let delivered = DrainInput::CalloutDone(call.ticket, answer(204, &[], ""));
    assert!(drain(&mut draining, delivered, at(9)).callouts.is_empty());
    let empty = DrainInput::CalloutDone(next_fetch.ticket, messages(13, &[]));
    let said = drain(&mut draining, empty, at(10));
    assert_eq!(said.targets(), ["POST calls/commit?cursor=after-13"]);
}
