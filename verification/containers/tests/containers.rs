//! docker-compose.yml and the image with everything, built by the Dockerfile and used as a user
//! uses them.

use containers::all_in_one::AllInOne;
use containers::composition::Composition;
use containers::confinement;
use containers::docker::{docker, inside, inspect, kill_inside, told_inside};
use containers::gateway::{Accepted, Gateway};
use serde_json::json;
use testkit::{PATIENCE, wait};

/// Long enough that a call is still waiting when something is done at once after it.
const LATER: [(&str, &str); 1] = [("async-delay", "5s")];

fn accept_some(gateway: &Gateway, path: &str) -> Vec<Accepted> {
    (0..5).map(|_| gateway.accept(path, &LATER)).collect()
}

fn wait_for_all(gateway: &Gateway, calls: &[Accepted], path: &str) {
    for call in calls {
        let _arrived = gateway.wait_for(call, path);
    }
}

#[test]
fn the_composition_delivers_whatever_is_killed_and_leaves_nothing() {
    let composition = Composition::new("compose");
    composition.build();
    composition.up();
    let gateway = Gateway::at(composition.port("gateway"));
    gateway.makes_calls();

    for service in Composition::services() {
        confinement::check(&composition.container(service));
    }

    let before = accept_some(&gateway, "/before-the-kill");
    let server = composition.container("stream-server");
    let _killed = docker(&["kill", &server]);
    assert_eq!(gateway.ask("/without-a-stream", &[]).status, 503);
    let _started = docker(&["start", &server]);
    wait_for_all(&gateway, &before, "/before-the-kill");

    let before = accept_some(&gateway, "/before-the-end");
    composition.down();
    let left = composition.left();
    assert!(
        left.containers.is_empty() && left.networks.is_empty(),
        "{left:?}"
    );
    assert_eq!(left.volumes.len(), 1, "the data of the streams: {left:?}");
    composition.up();
    wait_for_all(&gateway, &before, "/before-the-end");

    composition.forget();
    let left = composition.left();
    let count = left.containers.len() + left.networks.len() + left.volumes.len();
    assert_eq!(count, 0, "{left:?}");
}

#[test]
fn one_container_has_everything_and_ends_in_good_order() {
    let composition = Composition::new("all-in-one");
    composition.build_all_in_one();
    let image = composition.all_in_one();
    let container = AllInOne::run(&image);
    let name = container.name();
    let gateway = Gateway::at(container.port());
    gateway.makes_calls();
    let dead = told_inside(name, "sluice dead list --endpoint http://127.0.0.1:8090");
    assert!(dead.contains('0'), "{dead}");

    confinement::check(name);
    let config = inspect(name)["Config"].take();
    assert_eq!(config["ExposedPorts"], json!({ "10000/tcp": {} }));
    let environment = config["Env"].to_string();
    assert!(!environment.contains("SLUICE"), "no secrets: {environment}");

    // A part that dies is started again.
    for program in ["stream-server", "envoy"] {
        let before = accept_some(&gateway, "/before-the-kill");
        kill_inside(name, program);
        wait_for_all(&gateway, &before, "/before-the-kill");
    }
    orphans_are_collected(name);

    let before = accept_some(&gateway, "/before-the-end");
    assert_eq!(container.stop(), 0, "{}", container.logs());
    container.start();
    wait_for_all(&gateway, &before, "/before-the-end");
}

fn orphans_are_collected(container: &str) {
    let _left = told_inside(container, "(sleep 0 &)");
    let is_collected = || {
        let dead = "grep --files-with-matches '^State:.Z' /proc/[0-9]*/status";
        !inside(container, dead).status.success()
    };
    assert!(wait::until(PATIENCE, is_collected), "zombies are left");
}
