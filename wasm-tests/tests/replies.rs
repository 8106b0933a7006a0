//! Replies, explicit targets and order keys in a real Envoy. Product description, sections 2 and 6.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use local_gateway::render::{at, listener};
use local_gateway::{Builder, Part};
use serde_json::json;
use sluice::reply::signature::{Secrets, canonical_headers};
use testkit::http1::Request;
use testkit::server::Answer;
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Returns the gateway and a second server, which may be called by its URL.
fn with_elsewhere(name: &str, target: Target, elsewhere: &Target) -> Gateway {
    let port = elsewhere.port();
    let allow = json!([{ "scheme": "http", "host": "127.0.0.1", "port": port,
        "pathPrefix": "/hooks", "allowPrivate": true }]);
    let settings = json!({ "targets": { "allow": allow },
        "replies": { "paths": ["/inbox", "/trouble"] } });
    Gateway::with(name, target, |builder: Builder| {
        builder
            .accept_patch(settings.clone())
            .drain_patch(drain_settings(&settings))
            .envoy_environment("SLUICE_WEBHOOK_SECRETS", SECRET)
            .allow_private_egress()
    })
}

#[test]
fn the_response_goes_to_the_reply_address_signed_and_once() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/order" => Answer::json(201, &json!({ "order": 7 })),
        _ => Answer::status(200),
    });
    let elsewhere = Target::start();
    let gateway = with_elsewhere("replies", target, &elsewhere);
    let to_url = format!("http://127.0.0.1:{}/hooks/done", elsewhere.port());
    for address in ["/inbox", &to_url] {
        let request = Request::new("POST", "/order")
            .field("Async-Reply-To", address)
            .field("Async-Correlation-Id", "talk-1")
            .field(
                "Traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            );
        let id = gateway.accept(&request.marked().body("x"));
        let server = if address == "/inbox" {
            &gateway.target
        } else {
            &elsewhere
        };
        let path = address.split(&elsewhere.port().to_string()).last().unwrap();
        gateway.wait_for_elsewhere(server, path);
        gateway.wait_until_settled();
        assert_eq!(server.of(path).len(), 1, "exactly one");
        let reply = server.of(path).remove(0).message;
        assert_eq!(reply.body, br#"{"order":7}"#);
        for (name, value) in [
            ("async-call-id", id.as_str()),
            ("async-correlation-id", "talk-1"),
            ("async-outcome", "delivered"),
            ("async-status", "201"),
            ("async-attempts", "1"),
            ("content-type", "application/json"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        ] {
            assert_eq!(reply.text(name), value, "{name}");
        }
        assert!(reply.text("webhook-signature").starts_with("v1,"));
        assert!(reply.text("async-signature").starts_with("v1,"));
        assert!(
            !reply.text("webhook-id").is_empty() && !reply.text("webhook-timestamp").is_empty()
        );
    }
    assert!(
        gateway.target.of("/order")[0]
            .message
            .field("webhook-id")
            .is_none()
    );
}

#[test]
fn a_compressed_response_can_be_read_where_the_reply_goes() {
    // The member of the gzip format (RFC 1952) that holds "made".
    const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\
        \xcb\x4d\x4c\x49\x05\x00\xa1\x6a\x54\x9d\x04\x00\x00\x00";
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/order" => Answer::Reply {
            status: 200,
            fields: vec![
                ("content-type".to_owned(), "text/plain".to_owned()),
                ("content-encoding".to_owned(), "gzip".to_owned()),
            ],
            body: GZIP.to_vec(),
        },
        _ => Answer::status(200),
    });
    let gateway = Gateway::with("compressed-replies", target, |builder| builder);
    let request = Request::new("POST", "/order").field("Async-Reply-To", "/inbox");
    gateway.accept(&request.marked().body("x"));
    gateway.wait_for("/inbox", 1);
    let reply = gateway.target.of("/inbox").remove(0).message;
    assert_eq!(reply.text("content-type"), "text/plain");
    assert_eq!(reply.text("content-encoding"), "gzip");
    assert_eq!(reply.body, GZIP);
}

#[test]
fn failure_is_told_and_a_reply_that_dies_has_a_letter_of_its_own() {
    let target = Target::scripted(|_| Answer::status(404));
    let gateway = Gateway::with("failure-replies", target, |builder| builder);
    let request = Request::new("POST", "/order").field("Async-Failure-To", "/inbox");
    let id = gateway.accept(&request.marked().body("x"));
    gateway.wait("both letters", || {
        gateway.stream().dead_letters().len() == 2
    });
    gateway.wait_until_settled();
    assert_eq!(gateway.target.of("/inbox").len(), 1);
    let reply = gateway.target.of("/inbox").remove(0).message;
    assert_eq!(reply.text("async-outcome"), "failed");
    assert_eq!(reply.text("async-status"), "404");
    assert_eq!(reply.text("async-call-id"), id);
    let letters = gateway.stream().dead_letters();
    let of_reply = letters
        .iter()
        .find(|letter| letter["call"]["reply"].is_object());
    assert_eq!(of_reply.unwrap()["call"]["reply"]["callId"], id.as_str());
}

#[test]
fn explicit_targets_are_called_where_the_list_has_them_and_refused_at_once_elsewhere() {
    let elsewhere = Target::start();
    let gateway = with_elsewhere("explicit", Target::start(), &elsewhere);
    let port = elsewhere.port();
    let to = |url: &str| {
        let request = Request::new("PUT", "/ignored?y").field("Async-Target", url);
        gateway.exchange(&request.marked().body("x"))
    };
    let accepted = to(&format!("http://127.0.0.1:{port}/hooks/in?a=%20b")).expect(202);
    gateway.wait_for_elsewhere(&elsewhere, "/hooks/in");
    let seen = elsewhere.of("/hooks/in").remove(0);
    assert_eq!(seen.message.word(1), "/hooks/in?a=%20b");
    assert_eq!(seen.message.word(0), "PUT");
    assert_eq!(seen.message.text("host"), format!("127.0.0.1:{port}"));
    assert_eq!(seen.call_id(), accepted.message.text("async-call-id"));
    for (url, status) in [
        (format!("http://127.0.0.1:{port}/other"), 403),
        (format!("http://127.0.0.1:{port}/hooks/../other"), 403),
        ("http://169.254.169.254/hooks".to_owned(), 403),
        ("https://example.com/hooks".to_owned(), 403),
        (format!("http://user@127.0.0.1:{port}/hooks"), 400),
        (format!("http://2130706433:{port}/hooks"), 400),
        ("/hooks".to_owned(), 400),
    ] {
        let refused = to(&url).expect(status).json();
        assert_eq!(refused["header"], "Async-Target", "{url}: {refused}");
    }
    // Whoever writes the record: what is not allowed is not called.
    let record = format!(r#"{{"target":"http://127.0.0.1:{port}/forbidden"}}"#);
    let _places = gateway.stream().put(&[record.as_bytes()]);
    gateway.wait("its dead letter", || {
        !gateway.stream().dead_letters().is_empty()
    });
    assert_eq!(gateway.stream().dead_letters()[0]["reason"], "denied");
    gateway.wait_until_settled();
    assert_eq!(elsewhere.count(), 1);
    assert_eq!(gateway.target.count(), 0);
}

#[test]
fn calls_with_one_key_arrive_one_after_the_other_while_others_go_on() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let target = Target::scripted(move |seen| {
        let fails = seen.path() == "/keyed/0" && down.load(Ordering::SeqCst);
        Answer::status(if fails { 503 } else { 200 })
    });
    let mut gateway = Gateway::with("ordered", target, |builder| builder);
    let keyed = |n: usize| {
        let request = Request::new("POST", &format!("/keyed/{n}"));
        request
            .field("Async-Order-Key", "customer 7".replace(' ', "-"))
            .marked()
            .body("")
    };
    for n in 0..10 {
        gateway.accept(&keyed(n));
    }
    let other = Request::new("POST", "/other").field("Async-Order-Key", "another");
    gateway.accept(&other.marked().body(""));
    gateway.call("/free");
    gateway.wait_for("/other", 1);
    gateway.wait_for("/free", 1);
    gateway.wait_for("/keyed/0", 3);
    assert!(
        gateway.target.of("/keyed/1").is_empty(),
        "it waits for the first"
    );
    gateway.set.kill9_envoy().unwrap();
    gateway.set.restart_envoy().unwrap();
    is_down.store(false, Ordering::SeqCst);
    gateway.wait_for("/keyed/9", 1);
    gateway.wait_until_settled();
    let seen = gateway.target.seen();
    let first_arrival = |n: usize| {
        let path = format!("/keyed/{n}");
        seen.iter().position(|seen| seen.path() == path).unwrap()
    };
    let order: Vec<usize> = (0..10).map(first_arrival).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn headers_of_the_answer_are_told_as_the_operator_wants() {
    let target = Target::scripted(|seen| match seen.path().as_str() {
        "/order" => {
            let mut fields = vec![
                ("location", "/orders/7"),
                ("link", "</a>; rel=next"),
                ("link", "</b>; rel=prev"),
                ("etag", "\"7\""),
                ("content-language", "de"),
                ("set-cookie", "session=1"),
                ("x-shop-id", "7"),
                ("async-outcome", "forged"),
                ("async-response-etag", "forged"),
            ];
            fields.extend(vec![("x-shop-more", "1"); 80]);
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            Answer::Reply {
                status: 201,
                fields: fields.into_iter().map(own).collect(),
                body: b"made".to_vec(),
            }
        }
        _ => Answer::status(200),
    });
    let headers = json!([
        "location",
        "link",
        "etag",
        "content-*",
        "x-shop-*",
        "async-*"
    ]);
    let gateway = Gateway::with("reply-headers", target, |builder| {
        builder.drain_patch(drain_settings(
            &json!({ "replies": { "headers": headers } }),
        ))
    });
    let request = Request::new("POST", "/order")
        .field("Async-Reply-To", "/inbox")
        .field("Async-Response-Etag", "of the caller");
    gateway.accept(&request.marked().body("x"));
    gateway.wait_for("/inbox", 1);
    gateway.wait_until_settled();
    let called = gateway.target.of("/order").remove(0).message;
    assert!(called.field("async-response-etag").is_none());
    let reply = gateway.target.of("/inbox").remove(0).message;
    for (name, value) in [
        ("async-response-location", "/orders/7"),
        ("async-response-etag", "\"7\""),
        ("async-response-content-language", "de"),
        ("async-response-x-shop-id", "7"),
        ("async-head-cut", "true"),
        ("async-outcome", "delivered"),
    ] {
        assert_eq!(reply.text(name), value, "{name}");
    }
    let values = |name: &str| {
        let fields = reply.fields.iter();
        let own = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        own.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        values("async-response-link"),
        ["</a>; rel=next", "</b>; rel=prev"]
    );
    assert!(values("async-response-x-shop-more").len() > 50);
    assert!(values("async-response-set-cookie").is_empty());
    assert!(values("async-response-async-outcome").is_empty());
}

#[test]
fn each_destination_has_a_secret_of_its_own() {
    const OF_RULE: &str = "whsk_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= \
                           whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let elsewhere = Target::start();
    let port = elsewhere.port();
    let rule = |path: &str| {
        json!({ "scheme": "http", "host": "127.0.0.1", "port": port, "pathPrefix": path,
            "allowPrivate": true })
    };
    let mut of_partner = rule("/partner");
    of_partner["secretsEnvironment"] = json!("SECRETS_OF_PARTNER");
    let replies = json!({ "replies": { "allow": [rule("/usual"), of_partner] } });
    let gateway = Gateway::with("secrets", Target::start(), |builder| {
        builder
            .accept_patch(replies.clone())
            .drain_patch(drain_settings(&replies))
            .envoy_environment("SLUICE_WEBHOOK_SECRETS", SECRET)
            .envoy_environment("SECRETS_OF_PARTNER", OF_RULE)
            .edit(|config| {
                let drain = listener(config, "drain")?;
                let keys = "/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config\
                            /config/vm_config/environment_variables/host_env_keys";
                let keys = at(drain, keys)?.as_array_mut().expect("a list");
                keys.push(json!("SECRETS_OF_PARTNER"));
                Ok(())
            })
            .allow_private_egress()
    });
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    for address in [url("/partner"), url("/usual"), "/inbox".to_owned()] {
        let request = Request::new("POST", "/order").field("Async-Reply-To", &address);
        gateway.accept(&request.marked().body("x"));
    }
    gateway.wait_for_elsewhere(&elsewhere, "/partner");
    gateway.wait_for_elsewhere(&elsewhere, "/usual");
    gateway.wait_for("/inbox", 1);
    gateway.wait_until_settled();
    let replies = [
        (elsewhere.of("/partner"), OF_RULE),
        (elsewhere.of("/usual"), SECRET),
        (gateway.target.of("/inbox"), SECRET),
    ];
    for (mut reply, secrets) in replies {
        let reply = reply.remove(0).message;
        let secrets = Secrets::parse(secrets).unwrap();
        let id = reply.text("webhook-id");
        let at_s = reply.text("webhook-timestamp").parse().unwrap();
        let signature = secrets.sign(&id, at_s, &reply.body);
        assert_eq!(reply.text("webhook-signature"), signature);
        let names = reply.fields.iter().map(|(name, value)| {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            (name, value.clone())
        });
        let fields: Vec<_> = names
            .filter(|(name, _)| name != "async-signature")
            .collect();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()));
        let signature = secrets.sign_headers(&id, at_s, &canonical_headers(fields));
        assert_eq!(reply.text("async-signature"), signature);
    }
    let log = gateway.set.log(Part::Envoy);
    let public = "SECRETS_OF_PARTNER: the public key for receivers is whpk_";
    assert!(log.contains(public) && !log.contains("whsk_") && !log.contains("whsec_"));
}
