//! `envoy/sidecar.yaml` as it stands, but for its ports: an application that calls a service, and
//! others that call the application, both ways at once and asynchronously.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use local_gateway::render::{cluster, egress, endpoint, listener_port};
use local_gateway::{Builder, Part, ports};
use provision::Project;
use provision::dist::Variant;
use serde_json::{Value, json};
use testkit::http1::{Request, Response, exchange};
use testkit::server::Answer;
use testkit::tls::Authority;
use wasm_tests::gateway::Gateway;
use wasm_tests::target::{Seen, Target};

/// The service that the configuration has a route for.
const SERVICE: &str = "notify.example";

/// What is added to a call, and what Envoy numbers each exchange with.
const ADDED: [&str; 6] = [
    "async-call-id",
    "async-correlation-id",
    "async-attempt",
    "async-accepted-at",
    "idempotency-key",
    "x-request-id",
];

/// An Envoy beside an application, which is the gateway's target.
struct Sidecar {
    gateway: Gateway,
    service: Target,
    outbound: u16,
}

impl Sidecar {
    fn start(name: &str) -> Self {
        Self::with(name, Target::start(), |builder| builder)
    }

    fn with(name: &str, application: Target, change: impl FnOnce(Builder) -> Builder) -> Self {
        let service = Target::start();
        let (outbound, service_port) = (ports::free().unwrap(), service.port());
        let file = Project::here().root().join("envoy/sidecar.yaml");
        let gateway = Gateway::with(name, application, |builder| {
            change(builder.configuration(&file).edit(move |config| {
                *listener_port(config, "outbound")? = json!(outbound);
                *endpoint(cluster(config, "notify")?, "port_value")? = json!(service_port);
                Ok(())
            }))
        });
        Self {
            gateway,
            service,
            outbound,
        }
    }

    fn application(&self) -> &Target {
        &self.gateway.target
    }

    /// Returns a request of the application.
    fn outbound(&self, request: &Request) -> Response {
        exchange(self.outbound, request)
    }

    /// Returns a request to the application.
    fn inbound(&self, request: &Request) -> Response {
        self.gateway.exchange(request)
    }

    fn wait_for(&self, target: &Target, path: &str, count: usize) -> Vec<Seen> {
        let what = format!("{count} requests to {path}");
        self.gateway.wait(&what, || target.of(path).len() >= count);
        target.of(path)
    }
}

fn request(host: &str, path: &str) -> Request {
    Request::without_host("PUT", path)
        .field("Host", host)
        .field("X-Many", "1")
        .field("Authorization", "Bearer of good news")
        .field("X-Many", "2")
        .body("{\"hello\": \"w\u{f6}rld\"}")
}

/// A request that came at once and one that came as a call are the same.
fn assert_same(seen: &[Seen]) {
    let [direct, called] = seen else {
        panic!("two requests were expected: {seen:?}")
    };
    assert_eq!(direct.call_id(), "");
    assert_eq!(called.attempt(), "1");
    let (direct_head, called_head) = (&direct.message.start, &called.message.start);
    assert_eq!(
        direct_head.escape_ascii().to_string(),
        called_head.escape_ascii().to_string()
    );
    assert_eq!(direct.message.body, called.message.body);
    assert_eq!(direct.fields_without(&ADDED), called.fields_without(&ADDED));
    for inner in ["sluice-outbound", "x-envoy-internal", "prefer"] {
        assert_eq!(called.message.field(inner), None, "{inner}");
    }
}

/// Insists on a status.
fn insist(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.show());
}

/// Checks a refusal, which says what to change, and returns its problem.
fn problem(response: Response, status: u16) -> Value {
    let response = response.expect(status);
    let kind = response.message.text("content-type");
    assert_eq!(kind, "application/problem+json", "{}", response.show());
    response.json()
}

#[test]
fn what_the_application_calls_is_called_at_once_or_later() {
    let sidecar = Sidecar::start("sidecar-outbound");
    let request = request(SERVICE, "/messages/7?to=a%20b");
    insist(&sidecar.outbound(&request), 200);
    let accepted = sidecar.outbound(&request.clone().marked()).expect(202);
    let seen = sidecar.wait_for(&sidecar.service, "/messages/7", 2);
    assert_same(&seen);
    assert_eq!(seen[1].call_id(), accepted.message.text("async-call-id"));

    // An HTTP client that takes the sidecar for its proxy.
    let proxied = Request::without_host("POST", "http://notify.example:8081/proxied")
        .field("Host", "notify.example:8081")
        .body("x");
    insist(&sidecar.outbound(&proxied), 200);
    insist(&sidecar.outbound(&proxied.marked()), 202);
    let seen = sidecar.wait_for(&sidecar.service, "/proxied", 2);
    assert_same(&seen);
    assert_eq!(seen[1].message.text("host"), "notify.example:8081");
    sidecar.gateway.wait_until_settled();
    assert_eq!(sidecar.application().count(), 0);
}

#[test]
fn what_others_call_is_the_application_whatever_they_say() {
    let sidecar = Sidecar::start("sidecar-inbound");
    let hosts = [("orders.example", "/orders/7"), (SERVICE, "/notify")];
    for (host, path) in hosts {
        let request = request(host, path).field("Sluice-Outbound", "1");
        insist(&sidecar.inbound(&request), 200);
        insist(&sidecar.inbound(&request.marked()), 202);
        let seen = sidecar.wait_for(sidecar.application(), path, 2);
        assert_same(&seen);
        assert_eq!(seen[1].message.text("host"), host);
    }
    sidecar.gateway.wait_until_settled();
    assert_eq!(sidecar.service.count(), 0);
    assert_eq!(sidecar.gateway.reloads(), 0);
}

#[test]
fn what_is_not_allowed_is_refused_and_nothing_is_stored() {
    let elsewhere = "http://elsewhere.example/hook";
    let sidecar = Sidecar::start("sidecar-refused");
    let unknown = request("elsewhere.example", "/hook");
    insist(&sidecar.outbound(&unknown), 404);
    let refused = problem(sidecar.outbound(&unknown.marked()), 404);
    assert_eq!(refused["type"], "urn:sluice:no-route");

    let explicit = request(SERVICE, "/ignored")
        .marked()
        .field("Async-Target", elsewhere);
    let refused = problem(sidecar.outbound(&explicit), 403);
    assert_eq!(refused["header"], "Async-Target");
    problem(sidecar.inbound(&explicit), 501);

    let reply = request(SERVICE, "/ignored")
        .marked()
        .field("Async-Reply-To", elsewhere);
    for response in [sidecar.outbound(&reply), sidecar.inbound(&reply)] {
        assert_eq!(problem(response, 403)["header"], "Async-Reply-To");
    }
    let tunnel =
        Request::without_host("CONNECT", "notify.example:443").field("Host", "notify.example:443");
    insist(&sidecar.outbound(&tunnel), 501);

    assert!(sidecar.gateway.stream().records("calls").is_empty());
    assert_eq!(sidecar.service.count() + sidecar.application().count(), 0);
}

#[test]
fn an_explicit_target_is_for_the_application_alone_and_judged_by_its_address() {
    let hook = Target::start();
    let url = |path: &str| format!("http://localhost:{}{path}", hook.port());
    let rule = json!({ "host": "localhost", "scheme": "http", "port": hook.port() });
    let allowed = json!({ "targets": { "allow": [rule] } });
    let start = |name: &str, change: fn(Builder) -> Builder| {
        let drain = wasm_tests::gateway::drain_settings(&allowed);
        let accept = allowed.clone();
        Sidecar::with(name, Target::start(), |builder| {
            change(builder.accept_patch(accept).drain_patch(drain))
        })
    };
    let call = |path: &str| {
        Request::new("POST", "/")
            .field("Async-Target", url(path))
            .marked()
    };

    let lifted = start("sidecar-lifted", Builder::allow_private_egress);
    insist(&lifted.outbound(&call("/hook").body("x")), 202);
    let seen = lifted.wait_for(&hook, "/hook", 1);
    assert_eq!(seen[0].message.field("sluice-outbound"), None);
    problem(lifted.inbound(&call("/hook").body("x")), 501);

    let judged = start("sidecar-judged", Builder::unfiltered_targets);
    insist(&judged.outbound(&call("/denied").body("x")), 202);
    judged.gateway.wait("the call is buried", || {
        !judged.gateway.stream().dead_letters().is_empty()
    });
    let letters = judged.gateway.stream().dead_letters();
    assert_eq!(letters[0]["reason"], "denied");
    assert_eq!((hook.of("/hook").len(), hook.count()), (1, 1));
}

#[test]
fn a_reply_to_the_applications_call_comes_to_the_application() {
    let sidecar = Sidecar::start("sidecar-reply");
    let call = request(SERVICE, "/ask").field("Async-Reply-To", "/inbox");
    let accepted = sidecar.outbound(&call.marked()).expect(202);
    let replies = sidecar.wait_for(sidecar.application(), "/inbox", 1);
    let id = accepted.message.text("async-call-id");
    assert_eq!(replies[0].call_id(), id);
    assert_eq!(replies[0].message.text("async-outcome"), "delivered");
    assert_eq!(sidecar.service.of("/ask").len(), 1);
    assert_eq!(sidecar.service.of("/inbox").len(), 0);
}

#[test]
fn the_directions_do_not_share_idempotency_keys() {
    let sidecar = Sidecar::start("sidecar-keys");
    let call = request(SERVICE, "/keyed")
        .field("Idempotency-Key", "k1")
        .marked();
    let id = |response: Response| response.expect(202).message.text("async-call-id");
    let (out, again) = (id(sidecar.outbound(&call)), id(sidecar.outbound(&call)));
    assert_eq!(out, again);
    let (came, again) = (id(sidecar.inbound(&call)), id(sidecar.inbound(&call)));
    assert_eq!(came, again);
    assert_ne!(out, came);
    sidecar.wait_for(&sidecar.service, "/keyed", 1);
    sidecar.wait_for(sidecar.application(), "/keyed", 1);
    sidecar.gateway.wait_until_settled();
    assert_eq!(
        (sidecar.service.count(), sidecar.application().count()),
        (1, 1)
    );
}

#[test]
fn another_replica_makes_the_calls_of_one_that_is_gone() {
    // The first one's application and service take nothing.
    let application = Target::scripted(|_| Answer::status(503));
    let mut first = Sidecar::with("sidecar-first", application, |builder| builder);
    first.service.kill();
    insist(&first.outbound(&request(SERVICE, "/out").marked()), 202);
    insist(
        &first.inbound(&request("orders.example", "/in").marked()),
        202,
    );
    first.gateway.wait_for("/in", 1);

    let port = first.gateway.set.ports().stream;
    let second = Sidecar::with("sidecar-second", Target::start(), |builder| {
        builder.shared_stream(port)
    });
    first.gateway.set.kill9(Part::Envoy).unwrap();
    second.wait_for(&second.service, "/out", 1);
    second.wait_for(second.application(), "/in", 1);
    second.gateway.wait_until_settled();
}

#[test]
fn both_directions_come_back_from_a_trap_in_one() {
    let sidecar = Sidecar::with("sidecar-trap", Target::start(), |builder| {
        builder.variant(Variant::Trap)
    });
    let call = |path: &str| request(SERVICE, path).marked();
    let fatal = call("/fatal").field("sluice-test-trap", "1");
    let outbound = |request: &Request| sidecar.outbound(request).status;
    let inbound = |request: &Request| sidecar.inbound(request).status;
    let ways: [&dyn Fn(&Request) -> u16; 2] = [&outbound, &inbound];
    for way in ways {
        assert_ne!(way(&fatal), 202);
        for way in ways {
            sidecar
                .gateway
                .wait("calls are accepted again", || way(&call("/again")) == 202);
        }
    }
    assert!(sidecar.gateway.reloads() >= 2);
    sidecar.wait_for(&sidecar.service, "/again", 2);
    sidecar.wait_for(sidecar.application(), "/again", 2);
}

/// Has the service called over TLS, as the configuration's comment says: by what `targets-https`
/// has.
fn over_tls(config: &mut Value, authority: &Path, port: u16) -> anyhow::Result<()> {
    egress::trust(config, authority)?;
    let targets = cluster(config, "targets-https")?.clone();
    let notify = cluster(config, "notify")?;
    for member in ["transport_socket", "typed_extension_protocol_options"] {
        notify[member] = targets[member].clone();
    }
    *endpoint(notify, "port_value")? = json!(port);
    Ok(())
}

#[test]
fn a_service_with_https_is_called_by_the_name_that_it_proves() {
    let authority = Authority::new();
    let folder = Project::here().target().join("test-keys");
    let file = folder.join("sidecar.pem");
    fs::create_dir_all(folder).unwrap();
    fs::write(&file, authority.pem()).unwrap();
    for (certified, status) in [(SERVICE, 200), ("elsewhere.example", 503)] {
        let (proxy, file) = (authority.start_proxy(certified), file.clone());
        let port = proxy.port();
        let sidecar = Sidecar::with("sidecar-tls", Target::start(), |builder| {
            builder.edit(move |config| over_tls(config, &file, port))
        });
        proxy.leads_to(&format!("127.0.0.1:{}", sidecar.service.port()));
        insist(&sidecar.outbound(&request(SERVICE, "/secure")), status);
        if status == 200 {
            insist(
                &sidecar.outbound(&request(SERVICE, "/secure").marked()),
                202,
            );
            assert_same(&sidecar.wait_for(&sidecar.service, "/secure", 2));
        }
        assert_eq!(sidecar.service.count() > 0, status == 200);
    }
}
