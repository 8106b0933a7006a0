//! A real Envoy and a real stream server run what the chart gives to their pods. Only paths, ports
//! and addresses are this machine's.

use std::fs;
use std::process::Command;

use controlplanes::calls;
use controlplanes::kubernetes::chart;
use local_gateway::ports;
use local_gateway::render::{egress, merge_patch};
use provision::Project;
use provision::dist::Variant;
use provision::tools::Tools;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};
use testkit::http1::{Request, exchange};
use wasm_tests::gateway::Gateway;
use wasm_tests::sluice;
use wasm_tests::target::Target;

use super::{at, programs, said};

/// What a pod has that this machine has elsewhere.
struct Places {
    gateway: u16,
    admin: u16,
    drain: u16,
    probe: u16,
    stream: u16,
    function: u16,
}

/// Puts this machine's places into the configuration that Envoy gets in its pod.
fn on_this_machine(config: &mut Value, places: &Places, filter: &str) {
    let listeners = [
        ("gateway", places.gateway),
        ("drain", places.drain),
        ("probe", places.probe),
    ];
    let clusters = [
        ("stream", places.stream),
        ("function", places.function),
        ("drain", places.drain),
        ("admin", places.admin),
    ];
    let here = |port: u16| json!({ "address": "127.0.0.1", "port_value": port });
    config["admin"]["address"]["socket_address"] = here(places.admin);
    for (name, port) in listeners {
        let listener = named(config, "/static_resources/listeners", name);
        listener["address"]["socket_address"] = here(port);
    }
    for (name, port) in clusters {
        let cluster = named(config, "/static_resources/clusters", name);
        let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
        cluster.pointer_mut(endpoint).unwrap()["socket_address"] = here(port);
    }
    let text = config.to_string();
    let text = text.replace("/etc/envoy/sluice.wasm", filter);
    *config = serde_json::from_str(&text).unwrap();
    config["stats_flush_interval"] = json!("1s");
}

fn named<'a>(config: &'a mut Value, list: &str, name: &str) -> &'a mut Value {
    let all = config.pointer_mut(list).unwrap().as_array_mut().unwrap();
    let found = all.iter_mut().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// Starts what the chart renders.
fn start(name: &str, rendered: &str, target: Target, egress_here: bool) -> (Gateway, Places) {
    let local = provision::Programs::for_tests(&Project::here(), Variant::Shipped).unwrap();
    let map = chart::find(rendered, "ConfigMap", "sluice");
    let text = at(&map, "/data/envoy.yaml").as_str().unwrap();
    // Anchors and all, as Envoy reads it.
    let mut config: Value = yaml_serde::from_str(text).unwrap();
    let server = chart::find(rendered, "ConfigMap", "sluice-stream-server");
    let settings = at(&server, "/data/config.json").as_str().unwrap();
    let file = Project::here().target().join("kubernetes");
    fs::create_dir_all(&file).unwrap();
    let file = file.join(format!("{name}.config.json"));
    fs::write(&file, settings).unwrap();
    let [gateway, admin, drain, probe, stream] = [(); 5].map(|()| ports::free().unwrap());
    let places = Places {
        gateway,
        admin,
        drain,
        probe,
        stream,
        function: target.port(),
    };
    on_this_machine(&mut config, &places, local.filter.to_str().unwrap());
    if egress_here {
        egress::allow_loopback(&mut config).unwrap();
    }
    let gateway = Gateway::with(name, target, |builder| {
        builder
            .gateway_port(places.gateway)
            .admin_port(places.admin)
            .stream_port(places.stream)
            .drain_port(places.drain)
            .streams(&[])
            // `--data` and `--listen` win over the file.
            .stream_server_arguments(["--config".into(), file.into_os_string()])
            .edit(move |changed| {
                *changed = config;
                Ok(())
            })
    });
    (gateway, places)
}

#[test]
fn the_charts_own_configuration_carries_calls() {
    let Some(programs) = programs() else { return };
    let rendered = chart::with(&programs, &chart::values()["standalone"]);
    let (mut gateway, places) = start("chart-own", &rendered, calls::target(), false);
    gateway.set.wait_until_draining().unwrap();
    let checked = sluice::run(&["check", "--gateway", &gateway.set.gateway_url()]);
    assert!(checked.expect(0).out.contains("the filter has answered"));
    calls::the_target_sees_the_request(&gateway);
    calls::large_contents_pass(&gateway);
    calls::odd_paths_are_the_same_or_refused(&gateway);
    calls::a_deferred_call_waits_on_a_lane(&gateway);
    calls::what_is_not_allowed_is_refused(&gateway);
    calls::nobody_outside_looks_like_a_call(&gateway);
    gateway.wait_until_settled();
    only_two_pages_of_the_admin_interface_are_reached(&places);
    a_pod_ends_by_its_command(&rendered, &gateway, &places);
}

#[test]
fn a_configuration_of_your_own_carries_every_kind_of_call() {
    let Some(programs) = programs() else { return };
    let hooks = Target::start();
    let inputs = Project::here().root().join("deploy/inputs");
    let yaml = fs::read_to_string(inputs.join("helm.standalone.yaml")).unwrap();
    let mut input: Value = yaml_serde::from_str(&yaml).unwrap();
    merge_patch(&mut input, &calls::input(&hooks));
    let quick = json!({ "replies": { "paths": ["/inbox"] },
        "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 } });
    merge_patch(&mut input, &quick);
    let input = Input::from_value(input, &inputs, Form::newest(Host::Compose)).unwrap();
    let config = render(&input, None, None).unwrap();
    let base = fs::read_to_string(&chart::values()["standalone"]).unwrap();
    let rendered = chart::with_text(&programs, "own", &base, Some(&config)).unwrap();
    let (mut gateway, _) = start("chart-given", &rendered, calls::target(), true);
    gateway.set.wait_until_draining().unwrap();
    calls::all(&gateway, &hooks);
}

/// Before Kafka the stream server takes the file that it gets in its pod, with the arguments there.
#[test]
fn the_configuration_before_kafka_is_right() {
    let Some(programs) = programs() else { return };
    let local = Tools::for_tests(&Project::here()).unwrap();
    for (name, tls) in [("standalone-kafka", true), ("envoy-gateway-kafka", false)] {
        let rendered = chart::with(&programs, &chart::values()[name]);
        let map = chart::find(&rendered, "ConfigMap", "sluice-stream-server");
        let settings = at(&map, "/data/config.json").as_str().unwrap();
        let file = Project::here().target().join("kubernetes");
        fs::create_dir_all(&file).unwrap();
        let file = file.join(format!("{name}.config.json"));
        fs::write(&file, settings).unwrap();
        let read: Value = serde_json::from_str(settings).unwrap();
        assert_eq!(at(&read, "/kafka/tls"), tls);
        let deployment = chart::find(&rendered, "Deployment", "sluice-stream-server");
        let container = at(&deployment, "/spec/template/spec/containers/0");
        let arguments = at(container, "/args").as_array().unwrap().iter();
        let arguments = arguments.map(|word| match text(word) {
            "/etc/stream-server/config.json" => file.display().to_string(),
            word => word.replace("$(POD_IP)", "10.0.0.7"),
        });
        let mut command = Command::new(&local.stream_server);
        let checked = command.args(arguments).arg("--check").output().unwrap();
        assert!(checked.status.success(), "{name}: {}", said(&checked));
    }
}

/// The probe's port is open to other pods: it shows whether Envoy is ready and its metrics, and
/// nothing can be done by it.
fn only_two_pages_of_the_admin_interface_are_reached(places: &Places) {
    let status =
        |method: &str, path: &str| exchange(places.probe, &Request::new(method, path)).status;
    assert_eq!(status("GET", "/ready"), 200);
    let metrics = exchange(places.probe, &Request::new("GET", "/stats/prometheus"));
    let metrics = String::from_utf8_lossy(&metrics.message.body).into_owned();
    assert!(metrics.contains("sluice_"), "{metrics}");
    for (method, path) in [
        ("POST", "/ready"),
        ("POST", "/stats/prometheus"),
        ("GET", "/"),
        ("GET", "/config_dump"),
        ("GET", "/stats"),
        ("GET", "/ready/../config_dump"),
        ("GET", "/ready%2F..%2Fconfig_dump"),
        ("POST", "/quitquitquit"),
        ("POST", "/healthcheck/fail"),
    ] {
        assert_eq!(status(method, path), 404, "{method} {path}");
    }
}

/// The command of `preStop`, which ends once the drain has left its groups.
fn a_pod_ends_by_its_command(rendered: &str, gateway: &Gateway, places: &Places) {
    let deployment = chart::find(rendered, "Deployment", "sluice");
    let container = at(&deployment, "/spec/template/spec/containers/0");
    let command = at(container, "/lifecycle/preStop/exec/command");
    let words: Vec<&str> = command.as_array().unwrap().iter().map(text).collect();
    assert_eq!(words[..3], ["sluice", "leave", "--admin"]);
    let admin = words[3].replace(":9901", &format!(":{}", places.admin));
    let _left = sluice::run(&[&["leave", "--admin", &admin], &words[4..]].concat()).expect(0);
    let ready = exchange(places.probe, &Request::new("GET", "/ready"));
    assert_eq!(ready.status, 503);
    // It still answers who has not yet learnt of it.
    let late = gateway.exchange(&Request::new("GET", "/late"));
    assert_eq!(late.status, 200);
}

fn text(word: &Value) -> &str {
    word.as_str().unwrap()
}
