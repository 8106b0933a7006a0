//! Only what was authorized is called (G12): the attacks of `docs/security.md`, against the gateway
//! of `envoy/gateway.jwt.yaml`, which has authentication and authorization before its accept
//! filter.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use provision::Project;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};
use testkit::http1::{Request, Response};
use testkit::server::Answer;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::{Seen, Target};

const HOUR: Duration = Duration::from_secs(3_600);

/// A token of the example's issuer (RFC 7519), for an hour.
fn token(subject: &str, role: &str) -> String {
    let expires = (SystemTime::now() + HOUR).duration_since(UNIX_EPOCH);
    let claims = json!({ "iss": "https://issuer.example", "aud": "gateway.example", "sub": subject,
        "role": role, "exp": expires.unwrap().as_secs() });
    signed(&claims)
}

fn signed(claims: &Value) -> String {
    let key = Project::here().root().join("tests/keys/rsa-2048-pkcs8.pem");
    let key = KeyPair::from_pem(&fs::read_to_string(key).unwrap()).unwrap();
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    let head = part(&json!({ "alg": "RS256", "kid": "example" }));
    let signed = format!("{head}.{}", part(claims));
    let signature = BASE64URL.encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn request(method: &str, path: &str) -> Request {
    request_of("alice", method, path)
}

fn request_of(subject: &str, method: &str, path: &str) -> Request {
    let bearer = format!("Bearer {}", token(subject, "caller"));
    Request::new(method, path).field("Authorization", bearer)
}

fn gateway(name: &str, target: Target) -> Gateway {
    let file = Project::here().root().join("envoy/gateway.jwt.yaml");
    Gateway::with(name, target, |builder| builder.configuration(&file))
}

fn problem(response: Response, status: u16) -> Value {
    response.expect(status).json()
}

fn wait_for_letters(gateway: &Gateway, count: usize) -> Vec<Value> {
    gateway.wait(&format!("{count} dead letters"), || {
        gateway.stream().dead_letters().len() >= count
    });
    gateway.stream().dead_letters()
}

#[test]
fn the_caller_is_known_to_the_target_and_the_token_to_nobody() {
    let gateway = gateway("security-token", Target::start());
    let anonymous = Request::new("POST", "/orders").marked().body("");
    gateway.exchange(&anonymous).expect(401);
    let forged = anonymous.clone().field("Authorization", "Bearer a.b.c");
    gateway.exchange(&forged).expect(401);
    let nameless = json!({ "iss": "https://issuer.example", "aud": "gateway.example", "exp":
        4_102_444_800_u64, "role": "caller" });
    for subject in [None, Some(""), Some("alice")] {
        let mut claims = nameless.clone();
        if let Some(subject) = subject {
            claims["sub"] = json!(subject);
        }
        let bearer = format!("Bearer {}", signed(&claims));
        let request = Request::new("POST", "/orders").field("Authorization", bearer);
        let status = if subject == Some("alice") { 200 } else { 401 };
        for request in [request.clone(), request.marked()] {
            let answer = gateway.exchange(&request.body(""));
            let is_called = answer.status == status || (status == 200 && answer.status == 202);
            assert!(is_called, "{subject:?}: {}", answer.status);
        }
    }
    gateway.wait_for("/orders", 2);
    let order = request("POST", "/orders")
        .field("X-Caller", "root")
        .field("X_Caller", "root");
    gateway.accept(&order.clone().marked().body("x"));
    gateway.exchange(&order.body("x")).expect(200);
    gateway.wait_for("/orders", 4);
    for seen in gateway.target.of("/orders") {
        assert_eq!(seen.message.text("x-caller"), "alice");
        assert_eq!(seen.message.field("x_caller"), None);
        assert_eq!(seen.message.field("authorization"), None);
    }
    let records = gateway.stream().records("calls");
    assert_eq!(records.len(), 2, "nobody else's was stored");
    assert_eq!(
        records[0].json()["headers"]
            .to_string()
            .matches("earer")
            .count(),
        0
    );
}

/// Reply addresses that are no path below `/inbox`, for whoever reads them.
const ELSEWHERE: [&str; 21] = [
    "/admin/users/7?role=admin",
    "/",
    "/orders",
    "/transfers/1",
    "/async/orders",
    "/inboxes",
    "/Inbox",
    "/inbox/../admin",
    "/inbox/%2e%2e/admin",
    "/inbox/.%2E/admin",
    "/inbox/..%2fadmin",
    "/inbox/..%5cadmin",
    "/inbox/..;/admin",
    "/inbox;/../admin",
    "/inbox//admin",
    "/inbox/%252e%252e/admin",
    "/inbox%2f..%2fadmin",
    "/%69nbox",
    "/inbox/%c0%ae%c0%ae/admin",
    "https://gateway.example/admin",
    "http://127.0.0.1/admin",
];

#[test]
fn a_reply_address_that_the_administrator_does_not_name_is_refused() {
    let gateway = gateway("security-addresses", Target::start());
    gateway
        .exchange(&request("POST", "/admin/users/7").marked())
        .expect(403);
    for option in ["Async-Reply-To", "Async-Failure-To"] {
        for address in ELSEWHERE {
            let call = request("POST", "/orders/1").field(option, address);
            let problem = problem(gateway.exchange(&call.marked().body("")), 403);
            assert_eq!(problem["header"], option, "{address}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains("replies.paths") || address.contains("://"),
                "{detail}"
            );
        }
        for address in ["/inbox#/../admin", "//inbox", "/inbox\\..\\admin"] {
            let call = request("POST", "/orders/1").field(option, address);
            problem(gateway.exchange(&call.marked().body("")), 400);
        }
    }
    assert!(
        gateway.stream().records("calls").is_empty(),
        "nothing was stored"
    );
}

#[test]
fn replies_go_only_where_the_administrator_lets_them() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/orders/1" => Answer::json(201, &json!({ "role": "admin" })),
        "/orders/2" => Answer::status(422),
        _ => Answer::status(200),
    });
    let gateway = gateway("security-replies", target);
    let own = |path| {
        let bearer = format!("Bearer {}", token("alice", "caller"));
        let call = Request::without_host("POST", path).field("Host", "admin.example");
        call.field("Authorization", bearer).marked()
    };
    gateway.accept(
        &own("/orders/1")
            .field("Async-Reply-To", "/inbox/a?b=/../c")
            .body(""),
    );
    gateway.accept(
        &own("/orders/2")
            .field("Async-Failure-To", "/inbox/f")
            .body(""),
    );
    for path in ["/inbox/a", "/inbox/f"] {
        gateway.wait_for(path, 1);
        let reply = gateway.target.of(path).remove(0);
        assert_eq!(reply.message.text("host"), "gateway.example", "{path}");
    }
    // Records of others, and what is redriven, are judged where they are called.
    let reply = json!({ "callId": "c", "outcome": "delivered", "attempts": 1 });
    for path in [
        "/admin/7",
        "/inbox/../admin",
        "/inbox/..;/admin",
        "/inbox//admin",
    ] {
        let record = json!({ "path": path, "method": "POST", "reply": reply, "body": "x" });
        gateway.stream().put(&[record.to_string().as_bytes()]);
    }
    let record = json!({ "path": "/orders/3", "replyTo": "/admin/8" });
    gateway.stream().put(&[record.to_string().as_bytes()]);
    for letter in wait_for_letters(&gateway, 6) {
        let reason = letter["reason"].as_str().unwrap();
        assert!(
            reason == "denied" || letter.to_string().contains("/orders/2"),
            "{letter}"
        );
    }
    let seen = gateway.target.seen();
    assert!(seen.iter().all(|seen| !seen.path().contains("admin")));
}

/// Paths that lead to `/admin` for somebody, or look as if they did.
const ODD: &[&str] = &[
    "/admin/x",
    "//admin/x",
    "/./admin/x",
    "/orders/../admin/x",
    "/orders/%2e%2e/admin/x",
    "/orders/..%2fadmin/x",
    "/orders/..%5cadmin/x",
    "/orders\\..\\admin\\x",
    "/orders/..;/admin/x",
    "/%61dmin/x",
    "/%2561dmin/x",
    "/async/admin/x",
    "/async//admin/x",
    "/async/../admin/x",
    "/async/orders/../../admin/x",
    "/async/orders/..%2f..%2fadmin/x",
    "/async/orders/%252e%252e/admin/x",
    "/orders/%%32e%%32e/admin/x",
    "/orders/%2%65%2%65/admin/x",
    "/async/transfers/1",
    "/x/%c0%ae%c0%ae/admin",
];

#[test]
fn a_marked_request_goes_where_the_same_unmarked_one_goes_and_nowhere_else() {
    let gateway = gateway("security-paths", Target::start());
    for path in ODD {
        for method in ["DELETE", "POST"] {
            let before = gateway.target.count();
            let unmarked = gateway.exchange(&request(method, path).body(""));
            let marked = gateway.exchange(&request(method, path).marked().body(""));
            if unmarked.status >= 400 {
                assert_eq!(marked.status, unmarked.status, "{method} {path}");
                assert_eq!(gateway.target.count(), before, "{method} {path}");
                continue;
            }
            // Where nothing has come yet, both are calls.
            let asked = gateway.target.seen().split_off(before);
            if asked.first().is_some_and(Seen::has_dots_with_parameters) {
                assert_eq!(marked.status, 400, "{method} {path}");
                assert_eq!(gateway.target.count(), before + 1, "{method} {path}");
                continue;
            }
            assert_eq!(marked.status, 202, "{method} {path}");
            gateway.wait(path, || gateway.target.count() == before + 2);
            let seen = gateway.target.seen().split_off(before);
            let (asked, called) = (seen[0].target(), seen[1].target());
            assert_eq!(asked, called, "{path}");
            assert!(!called.starts_with("/admin"), "{path}");
        }
    }
    // Normalized once it is one path, normalized twice another one: no call.
    for path in [
        "/orders/.%2e;a=b/admin/x",
        "/orders\\..;/admin",
        "/orders%5c..;/admin",
        "/async/orders\\..;/admin",
    ] {
        let refused = problem(
            gateway.exchange(&request("POST", path).marked().body("")),
            400,
        );
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .starts_with("path: it would change")
        );
    }
    // The prefix is judged, stored and called; the route takes it away, marked or not.
    gateway.accept(&request("DELETE", "/async/orders/7?a=%2F"));
    gateway.wait_for("/orders/7", 1);
    let records = gateway.stream().records("calls");
    let mut paths = records.iter().map(|record| record.json()["path"].clone());
    assert!(paths.any(|path| path == "/async/orders/7?a=%2F"));
    let called = gateway.target.of("/orders/7").remove(0);
    assert_eq!(called.target(), "/orders/7?a=%2F");
    gateway.wait_until_settled();
    assert!(gateway.stream().dead_letters().is_empty());
}

#[test]
fn a_route_that_says_never_gets_no_call_whoever_asks() {
    let gateway = gateway("security-never", Target::start());
    let transfer = gateway.exchange(&request("POST", "/transfers/1").marked().body("x"));
    assert_eq!(transfer.expect(200).message.field("async-call-id"), None);
    assert_eq!(gateway.target.of("/transfers/1").len(), 1);
    let paths = [
        "/transfers/2",
        "//transfers/2",
        "/x/../transfers/2",
        "/%74ransfers/2",
    ];
    for path in paths {
        let record = json!({ "path": path, "method": "POST" });
        gateway.stream().put(&[record.to_string().as_bytes()]);
    }
    for letter in wait_for_letters(&gateway, paths.len()) {
        assert_eq!(letter["reason"], "denied", "{letter}");
    }
    assert_eq!(gateway.target.count(), 1);
    // What the page says of records that others publish: every other route is theirs.
    gateway
        .stream()
        .put(&[br#"{"path":"/admin/9","method":"POST"}"#]);
    gateway.wait_for("/admin/9", 1);
}

#[test]
fn nobody_outside_looks_like_a_call() {
    let gateway = gateway("security-marks", Target::start());
    let forged = |request: Request| {
        let names = [
            "Async-Call-Id",
            "Async_Call_Id",
            "ASYNC-CALL_ID",
            "Async_Attempt",
            "Async-Attempts",
            "Async_Accepted-At",
            "Async_Outcome",
            "Async_Status",
            "Async_Body_Cut",
            "Async_Correlation_Id",
        ];
        let with = |request: Request, name: &&str| request.field(name, "forged");
        names.iter().fold(request, with).field("X_Own", "kept")
    };
    let unmarked = forged(request("POST", "/orders")).field("Async-Correlation-Id", "forged");
    gateway.exchange(&unmarked.body("")).expect(200);
    gateway.accept(&forged(request("POST", "/orders")).marked().body(""));
    gateway.wait_for("/orders", 2);
    let record = json!({ "path": "/orders", "method": "POST", "headers": [["x_own", "kept"],
        ["async_call_id", "forged"], ["async-call_id", "forged"], ["async_outcome", "forged"],
        ["async_attempts", "forged"], ["async_reply_to", "forged"]] });
    gateway.stream().put(&[record.to_string().as_bytes()]);
    gateway.wait_for("/orders", 3);
    for seen in gateway.target.of("/orders") {
        let mut fields = seen.message.fields.iter();
        assert!(
            fields.all(|(_, value)| value != b"forged"),
            "{:?}",
            seen.message.fields
        );
        assert_eq!(seen.message.text("x_own"), "kept");
    }
    for name in ["Async-Max-Attempts", "Async_Delay", "Idempotency_Key"] {
        let asked = request("POST", "/orders").field(name, "3");
        let refused = problem(gateway.exchange(&asked.clone().marked().body("")), 400);
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("Options are Async-Target, ")
        );
        gateway.exchange(&asked.body("")).expect(200);
    }
}

#[test]
fn a_callers_order_key_is_nobody_elses() {
    let gateway = gateway("security-order-keys", Target::start());
    let of = |subject: &str, path: &str| {
        let request = request_of(subject, "POST", path);
        request.field("Async-Order-Key", "customer-7").marked()
    };
    let blocked = of("mallory", "/orders/blocked").field("Async-Delay", "366d");
    gateway.accept(&blocked.body("x"));
    for number in 0..5 {
        gateway.accept(&of("alice", &format!("/orders/{number}")).body("x"));
    }
    gateway.wait_for("/orders/4", 1);
    let paths: Vec<String> = gateway.target.seen().iter().map(Seen::path).collect();
    assert_eq!(
        paths,
        (0..5).map(|n| format!("/orders/{n}")).collect::<Vec<_>>()
    );
}
