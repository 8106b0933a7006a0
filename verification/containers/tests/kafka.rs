//! docker-compose.kafka.yml, built by the Dockerfile and used as a user uses it.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::env;

use containers::composition::{Composition, ON_KAFKA};
use containers::confinement;
use containers::docker::{docker, inside};
use containers::gateway::{Accepted, Gateway};
use testkit::{PATIENCE, wait};

/// Set where the brokers' image can't be had, with the reason.
const NO_KAFKA: &str = "SLUICE_NO_KAFKA";

/// Long enough that a call is still waiting when something is done at once after it.
const LATER: [(&str, &str); 1] = [("async-delay", "5s")];

/// Long enough that none is made before all parts are down: the demo function forgets its calls.
const MUCH_LATER: [(&str, &str); 1] = [("async-delay", "40s")];

#[test]
fn on_kafka_calls_arrive_whatever_is_killed() {
    if let Ok(reason) = env::var(NO_KAFKA) {
        eprintln!("skipped: {reason}");
        return;
    }
    let composition = Composition::new(ON_KAFKA, "kafka");
    composition.build();
    composition.up();
    let gateways = ["gateway-1", "gateway-2"].map(|name| Gateway::at(composition.port(name)));
    for gateway in &gateways {
        gateway.makes_calls();
    }
    for service in composition.services() {
        confinement::check(&composition.container(service));
    }
    gateways_reach_no_broker(&composition);

    for part in ["stream-server-1", "kafka-2", "gateway-1"] {
        let container = composition.container(part);
        let path = format!("/before-{part}-is-killed");
        let before = accept_some(&gateways, &path, LATER);
        let _killed = docker(&["kill", &container]);
        // Both gateways may hold calls, and the demo function is behind the second one too.
        let [_, second] = &gateways;
        wait_for_all(second, &before, &path);
        let path = format!("/without-{part}");
        let without = accepted_again(second, &path);
        wait_for_all(second, &[without], &path);
        let _started = docker(&["start", &container]);
    }

    let before = accept_some(&gateways[1..], "/before-the-end", MUCH_LATER);
    composition.down();
    composition.up();
    wait_for_all(&gateways[1], &before, "/before-the-end");
    composition.forget();
    let left = composition.left();
    let count = left.containers.len() + left.networks.len() + left.volumes.len();
    assert_eq!(count, 0, "{left:?}");
}

/// Some calls by each gateway. After a kill the first answers may be refusals.
fn accept_some(gateways: &[Gateway], path: &str, later: [(&str, &str); 1]) -> Vec<Accepted> {
    let each = gateways.iter().cycle().take(6);
    each.map(|gateway| {
        let accepted = wait::until_some(PATIENCE, wait::POLL_INTERVAL, || {
            gateway.try_accept(path, &later)
        });
        accepted.unwrap_or_else(|| panic!("{path} is not accepted"))
    })
    .collect()
}

/// Waits until a gateway accepts again: it may still have connections to what was killed.
fn accepted_again(gateway: &Gateway, path: &str) -> Accepted {
    let accepted = wait::until_some(PATIENCE, wait::POLL_INTERVAL, || {
        gateway.try_accept(path, &[])
    });
    accepted.unwrap_or_else(|| panic!("{path} is not accepted"))
}

fn wait_for_all(gateway: &Gateway, calls: &[Accepted], path: &str) {
    for call in calls {
        let _arrived = gateway.wait_for(call, path);
    }
}

/// The brokers take everything from everybody who reaches them.
fn gateways_reach_no_broker(composition: &Composition) {
    let reach = |service: &str| {
        let script = "exec 3<>/dev/tcp/kafka-1/9092";
        inside(&composition.container(service), script)
            .status
            .success()
    };
    assert!(reach("stream-server-1"));
    assert!(!reach("gateway-1") && !reach("demo-function"));
}
