//! Everything that is counted moves as `src/metric.rs` says, and Envoy shows it: at `/stats`, and
//! at `/stats/prometheus` with tags.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use local_gateway::http;
use local_gateway::render::change_routes;
use serde_json::json;
use sluice::metric::{Kind, Metric};
use testkit::http1::{Connection, Request, Response};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

fn gateway() -> Gateway {
    // By path: delivered at once, at the second attempt, refused for good, never.
    let target = Target::scripted(|seen| match (seen.path().as_str(), seen.nth) {
        ("/known/second", 1) | ("/known/never", _) => Answer::status(503),
        ("/known/refused", _) => Answer::status(404),
        _ => Answer::status(200),
    });
    Gateway::with("metrics", target, |builder| {
        builder
            .accept_patch(json!({
                "limits": { "bodyBytes": 100, "waitingRequests": 2 },
                "publish": { "timeoutMs": 500 },
                "options": { "disabled": ["delay"] },
            }))
            .drain_patch(drain_settings(&json!({ "attempt": { "retries": 2 } })))
            .edit(|config| {
                change_routes(config, |routes| {
                    routes.retain(|route| route["name"] == "function");
                    routes[0]["match"] = json!({ "prefix": "/known" });
                })
            })
    })
}

fn post(path: &str) -> Request {
    Request::new("POST", path).marked()
}

/// Requests that the gateway refuses, each in its own way.
fn refuse_in_every_way(gateway: &mut Gateway) {
    let status = |response: Response, expected| assert_eq!(response.status, expected);
    let bad = post("/known").field("Async-Correlation-Id", "").body("");
    status(gateway.exchange(&bad), 400);
    let odd = Request::without_host("POST", "/known").field("Host", "a@b");
    status(gateway.exchange(&odd.marked().body("")), 400);
    status(gateway.exchange(&post("/unknown").body("")), 404);
    status(gateway.exchange(&post("/known").body([b'x'; 101])), 413);
    status(
        gateway.exchange(&post("/known").chunks(&[&[b'x'; 101]])),
        413,
    );
    status(
        gateway.exchange(&post("/known").field("Async-Delay", "1s")),
        501,
    );
    let elsewhere = "https://elsewhere.example/";
    let target = post("/known").field("Async-Target", elsewhere).body("");
    status(gateway.exchange(&target), 403);
    for (body, expected) in [("a", 202), ("a", 202), ("b", 422)] {
        let keyed = post("/known/keyed")
            .field("Idempotency-Key", "k")
            .body(body);
        status(gateway.exchange(&keyed), expected);
    }

    // Two wait for their bodies; a third is too many. Then both leave.
    let open = |_| {
        let mut connection = Connection::open(gateway.port()).unwrap();
        connection
            .send(&post("/known").body("four").head())
            .unwrap();
        connection
    };
    let waiting: Vec<Connection> = (0..2).map(open).collect();
    gateway.wait("two wait", || {
        gateway.metric("sluice_waiting_requests") == 2
    });
    let third = gateway.exchange(&post("/known").body(""));
    assert_eq!(third.message.text("retry-after"), "2");
    assert_eq!(third.json()["type"], "urn:sluice:too-many-waiting");
    status(third, 429);
    drop(waiting);
    gateway.wait("both are gone", || {
        gateway.metric("sluice_waiting_requests") == 0
    });

    gateway.set.kill9_stream_server().unwrap();
    status(gateway.exchange(&post("/known").body("")), 503);
    gateway.wait("the drain notices it too", || {
        gateway.metric("sluice_stream_failures_total") > 0
    });
    gateway.set.restart_stream_server().unwrap();
}

/// Returns what the calls of `everything_is_counted_and_shown` leave in each metric that has one
/// right value.
fn expected_values() -> BTreeMap<Metric, u64> {
    BTreeMap::from([
        (Metric::Accepted, 6),
        (Metric::RefusedBadOption, 1),
        (Metric::RefusedBadHead, 1),
        (Metric::RefusedNoRoute, 1),
        (Metric::RefusedTooLarge, 2),
        (Metric::RefusedTooManyWaiting, 1),
        // Another test has these.
        (Metric::RefusedTooManyDeferred, 0),
        (Metric::RefusedNotAsynchronous, 1),
        (Metric::RefusedStreamUnavailable, 1),
        (Metric::ClientsGone, 2),
        (Metric::PublishedBatches, 6),
        (Metric::PublishedRecords, 6),
        (Metric::PublishFailures, 1),
        (Metric::Delivered, 4),
        (Metric::RefusedKeyReused, 1),
        (Metric::RepeatedRequests, 1),
        (Metric::Attempts, 3 + 2 + 1 + 3),
        (Metric::Retried, 1 + 2),
        (Metric::DeadRejected, 1),
        (Metric::DeadExhausted, 1),
        (Metric::DeadUnreadable, 1),
        (Metric::DeadExpired, 0),
        (Metric::DeadDenied, 0),
        (Metric::DeadTooMany, 0),
        (Metric::DeadUnstorable, 0),
        (Metric::Unstorable, 0),
        (Metric::SentAgain, 0),
        (Metric::OutboxFailures, 0),
        (Metric::RefusedNotAllowed, 1),
        (Metric::GatewayFaults, 0),
        (Metric::EnteredLanes, 0),
        (Metric::LeftLanes, 0),
        (Metric::MovedAside, 0),
        (Metric::RepeatedHops, 0),
        (Metric::Rekeyed, 0),
        (Metric::Replies, 0),
        (Metric::Lost, 0),
        (Metric::Unauthenticated, 0),
        (Metric::OutsideRetention, 0),
        (Metric::PrincipalTokens, 0),
        (Metric::PrincipalFailures, 0),
        // The calls and six lanes.
        (Metric::Memberships, 7),
        (Metric::ActiveDrains, 1),
        (Metric::LeftAttempts, 0),
    ])
}

#[test]
fn everything_is_counted_and_shown() {
    let mut gateway = gateway();
    refuse_in_every_way(&mut gateway);
    for path in ["", "", "/second", "/refused", "/never"] {
        gateway.call(&format!("/known{path}"));
    }
    let _stored = gateway.stream().put(&[b"no record"]);
    gateway.wait_until_settled();
    gateway.wait("three dead letters", || {
        gateway.stream().dead_letters().len() == 3
    });

    let metrics = gateway.metrics();
    let exact = expected_values();
    for metric in Metric::ALL {
        let name = metric.name();
        if metric.kind() == Kind::Histogram {
            continue;
        }
        let value = metrics.get(name).copied();
        let value = value.unwrap_or_else(|| panic!("{name} is missing: {metrics:?}"));
        match (exact.get(metric), metric.kind()) {
            (Some(expected), _) => assert_eq!(value, *expected, "{name}"),
            (None, Kind::Gauge) if !name.ends_with("_memory_bytes") => {
                assert_eq!(value, 0, "{name}");
            }
            (None, _) => assert!(value > 0, "{name} has not moved"),
        }
    }
    assert!(metrics["sluice_fetched_records_total"] >= 6);
    check_prometheus(&gateway, &exact);
}

fn check_prometheus(gateway: &Gateway, exact: &BTreeMap<Metric, u64>) {
    let url = format!("{}/stats/prometheus", gateway.set.admin_url());
    let text = http::get(&url).unwrap().body;
    for metric in Metric::ALL {
        if metric.kind() == Kind::Histogram {
            // Envoy shows one when it has summed it up.
            let count = format!("{}_count{{}} ", metric.name());
            gateway.wait(&format!("{count} is shown"), || {
                let text = http::get(&url).unwrap().body;
                text.lines().any(|line| line.starts_with(&count))
            });
            continue;
        }
        let (name, tag) = match metric.name().split_once(".reason=") {
            None => (metric.name().to_owned(), String::new()),
            Some((start, rest)) => {
                let (reason, _) = rest.split_once(';').unwrap();
                (format!("{start}_total"), format!("reason=\"{reason}\""))
            }
        };
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let declared = format!("# TYPE {name} {kind}");
        assert!(
            text.lines().any(|line| line == declared),
            "{declared} is missing in\n{text}"
        );
        let start = format!("{name}{{{tag}}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        let value = value.unwrap_or_else(|| panic!("{start} is missing in\n{text}"));
        if let Some(expected) = exact.get(metric) {
            assert_eq!(value, expected.to_string(), "{start}");
        }
    }
}
