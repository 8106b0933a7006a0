//! What the Stream says on bad days: throttled, a partition that is not ours any more, a position
//! that it no longer keeps. Calls arrive all the same.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use testkit::http1::{Request, exchange};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

/// Returns a gateway whose stream server does this wrong.
fn gateway(name: &str, faults: &Value) -> Gateway {
    let change = |builder: local_gateway::Builder| builder.stream_server_arguments(["--faults"]);
    let gateway = Gateway::with(name, Target::start(), change);
    let put = Request::without_host("PUT", "/faults").field("Host", "localhost");
    let put = put.field("content-type", "application/json");
    let set = exchange(gateway.set.ports().stream, &put.body(faults.to_string()));
    assert_eq!(set.status, 200, "{}", set.show());
    gateway
}

#[test]
fn a_group_outside_retention_goes_on_at_the_oldest_record() {
    let message = "The cursor is outside the retention period and is now invalid.";
    let answer = json!({ "kind": "answer", "status": 400, "code": "InvalidParameter",
        "message": message });
    let fault = json!([{ "operation": "GetMessages", "stream": "calls", "count": 1,
        "effect": answer }]);
    let gateway = gateway("outside-retention", &fault);
    gateway.wait("the group is moved on", || {
        gateway.metric("sluice_group_outside_retention_total") == 1
    });
    let id = gateway.call("/after");
    gateway.wait_for_call(&id);
}

#[test]
fn a_throttled_stream_and_one_that_took_a_partition_away_still_deliver() {
    let unreserved = json!({ "kind": "answer", "status": 400, "code": "InvalidParameter",
        "message": "Trying to commit unreserved partition 0." });
    let throttle = json!({ "kind": "throttle", "nextInMs": 300 });
    let gateway = gateway(
        "bad-days",
        &json!([
            { "operation": "ConsumerCommit", "count": 1, "effect": unreserved },
            { "operation": "GetMessages", "stream": "calls", "count": 2, "effect": throttle },
        ]),
    );
    let ids: Vec<String> = (0..5).map(|n| gateway.call(&format!("/{n}"))).collect();
    for id in &ids {
        gateway.wait_for_call(id);
    }
    gateway.wait("everything is committed", || {
        gateway.stream().uncommitted().is_empty()
    });
    for id in &ids {
        assert_eq!(gateway.target.arrivals()[id], 1, "once each");
    }
}
