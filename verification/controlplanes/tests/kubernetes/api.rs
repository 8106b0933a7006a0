//! The real kube-apiserver takes every manifest, and Helm's releases with them.

use std::fs;

use controlplanes::kubernetes::server::Server;
use controlplanes::kubernetes::{Programs, chart};
use controlplanes::network::{self, Role};
use provision::Project;
use provision::tools::Tools;

use super::{programs, rendered_file, said, shipped};

#[test]
fn the_real_api_takes_the_chart_and_what_we_ship() {
    let Some(programs) = programs() else { return };
    Tools::for_tests(&Project::here()).unwrap();
    if network::own("api::the_real_api_takes_the_chart_and_what_we_ship") == Role::Outside {
        return;
    }
    let server = Server::start(&programs, "chart");
    for namespace in [chart::NAMESPACE, "istio-system", "edge"] {
        server.done(&["create", "namespace", namespace]);
    }
    every_manifest_is_taken(&programs, &server);
    a_mistake_is_refused(&server);
    releases_come_and_go(&server);
    keys_are_made_once(&server);
}

fn every_manifest_is_taken(programs: &Programs, server: &Server) {
    let values = chart::values();
    let rendered = values.iter();
    let rendered = rendered.map(|(name, values)| rendered_file(programs, name, values));
    for file in shipped().into_iter().chain(rendered) {
        server.done(&[
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            file.to_str().unwrap(),
        ]);
    }
}

/// What judges finds what is wrong.
fn a_mistake_is_refused(server: &Server) {
    let right = Project::here().root().join("deploy/istio/sluice.yaml");
    let right = fs::read_to_string(right).unwrap();
    let wrong = right.replace("      patch:\n", "      patched:\n");
    assert_ne!(right, wrong);
    let file = Project::here().target().join("kubernetes/wrong.yaml");
    fs::write(&file, wrong).unwrap();
    let arguments = ["apply", "--dry-run=server", "-f", file.to_str().unwrap()];
    let output = server.kubectl(&arguments);
    assert!(!output.status.success());
    assert!(said(&output).contains("patched"), "{}", said(&output));
}

/// Runs Helm for a release in the namespace of all releases here.
fn helm(server: &Server, arguments: &[&str]) -> String {
    let namespace = ["--namespace", chart::NAMESPACE];
    let output = server.helm(&[arguments, &namespace].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn releases_come_and_go(server: &Server) {
    let folder = chart::folder();
    let folder = folder.to_str().unwrap();
    for (name, values) in chart::values() {
        let values = ["--values", values.to_str().unwrap()];
        let notes = helm(
            server,
            &[&["install", "sluice", folder], &values[..]].concat(),
        );
        assert!(notes.contains("Prefer: respond-async"), "{notes}");
        let more = [
            "--set",
            "streamServer.logLevel=debug,gateway.logLevel=debug",
        ];
        let upgrade = ["upgrade", "sluice", folder];
        helm(server, &[&upgrade, &values[..], &more].concat());
        let changed = server.done(&[
            "get",
            "configmaps,deployments",
            "--output",
            "jsonpath={.items[*].data.config\\.json}\
             {.items[*].spec.template.spec.containers[*].args}",
        ]);
        assert!(changed.contains("\"debug\""), "{name}: {changed}");
        helm(server, &["uninstall", "sluice"]);
    }
}

/// Made keys stay through upgrades, and when the release is made anew.
fn keys_are_made_once(server: &Server) {
    let folder = chart::folder();
    let folder = folder.to_str().unwrap();
    let values = &chart::values()["standalone-full"];
    let values = ["--values", values.to_str().unwrap()];
    let keys = || {
        let data = "jsonpath={.data}";
        server.done(&["get", "secret", "calls-keys", "--output", data])
    };
    let first = keys();
    assert!(first.contains("SLUICE_SEAL_KEYS"), "{first}");
    helm(
        server,
        &[&["install", "sluice", folder], &values[..]].concat(),
    );
    helm(
        server,
        &[&["upgrade", "sluice", folder], &values[..]].concat(),
    );
    assert_eq!(keys(), first);
    server.done(&["delete", "secret", "calls-keys"]);
    let upgrade = [&["upgrade", "sluice", folder], &values[..]].concat();
    let output = server.helm(&[&upgrade[..], &["--namespace", chart::NAMESPACE]].concat());
    assert!(!output.status.success());
    assert!(said(&output).contains("with new keys"), "{}", said(&output));
}
