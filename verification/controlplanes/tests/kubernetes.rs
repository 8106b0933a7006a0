//! The Helm chart: what it renders is what `sluice render` writes, Kubernetes' own API takes it,
//! and a real Envoy carries calls with it. What a test needs is built from Go's modules; without Go
//! there is nothing to see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "kubernetes/api.rs"]
mod api;
#[path = "kubernetes/carries.rs"]
mod carries;
#[path = "kubernetes/same.rs"]
mod same;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use controlplanes::kubernetes::{Programs, chart};
use controlplanes::written::documents;
use provision::Project;
use serde_json::Value;

fn programs() -> Option<Programs> {
    let programs = Programs::provide();
    if programs.is_none() {
        eprintln!("skipped: there is no Go here to build Helm and Kubernetes' API with");
    }
    programs
}

/// What a program has said, on both of its outputs.
fn said(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn helm_has_nothing_to_say_against_it() {
    let Some(programs) = programs() else { return };
    for (name, values) in chart::values() {
        let mut command = Command::new(&programs.helm);
        command.args(["lint", "--strict", "--kube-version", "1.36.3", "--values"]);
        let output = command.arg(&values).arg(chart::folder()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
}

#[test]
fn the_charts_own_tests_pass() {
    let Some(programs) = programs() else { return };
    let mut command = Command::new(&programs.unittest);
    let output = command.arg(chart::folder()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// What people look at: without what `sluice render` has written, which other tests hold, its
/// checksum, and keys that are made anew each time.
fn compared(rendered: &str) -> String {
    let documents = rendered.split("\n---\n");
    let is_ours = |document: &&str| !document.contains("/templates/control-plane.yaml\n");
    let text = documents
        .filter(is_ours)
        .collect::<Vec<_>>()
        .join("\n---\n");
    let mut is_config = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        is_config &= line.trim().is_empty() || line.starts_with("    ");
        let name = line.trim_start().split(':').next().unwrap_or_default();
        let changes = ["SLUICE_SEAL_KEYS", "SLUICE_CALLER_KEY", "checksum/config"];
        if !is_config && !changes.contains(&name) {
            lines.push(line);
        }
        is_config |= line == "  envoy.yaml: |";
    }
    lines.join("\n") + "\n"
}

/// What the chart makes of each file of values, for people who review a change of it.
/// `UPDATE_DOCUMENTS=1` writes them anew.
#[test]
fn what_it_renders_has_not_changed_unseen() {
    let Some(programs) = programs() else { return };
    let folder = "verification/controlplanes/kubernetes/golden";
    let folder = Project::here().root().join(folder);
    for (name, values) in chart::values() {
        let rendered = compared(&chart::with(&programs, &values));
        let golden = folder.join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&golden, &rendered).unwrap();
        }
        let written = fs::read_to_string(&golden).unwrap_or_default();
        let golden = golden.display();
        assert!(
            rendered == written,
            "{golden}: UPDATE_DOCUMENTS=1 writes it"
        );
    }
}

/// Every manifest that we ship.
fn shipped() -> Vec<PathBuf> {
    let deploy = Project::here().root().join("deploy");
    let folders = [deploy.join("istio"), deploy.join("envoy-gateway")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// Writes what the chart renders with a file of values, and returns where.
fn rendered_file(programs: &Programs, name: &str, values: &Path) -> PathBuf {
    let folder = Project::here().target().join("kubernetes/rendered");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.yaml"));
    fs::write(&file, chart::with(programs, values)).unwrap();
    file
}

#[test]
fn every_document_is_one_that_kubernetes_knows() {
    let Some(programs) = programs() else { return };
    let values = chart::values();
    let rendered = values
        .iter()
        .map(|(name, values)| rendered_file(&programs, name, values));
    for file in shipped().into_iter().chain(rendered) {
        let count = documents(&fs::read_to_string(&file).unwrap()).len();
        assert_eq!(programs.judge.taken(&file), count, "{}", file.display());
        assert!(count > 0, "{}", file.display());
    }
}

#[test]
fn values_that_are_wrong_are_refused_with_a_word() {
    let Some(programs) = programs() else { return };
    let least = chart::values().remove("standalone").unwrap();
    let refused = |set: &str| {
        let arguments = ["--values", least.to_str().unwrap(), "--set", set];
        match chart::template(&programs, &arguments) {
            Ok(_) => panic!("{set} was taken"),
            Err(why) => why,
        }
    };
    for (set, word) in [
        ("mode=sidecar", "standalone"),
        ("gateway.replicaCount=3", "'replicaCount' not allowed"),
        ("gateway.securityContext.privileged=true", "not allowed"),
        ("gateway.image.digest=latest", "/gateway/image/digest"),
        ("function.url=https://a.example", "/function/url"),
        ("function.url=http://a:1\nadmin:", "/function/url"),
        ("istio.namespace=on", "/istio/namespace"),
        ("service.port=0", "/service/port"),
        ("secrets.variables={LD_PRELOAD}", "/secrets/variables"),
        ("streamServer.access=open", "/streamServer/access"),
        ("streamServer.access=", "streamServer.access: is required"),
        ("secrets.existingSecret=", "secrets: set existingSecret"),
        ("imageRegistry=", "imageRegistry: is required"),
        (
            "networkPolicy.enabled=false",
            "networkPolicy.enabled: must be true",
        ),
        ("stream.kafka.brokers=a", "/stream/kafka/brokers"),
        ("stream.kafka.password=a", "'password' not allowed"),
        ("stream.kafka.enabled=true", "kafka.brokers: is required"),
        ("stream.oci.enabled=true", "oci.endpoint: is required"),
        ("stream.oci.calls=a\"b", "/stream/oci/calls"),
        (
            "stream.oci.endpoint=https://a.example",
            "/stream/oci/endpoint",
        ),
        ("stream.oci.lanes[0].delayMs=5", "/stream/oci/lanes/0"),
        ("config=static_resources: {}", "has no listener gateway"),
    ] {
        let why = refused(set);
        assert!(why.contains(word), "{set}: {why}");
    }
}

/// The value at a pointer of a document.
fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    let found = document.pointer(pointer);
    found.unwrap_or_else(|| panic!("nothing at {pointer} of {document:#}"))
}
