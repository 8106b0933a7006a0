//! Callers in a real Envoy: none of them gets what is another's, nor stops another's calls.
//! Product description, section 9 and G11.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::net::Ipv4Addr;

use local_gateway::Builder;
use local_gateway::render::{at, listener};
use serde_json::{Value, json};
use testkit::http1::{Connection, Request, Response};
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// Where somebody else comes from.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Longer than any test waits.
const FOR_EVER_MS: u64 = 280_000;

fn post(path: &str) -> Request {
    Request::new("POST", path).marked()
}

fn keyed(path: &str, key: &str) -> Request {
    post(path).field("Idempotency-Key", key)
}

/// Makes somebody else's request.
fn strangers(gateway: &Gateway, request: &Request) -> Response {
    let mut connection = Connection::open_from(STRANGER, gateway.port()).unwrap();
    connection.exchange(request).unwrap()
}

fn id(response: Response) -> String {
    response.expect(202).message.text("async-call-id")
}

/// Insists that a call of somebody else arrives, whatever the others do.
fn expect_strangers_call(gateway: &Gateway) {
    let call = id(strangers(gateway, &post("/quick").body("")));
    gateway.wait_for_call(&call);
}

/// Returns a target that never answers what is called `/hang`, and everything else at once.
fn hanging() -> Target {
    Target::scripted(|seen| match seen.path().starts_with("/hang") {
        true => Answer::Hang,
        false => Answer::status(200),
    })
}

/// Returns a gateway in front of it, whose attempts outlast the test.
fn patient(name: &str, change: impl FnOnce(Builder) -> Builder) -> Gateway {
    Gateway::with(name, hanging(), |builder| {
        let attempt = json!({ "attempt": { "timeoutMs": FOR_EVER_MS } });
        change(builder.drain_patch(drain_settings(&attempt)))
    })
}

#[test]
fn seventy_calls_to_a_hanging_path_let_a_strangers_call_to_the_same_cluster_pass() {
    let gateway = patient("hanging-path", |builder| builder);
    for _ in 0..70 {
        gateway.call("/hang");
    }
    gateway.wait_for("/hang", 43);
    expect_strangers_call(&gateway);
    assert_eq!(gateway.target.of("/hang").len(), 43, "a share of 64");
    for _ in 0..20 {
        id(strangers(&gateway, &post("/hang").body("")));
    }
    gateway.wait_for("/hang", 57);
    let third = post("/quick").field("Authorization", "Bearer third");
    gateway.wait_for_call(&gateway.accept(&third.body("")));
}

#[test]
fn large_calls_that_hang_leave_the_window_to_others() {
    let gateway = patient("large-hanging", |builder| builder);
    let body = vec![b'x'; 600_000];
    for _ in 0..30 {
        gateway.accept(&post("/hang").body(&body));
    }
    gateway.wait("some of them hang", || gateway.target.of("/hang").len() > 5);
    for _ in 0..3 {
        expect_strangers_call(&gateway);
    }
}

#[test]
fn unfinished_bodies_of_one_caller_leave_room_for_others() {
    let gateway = Gateway::with("unfinished", Target::start(), |builder| {
        builder.accept_patch(json!({ "limits": { "waitingBytes": 2_097_152 } }))
    });
    let begin = |_| {
        let mut connection = Connection::open(gateway.port()).unwrap();
        let mut request = post("/slow").body(vec![b'x'; 600_000]);
        request.content.truncate(150_000);
        connection.send(&request.bytes()).unwrap();
        connection
    };
    let mut open: Vec<Connection> = (0..30).map(begin).collect();
    // Those that were let in wait for the rest; the last one was not.
    let refused = open.last_mut().unwrap().receive(false).unwrap();
    let problem = refused.expect(429).json();
    assert_eq!(problem["type"], "urn:sluice:too-many-waiting");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("of this caller"), "{detail}");
    gateway.wait("they wait", || {
        gateway.metric("sluice_waiting_requests") > 5
    });
    let call = strangers(&gateway, &post("/quick").body(vec![b'y'; 100_000]));
    gateway.wait_for_call(&id(call));
}

#[test]
fn addresses_and_headers_tell_callers_of_one_key_apart() {
    let gateway = Gateway::with("key-scopes", Target::start(), |builder| {
        builder.accept_patch(json!({ "callers": { "headers": ["cookie", "x-api-key"] } }))
    });
    let request = |field: &str, value: &str| {
        let request = keyed("/once", "order-2");
        let request = if field.is_empty() {
            request
        } else {
            request.field(field, value)
        };
        request.body("the same")
    };
    let of = |field: &str, value: &str| gateway.accept(&request(field, value));
    let first = of("", "");
    assert_eq!(of("", ""), first, "the same address, another port");
    assert_ne!(id(strangers(&gateway, &request("", ""))), first);
    let session = of("Cookie", "session=1");
    assert_eq!(of("Cookie", "session=1"), session);
    let others = [
        of("Cookie", "session=2"),
        of("X-Api-Key", "session=1"),
        session,
        first,
    ];
    let different: std::collections::BTreeSet<&String> = others.iter().collect();
    assert_eq!(different.len(), 4, "{others:?}");
    gateway.wait_for("/once", 5);
    gateway.wait_until_settled();
    let stream = gateway.target.of("/once");
    assert_eq!(stream.len(), 5, "each caller's call is made, and made once");
}

#[test]
fn options_belong_to_the_request_that_a_key_stands_for() {
    let gateway = Gateway::start("key-options");
    let with = |fields: &[(&str, &str)]| {
        let fields = fields.iter();
        let request = fields.fold(keyed("/a", "k"), |r, (name, value)| r.field(name, value));
        gateway.exchange(&request.body("x"))
    };
    let first = id(with(&[("Async-Delay", "10m")]));
    assert_eq!(id(with(&[("Async-Delay", "10m")])), first);
    for fields in [
        &[][..],
        &[("Async-Delay", "11m")],
        &[("Async-Delay", "10m"), ("Async-Retries", "1")],
        &[("Async-Delay", "10m"), ("Async-Order-Key", "o")],
    ] {
        let refused = with(fields).expect(422).json();
        assert_eq!(refused["type"], "urn:sluice:key-reused", "{fields:?}");
    }
}

#[test]
fn a_caller_has_so_many_deferred_calls_and_is_told() {
    let gateway = Gateway::with("quota", Target::start(), |builder| {
        builder.accept_patch(json!({ "callers": { "deferredMax": 3 } }))
    });
    let defer = || post("/later").field("Async-Delay", "1h").body("");
    let ordered = post("/later").field("Async-Delay", "30m");
    gateway.accept(&ordered.field("Async-Order-Key", "k").body(""));
    gateway.accept(&defer());
    gateway.accept(&defer());
    let refused = gateway.exchange(&defer()).expect(429);
    let pause: u64 = refused.message.text("retry-after").parse().unwrap();
    assert!((1_700..=2_000).contains(&pause), "{pause}");
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:sluice:too-many-deferred");
    assert_eq!(problem["limit"], 3);
    id(strangers(&gateway, &defer()));
    let now = gateway.call("/now");
    gateway.wait_for_call(&now);
    gateway.wait("the refusal is counted", || {
        gateway.metric("sluice_refused.reason=too_many_deferred;.total") == 1
    });
}

/// Tokens of `jwt_authn`'s issuer below: two of Anna and one of Bert.
const ANNA: [&str; 2] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYW5uYSIsImp0aSI6IjEifQ.\
     1GgOMmydqew5bUTSqht13Q6qunIDqxSGp3oPqsxdBo4",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYW5uYSIsImp0aSI6IjIifQ.\
     21Rn8HLH5lfVERHmjXbS1bugok2YHm4gJj1OmavkaqY",
];
const BERT: [&str; 2] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiYmVydCIsImp0aSI6IjEifQ",
    "EIB46BeaRpiGuLpQwYwbIVGQO1kam7xhsagxghuIkbI",
];

/// Puts an authentication filter before ours, which removes the token.
fn authenticate(config: &mut Value) -> anyhow::Result<()> {
    let keys = json!({ "keys": [
        { "kty": "oct", "alg": "HS256", "k": "YSBzZWNyZXQgb2YgdGhpcyB0ZXN0IGFsb25lLCAzMis" },
    ] });
    let filter = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/\
                      envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "test": {
                "issuer": "test",
                "local_jwks": { "inline_string": keys.to_string() },
                "payload_in_metadata": "jwt_payload",
            } },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "test" } }],
        },
    });
    let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = at(listener(config, "gateway")?, filters)?;
    filters.as_array_mut().unwrap().insert(0, filter);
    Ok(())
}

#[test]
fn whoever_an_authentication_filter_has_found_is_the_caller_though_it_removes_the_token() {
    let metadata = json!({ "filter": "envoy.filters.http.jwt_authn" });
    let gateway = Gateway::with("jwt", Target::start(), |builder| {
        builder
            .accept_patch(json!({ "callers": { "metadata": metadata } }))
            .edit(authenticate)
    });
    let of = |token: &str| {
        let request = keyed("/once", "order-2").field("Authorization", format!("Bearer {token}"));
        gateway.accept(&request.body("the same"))
    };
    let annas = of(ANNA[0]);
    assert_eq!(of(ANNA[1]), annas, "a new token, the same subject");
    let berts = of(&BERT.join("."));
    assert_ne!(berts, annas, "his call is his");
    for id in [annas, berts] {
        gateway.wait_for_call(&id);
    }
    let seen = gateway.target.of("/once");
    let is_gone = |seen: &wasm_tests::target::Seen| seen.message.text("authorization").is_empty();
    assert!(seen.iter().all(is_gone), "the filter has removed it");
}
