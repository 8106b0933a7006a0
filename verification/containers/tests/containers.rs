//! docker-compose.yml and the image with everything, built by the Dockerfile and used as a user
//! uses them.

use std::process::Command;

use containers::all_in_one::AllInOne;
use containers::composition::{Composition, PLAIN};
use containers::confinement;
use containers::docker::{docker, inside, inspect, kill_inside, told_inside};
use containers::gateway::{Accepted, Gateway};
use serde_json::json;
use testkit::{PATIENCE, wait};

/// Long enough that a call is still waiting when something is done at once after it.
const LATER: [(&str, &str); 1] = [("async-delay", "5s")];

/// What `sluice dead` ends with where no letter matches.
const NO_LETTER: i32 = 3;

/// What the container with everything has besides its gateway: Envoy's admin interface, the Stream,
/// the function, the drain.
const INSIDE: [u16; 4] = [9901, 8090, 8080, 10_001];

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
    let composition = Composition::new(PLAIN, "compose");
    composition.build();
    composition.up();
    let gateway = Gateway::at(composition.port("gateway"));
    gateway.makes_calls();

    for service in composition.services() {
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
    let composition = Composition::new(PLAIN, "all-in-one");
    composition.build_all_in_one();
    let image = composition.all_in_one();
    let container = AllInOne::run(&image);
    let name = container.name();
    let gateway = Gateway::at(container.port());
    gateway.makes_calls();
    let dead = inside(name, "sluice dead list --endpoint http://127.0.0.1:8090");
    let said = String::from_utf8_lossy(&dead.stderr);
    assert_eq!(dead.status.code(), Some(NO_LETTER), "{said}");
    nobody_outside_reaches_what_is_inside(&image, &container);

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

/// Neither from another container of its network, nor by what a caller asks the gateway for.
fn nobody_outside_reaches_what_is_inside(image: &str, container: &AllInOne) {
    let name = container.name();
    let reaches = |port: u16| {
        let script = format!("exec 3<>/dev/tcp/{name}/{port}");
        let run = ["run", "--rm", "--network", name, "--entrypoint", "bash"];
        let mut command = Command::new("docker");
        command.args(run).args([image, "-c", &script]);
        command.status().is_ok_and(|status| status.success())
    };
    assert!(reaches(10_000));
    let gateway = Gateway::at(container.port());
    for port in INSIDE {
        assert!(!reaches(port), "{port}");
        for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0", name] {
            for option in ["async-target", "async-reply-to", "async-failure-to"] {
                let url = format!("http://{host}:{port}/quitquitquit");
                let answer = gateway.ask("/out", &[(option, &url)]);
                assert!((400..500).contains(&answer.status), "{url}: {answer:?}");
            }
        }
        // A host is no address: every route leads to the function.
        let host = format!("127.0.0.1:{port}");
        let call = gateway.accept("/config_dump", &[("host", &host)]);
        let _arrived = gateway.wait_for(&call, "/config_dump");
    }
}

fn orphans_are_collected(container: &str) {
    let _left = told_inside(container, "(sleep 0 &)");
    let is_collected = || {
        let dead = "grep --files-with-matches '^State:.Z' /proc/[0-9]*/status";
        !inside(container, dead).status.success()
    };
    assert!(wait::until(PATIENCE, is_collected), "zombies are left");
}
