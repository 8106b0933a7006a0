//! The calls that have to work under every control plane, as a caller and a target see them.
//!
//! Each function is one behaviour. What the filter does in each case is tested elsewhere, by the
//! hundred; this shows that a control plane's listeners, routes and defaults leave it so.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::http1::{Request, Response, exchange};
use testkit::server::Answer;
use testkit::stream::CALLS;
use testkit::tls::Proxy;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::{Seen, Target};

use crate::https::OTHER;

/// What is added to a call, what Envoy numbers each exchange with, and what is true of the one way
/// alone: the name of a trace's span, and for how long the gateway waits.
const ADDED: [&str; 8] = [
    "async-call-id",
    "async-correlation-id",
    "async-attempt",
    "async-accepted-at",
    "idempotency-key",
    "x-request-id",
    "x-envoy-decorator-operation",
    "x-envoy-expected-rq-timeout-ms",
];

/// Bytes of a large content: more than any buffer of a control plane's defaults.
const LARGE: usize = 200_000;

/// How long the target takes where the route has no patience: more than the 50 ms of that route.
const SLOW: Duration = Duration::from_millis(500);

/// A target that does what the paths of these calls say.
#[must_use]
pub fn target() -> Target {
    Target::scripted(|seen| match (seen.path().as_str(), seen.nth) {
        ("/retried", 1 | 2) => Answer::status(503),
        ("/hasty", _) => {
            thread::sleep(SLOW);
            Answer::status(200)
        }
        ("/rejected" | "/pretending", _) => Answer::status(400),
        ("/ordered", _) => Answer::json(201, &json!({ "order": 7 })),
        _ => Answer::status(200),
    })
}

/// What the input of `sluice render` has to have for these calls: a rule for explicit targets on
/// this machine, at this port.
#[must_use]
pub fn input(hooks: &Target) -> Value {
    json!({ "targets": { "allow": [{ "scheme": "http", "host": "127.0.0.1",
        "port": hooks.port(), "pathPrefix": "/hooks", "allowPrivate": true }] } })
}

/// All of them, but for what a policy of the control plane forbids.
pub fn all(gateway: &Gateway, hooks: &Target) {
    // Where Envoy fetches the filter, a plugin may have been there before its code was.
    let reloads = gateway.reloads();
    the_target_sees_the_request(gateway);
    large_contents_pass(gateway);
    odd_paths_are_the_same_or_refused(gateway);
    a_deferred_call_waits_on_a_lane(gateway);
    a_reply_says_what_became_of_a_call(gateway);
    a_failed_call_is_tried_again_and_a_rejected_one_buried(gateway);
    a_route_does_not_speak_for_envoy(gateway);
    a_call_has_the_time_that_it_asks_for(gateway);
    an_explicit_target_is_called_where_that_is_allowed(gateway, hooks);
    what_is_not_allowed_is_refused(gateway);
    nobody_outside_looks_like_a_call(gateway);
    gateway.wait_until_settled();
    assert_eq!(gateway.reloads(), reloads, "the filter has trapped");
}

fn put(path: &str) -> Request {
    Request::new("PUT", path)
        .field("X-Many", "1")
        .field("Authorization", "Bearer of good news")
        .field("X-Many", "2")
}

/// Sends a request at once and as a call, and returns what the target saw of each.
fn both_ways(gateway: &Gateway, request: &Request) -> (Seen, Seen) {
    let before = gateway.target.count();
    let _answered = gateway.exchange(request).expect(200);
    let id = gateway.accept(&request.clone().marked());
    gateway.wait_for_call(&id);
    let seen = gateway.target.seen().split_off(before);
    let [direct, called] = <[Seen; 2]>::try_from(seen).expect("two requests");
    assert_eq!((direct.call_id(), called.call_id()), (String::new(), id));
    (direct, called)
}

fn assert_same(direct: &Seen, called: &Seen) {
    let start = |seen: &Seen| seen.message.start.escape_ascii().to_string();
    assert_eq!(start(direct), start(called));
    assert!(direct.message.body == called.message.body, "the contents");
    let fields = |seen: &Seen| {
        let fields = seen.fields_without(&ADDED).into_iter();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        fields
            .map(|(name, value)| (text(name), text(value)))
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(direct), fields(called));
    assert_eq!(called.attempt(), "1");
}

/// The control plane's own policies, which forbid `/forbidden`, judge a request before it becomes a
/// call, by the path that it would have. Nothing has been called before.
pub fn what_is_forbidden_is_no_call(gateway: &Gateway) {
    for path in [
        "/forbidden",
        "/forbidden/x?y",
        "//forbidden",
        "/open/../forbidden",
        "/open/..%2Fforbidden",
        "/forbidden%2Fx",
    ] {
        let request = put(path).body("x");
        let answers = [request.clone(), request.marked()].map(|request| gateway.exchange(&request));
        let statuses = answers.map(|answer| answer.status);
        assert_eq!(statuses, [403, 403], "{path}");
    }
    assert!(gateway.stream().records(CALLS).is_empty());
    assert_eq!(gateway.target.count(), 0);
}

/// Whatever the control plane has Envoy add, a call has what a request has, and nothing else but
/// our own headers.
pub fn the_target_sees_the_request(gateway: &Gateway) {
    let request = put("/same/7?to=a%20b&x").body("{\"hello\": \"w\u{f6}rld\"}");
    let (direct, called) = both_ways(gateway, &request);
    assert_same(&direct, &called);
}

/// Contents that are larger than what control planes let wait by default, and one that is larger
/// than we take.
pub fn large_contents_pass(gateway: &Gateway) {
    let (direct, called) = both_ways(gateway, &put("/large").body(vec![b'x'; LARGE]));
    assert_same(&direct, &called);
    let chunks = vec![b'y'; LARGE / 2];
    let id = gateway.accept(&put("/chunked").chunks(&[&chunks, &chunks]).marked());
    gateway.wait_for_call(&id);
    assert_eq!(gateway.target.of("/chunked")[0].message.body.len(), LARGE);
    let too_large = put("/too-large").body(vec![b'z'; 900_000]).marked();
    let refused = problem(gateway.exchange(&too_large), 413);
    assert_eq!(refused["type"], "urn:sluice:too-large");
}

/// A call has the path that the request would have had, or is none.
pub fn odd_paths_are_the_same_or_refused(gateway: &Gateway) {
    let paths = [
        "/odd/a%2Fb",
        "/odd//c",
        "/odd/./d",
        "/odd/../odd/e",
        "/odd/f%5Cg",
        "/odd/%7Eh",
        "/odd/i;j=k",
        "/odd/l?m=%2F..%2F&n",
        "/odd/o_p%20q",
        "/odd/%E2%82%AC",
        "/odd/r/",
    ];
    let mut called = 0;
    for path in paths {
        let before = gateway.target.count();
        let direct = gateway.exchange(&put(path).body("x"));
        let accepted = gateway.exchange(&put(path).body("x").marked());
        if accepted.status != 202 {
            assert!(
                (400..500).contains(&accepted.status),
                "{path}: {}",
                accepted.show()
            );
            continue;
        }
        assert_eq!(direct.status, 200, "{path}");
        gateway.wait_for_call(&accepted.message.text("async-call-id"));
        let seen = gateway.target.seen().split_off(before);
        assert_eq!(seen[0].target(), seen[1].target(), "{path}");
        called += 1;
    }
    assert!(called >= 6, "only {called} of these paths were taken");
}

/// A deferred call is on a lane until it is due.
pub fn a_deferred_call_waits_on_a_lane(gateway: &Gateway) {
    let lane = "calls-1s";
    let before = gateway.stream().records(lane).len();
    let id = gateway.accept(
        &put("/deferred")
            .field("Async-Delay", "1500ms")
            .body("x")
            .marked(),
    );
    assert_eq!(gateway.stream().records(lane).len(), before + 1);
    gateway.wait_for_call(&id);
}

/// A reply comes to a path of the gateway.
pub fn a_reply_says_what_became_of_a_call(gateway: &Gateway) {
    let call = put("/ordered").field("Async-Reply-To", "/inbox").body("x");
    let id = gateway.accept(&call.marked());
    gateway.wait_for("/inbox", 1);
    let reply = &gateway.target.of("/inbox")[0];
    assert_eq!(reply.call_id(), id);
    assert_eq!(reply.message.text("async-outcome"), "delivered");
    assert_eq!(reply.message.text("async-status"), "201");
    assert_eq!(reply.message.body, br#"{"order":7}"#);
}

/// The control plane makes no attempts of its own: each has its number, and each is one request.
pub fn a_failed_call_is_tried_again_and_a_rejected_one_buried(gateway: &Gateway) {
    let letters = gateway.stream().dead_letters().len();
    gateway.call("/retried");
    gateway.wait_for("/retried", 3);
    let attempts = gateway.target.of("/retried");
    let attempts: Vec<_> = attempts.iter().map(Seen::attempt).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    gateway.call("/rejected");
    gateway.wait("a dead letter", || {
        gateway.stream().dead_letters().len() == letters + 1
    });
    let letters = gateway.stream().dead_letters();
    assert_eq!(letters.last().unwrap()["reason"], "rejected");
    assert_eq!(gateway.target.of("/rejected").len(), 1);
}

/// Whoever may make routes doesn't have calls to others' functions wait, or be made for ever.
pub fn a_route_does_not_speak_for_envoy(gateway: &Gateway) {
    let letters = gateway.stream().dead_letters().len();
    gateway.call("/pretending");
    gateway.wait("a dead letter", || {
        gateway.stream().dead_letters().len() == letters + 1
    });
    let letters = gateway.stream().dead_letters();
    assert_eq!(letters.last().unwrap()["reason"], "rejected");
    assert_eq!(gateway.target.of("/pretending").len(), 1);
}

/// How long an attempt may take is the call's to say, not the route's.
pub fn a_call_has_the_time_that_it_asks_for(gateway: &Gateway) {
    let id = gateway.accept(&put("/hasty").body("x").marked());
    gateway.wait_for_call(&id);
    gateway.wait_until_settled();
    assert_eq!(
        gateway.target.of("/hasty").len(),
        1,
        "it was given up too early"
    );
}

/// Calls leave through the two listeners that we add.
pub fn an_explicit_target_is_called_where_that_is_allowed(gateway: &Gateway, hooks: &Target) {
    let url = format!("http://127.0.0.1:{}/hooks/a", hooks.port());
    let call = put("/ignored").field("Async-Target", &url).body("x");
    gateway.accept(&call.marked());
    gateway.wait_for_elsewhere(hooks, "/hooks/a");
    let seen = &hooks.of("/hooks/a")[0];
    assert_eq!(seen.message.text("authorization"), "Bearer of good news");
    let names = seen.message.fields.iter().map(|(name, _)| name.as_slice());
    // Where the request came from is part of it.
    let mut ours = names.filter(|name| name.starts_with(b"x-envoy") && !name.ends_with(b"address"));
    assert_eq!(ours.next(), None, "{:?}", seen.message.fields);
}

/// Refusals are the filter's, with its words.
pub fn what_is_not_allowed_is_refused(gateway: &Gateway) {
    let stored = gateway.stream().records(CALLS).len();
    for header in ["Async-Target", "Async-Reply-To"] {
        let call = put("/refused").field(header, "https://elsewhere.example/");
        let refused = problem(gateway.exchange(&call.body("x").marked()), 403);
        assert_eq!(refused["header"], header);
    }
    let wrong = put("/refused").field("Async-Delay", "soon").body("x");
    assert_eq!(
        problem(gateway.exchange(&wrong.marked()), 400)["header"],
        "Async-Delay"
    );
    let upgrade = put("/refused")
        .field("Connection", "upgrade")
        .field("Upgrade", "websocket");
    assert_ne!(gateway.exchange(&upgrade.marked()).status, 202);
    assert_eq!(gateway.stream().records(CALLS).len(), stored);
    assert!(gateway.target.of("/refused").is_empty());
}

/// What only the gateway may say of a call, said by somebody outside.
pub fn nobody_outside_looks_like_a_call(gateway: &Gateway) {
    let forged = |request: Request| {
        let names = [
            "Async-Call-Id",
            "Async_Call_Id",
            "Async-Attempt",
            "async_attempts",
            "Async-Outcome",
            "Async-Status",
            "Async-Accepted-At",
            "Async-Signature",
            "Async-Response-Status",
            "Async-Local-Reply",
            "Async-Time-Limit",
        ];
        names
            .iter()
            .fold(request, |request, name| request.field(name, "forged"))
    };
    let request = forged(put("/forged"))
        .field("X-Envoy-Upstream-Rq-Timeout-Ms", "1")
        .body("x");
    let _answered = gateway.exchange(&request).expect(200);
    let id = gateway.accept(&request.marked());
    gateway.wait_for_call(&id);
    for seen in gateway.target.of("/forged") {
        let fields = &seen.message.fields;
        let forged = fields.iter().find(|(_, value)| value == b"forged");
        assert_eq!(forged, None, "{fields:?}");
    }
}

/// Each HTTPS listener of a port has routes of its own, and calls take those of one. What leads to
/// the other is `other`.
pub fn another_listener_of_the_port_is_left_alone(gateway: &Gateway, other: &Proxy) {
    let stored = gateway.stream().records(CALLS).len();
    let request = Request::without_host("PUT", "/elsewhere").field("Host", OTHER);
    let answer = exchange(other.port(), &request.marked().body("x")).expect(200);
    assert_eq!(answer.message.text("async-call-id"), "");
    assert_eq!(gateway.stream().records(CALLS).len(), stored);
}

/// A refusal that says what to change.
fn problem(response: Response, status: u16) -> Value {
    let response = response.expect(status);
    let kind = response.message.text("content-type");
    assert_eq!(kind, "application/problem+json", "{}", response.show());
    response.json()
}
