//! Callers whom nothing but a certificate tells apart (mTLS): idempotency keys and order keys are
//! each caller's own. Product description, section 9.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use local_gateway::render::listener;
use serde_json::json;
use testkit::http1::{Connection, Request};
use testkit::tls::{Authority, Proxy};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::{Seen, Target};

const SERVER: &str = "gateway.test";

/// Returns the gateway behind TLS, which wants certificates of this authority.
fn gateway(name: &str, authority: &Authority) -> Gateway {
    let (certificate, key) = authority.identity(SERVER);
    let context = json!({
        "@type": "type.googleapis.com/\
                  envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{ "certificate_chain": { "inline_string": certificate },
                "private_key": { "inline_string": key } }],
            "validation_context": { "trusted_ca": { "inline_string": authority.pem() } },
        },
    });
    let socket = json!({ "name": "envoy.transport_sockets.tls", "typed_config": context });
    Gateway::with(name, Target::start(), |builder| {
        builder.edit(move |config| {
            let gateway = listener(config, "gateway")?;
            gateway["filter_chains"][0]["transport_socket"] = socket.clone();
            Ok(())
        })
    })
}

/// Returns the id of a call that somebody makes on a connection of its own.
fn accept(caller: &Proxy, request: &Request) -> String {
    let mut connection = Connection::open(caller.port()).unwrap();
    let accepted = connection.exchange(request).unwrap().expect(202);
    accepted.message.text("async-call-id")
}

#[test]
fn each_certificate_is_a_caller_of_its_own() {
    let authority = Authority::new();
    let gateway = gateway("certificates", &authority);
    let client = |own| authority.start_client(own, SERVER, gateway.port());
    let with_name = |name| client(Some((&authority, name)));
    let (anna, bert) = (with_name("anna.test"), with_name("bert.test"));
    let once = Request::new("POST", "/once").field("Idempotency-Key", "order-2");
    let once = once.marked().body("the same");
    let annas = accept(&anna, &once);
    assert_eq!(accept(&anna, &once), annas, "one certificate, one call");
    let renewed = with_name("anna.test");
    assert_eq!(accept(&renewed, &once), annas, "one name, one caller");
    let berts = accept(&bert, &once);
    assert_ne!(berts, annas, "two certificates, two calls");
    for id in [&annas, &berts] {
        gateway.wait_for_call(id);
    }
    gateway.wait_until_settled();
    assert_eq!(gateway.target.of("/once").len(), 2);
    // And nobody holds up the calls of another one.
    let keyed = |path: &str| {
        let request = Request::new("POST", path).field("Async-Order-Key", "customer-7");
        request.marked()
    };
    accept(
        &bert,
        &keyed("/blocked").field("Async-Delay", "1h").body(""),
    );
    for number in 0..5 {
        accept(&anna, &keyed(&format!("/anna/{number}")).body(""));
    }
    gateway.wait_for("/anna/4", 1);
    let paths = gateway.target.seen().into_iter().skip(2);
    let paths: Vec<String> = paths.map(|seen: Seen| seen.path()).collect();
    assert_eq!(
        paths,
        (0..5).map(|n| format!("/anna/{n}")).collect::<Vec<_>>()
    );
    // Without a certificate, or with somebody else's, nobody is let in.
    let stranger = Authority::new();
    let strangers = client(Some((&stranger, "anna.test")));
    for nobody in [client(None), strangers] {
        let connection = Connection::open(nobody.port());
        let answer = connection.and_then(|mut connection| connection.exchange(&once));
        assert!(answer.is_err(), "{answer:?}");
    }
}
