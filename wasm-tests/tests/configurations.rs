//! Every configuration that we ship is one that Envoy takes, what stands in two places is the same,
//! and a wrong one is refused with all of its mistakes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use local_gateway::LocalSet;
use local_gateway::render::{UnfilteredTargets, for_envoy};
use provision::dist::Variant;
use provision::{Programs, Project};
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};
use testkit::tls::Authority;

/// Returns every file in `envoy/`.
fn configurations() -> Vec<PathBuf> {
    let folder = Project::here().root().join("envoy");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// What an Envoy says of a file that it should use.
fn validate(project: &Project, programs: &Programs, file: &Path) -> Output {
    let mut command = Command::new(&programs.envoy);
    // Where an operator starts it: paths are relative to the root.
    command
        .current_dir(project.root())
        .args(["--mode", "validate", "--config-path"]);
    // The key whose fingerprint stands in the one for Oracle's service.
    let key = project.root().join("tests/keys/rsa-2048-pkcs8.pem");
    command.env("OCI_PRIVATE_KEY", fs::read_to_string(key).unwrap());
    command.arg(file).output().unwrap()
}

fn insist(file: &Path, output: &Output) {
    let log = String::from_utf8_lossy(&output.stderr);
    let log: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains("server.cc"))
        .collect();
    assert!(
        output.status.success(),
        "{}\n{}",
        file.display(),
        log.join("\n")
    );
}

#[test]
fn envoy_takes_every_configuration() {
    let project = Project::here();
    let programs = Programs::for_tests(&project, Variant::Shipped).unwrap();
    let folder = project.target().join("local-sets/for-envoy");
    fs::create_dir_all(&folder).unwrap();
    for file in configurations() {
        let taken = validate(&project, &programs, &file);
        let as_it_stands: Value =
            yaml_serde::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for unfiltered in [UnfilteredTargets::Refused, UnfilteredTargets::Accepted] {
            let mut config = as_it_stands.clone();
            for_envoy(&mut config, programs.envoy_version, unfiltered).unwrap();
            if config == as_it_stands {
                insist(&file, &taken);
                continue;
            }
            // What was taken out has to be what this Envoy doesn't know.
            assert!(!taken.status.success(), "{}", file.display());
            let name = file.file_stem().unwrap().to_str().unwrap();
            let rendered = folder.join(format!("{name}-{unfiltered:?}.json"));
            fs::write(&rendered, config.to_string()).unwrap();
            insist(&rendered, &validate(&project, &programs, &rendered));
        }
    }
}

#[test]
fn envoy_takes_what_each_principal_asks() {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let project = Project::here();
    let programs = Programs::for_tests(&project, Variant::Shipped).unwrap();
    let envoy = programs.envoy_version.to_string().parse().unwrap();
    let inputs = project.root().join("deploy/inputs");
    let folder = project.target().join("local-sets/for-principals");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("token"), "token").unwrap();
    fs::write(folder.join("ca.crt"), Authority::new().pem()).unwrap();
    let mut taken = 0;
    for name in ["instance", "resource", "workload"] {
        for host in [Host::EnvoyOci, Host::Sidecar, Host::Compose] {
            let yaml = fs::read_to_string(inputs.join(format!("{name}.yaml"))).unwrap();
            let yaml = format!("module: {}\n{yaml}", programs.filter.display());
            let input = match Input::from_yaml(&yaml, &inputs, Form { host, envoy }) {
                Ok(input) => input,
                Err(mistakes) => {
                    let is_old = mistakes.to_string().contains("resource needs Envoy 1.38");
                    assert!(name == "resource" && is_old, "{name}: {mistakes}");
                    continue;
                }
            };
            let text = render(&input, Some(name), None).unwrap();
            // A pod's files; Envoy looks for them at once.
            let text = text.replace(ACCOUNT, folder.to_str().unwrap());
            let file = folder.join(format!("{name}-{host}.yaml"));
            fs::write(&file, text).unwrap();
            insist(&file, &validate(&project, &programs, &file));
            taken += 1;
        }
    }
    assert!([6, 9].contains(&taken));
}

#[test]
fn plugin_configurations_stand_in_filter_config_too() {
    let mut count = 0;
    for file in configurations() {
        let text = fs::read_to_string(&file).unwrap();
        let config: Value = yaml_serde::from_str(&text).unwrap();
        let mut plugins = Vec::new();
        collect_plugins(&config, &mut plugins);
        for (name, inlined) in plugins {
            let own = own_file(&file, &name);
            let text = fs::read_to_string(&own);
            let text = text.unwrap_or_else(|error| panic!("{}: {error}", own.display()));
            let (file, own) = (file.display(), own.display());
            let expected: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(inlined, expected, "{file} and {own}");
            count += 1;
        }
    }
    assert!(count >= 7);
}

/// Returns where the settings stand in `filter-config/` too: those of `envoy/gateway.yaml` in
/// `ROLE.local.json`, of any `envoy/gateway.NAME.yaml` in `ROLE.NAME.json`, of `envoy/sidecar.yaml`
/// in `ROLE.sidecar.json`, and there those of a plugin `sluice.ROLE.MORE` in
/// `ROLE.sidecar.MORE.json`.
fn own_file(file: &Path, plugin: &str) -> PathBuf {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let name = match stem.split_once('.') {
        Some((_, name)) => name,
        None if stem == "gateway" => "local",
        None => stem,
    };
    let name = match plugin.split_once('.') {
        Some((role, more)) => format!("{role}.{name}.{more}.json"),
        None => format!("{plugin}.{name}.json"),
    };
    Project::here().root().join("filter-config").join(name)
}

/// Finds what our plugins are told, wherever it stands: the plugin's name without `sluice.`, and
/// its settings.
fn collect_plugins(value: &Value, found: &mut Vec<(String, Value)>) {
    let is_ours = value.get("root_id").is_some();
    let name = value.get("name").and_then(Value::as_str);
    let name = name.and_then(|name| name.strip_prefix("sluice."));
    if let Some(name) = name.filter(|_| is_ours) {
        let settings = value
            .pointer("/configuration/value")
            .and_then(Value::as_str);
        let settings = serde_json::from_str(settings.unwrap()).unwrap();
        found.push((name.to_owned(), settings));
    }
    let inner: Vec<&Value> = match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for value in inner {
        collect_plugins(value, found);
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_all_mistakes() {
    let accept = LocalSet::builder()
        .name("wrong-accept")
        .accept_patch(json!({
            "stream": { "cluster": null, "streamId": 7 },
            "publish": { "timeoutMs": 1, "batchRecords": 2.5 },
            "typo": {},
        }));
    let drain = LocalSet::builder().name("wrong-drain").drain_patch(json!({
        "deadLetters": null,
        "window": { "inFlight": 0, "calls": 1e10 },
        "attempt": [],
    }));
    for (builder, mistakes) in [
        (
            accept,
            &[
                "5 mistake(s)",
                "$.stream.cluster: is required",
                "$.stream.streamId: must be a string",
                "$.publish.timeoutMs: must be a whole number from 100 to 60000",
                "$.publish.batchRecords: must be a whole number from 1 to 1000",
                "$.typo: is not a known key; known are stream, ",
            ][..],
        ),
        (
            drain,
            &[
                "4 mistake(s)",
                "$.deadLetters.streamId: is required",
                "$.window.inFlight: must be a whole number from 1 to 10000",
                "$.window.calls: must be a whole number from 1 to 100000",
                "$.attempt: must be a JSON object",
            ],
        ),
    ] {
        let error = format!("{:#}", builder.start().unwrap_err());
        assert!(error.contains("Envoy ended while it started"), "{error}");
        for mistake in mistakes {
            assert!(error.contains(mistake), "{mistake} is missing in\n{error}");
        }
    }
}
