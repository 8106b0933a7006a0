//! The Terraform module is HCL, and uses only what it declares. Where Terraform and Oracle's
//! provider are to be had, they judge it too, and plan it for every kind of principal.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hcl::Body;
use provision::Project;
use provision::command::on_path;

const FILES: [&str; 4] = ["main.tf", "outputs.tf", "variables.tf", "versions.tf"];

fn read(name: &str) -> String {
    let folder = Project::here().root().join("deploy/terraform");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The words behind each of these, up to what is no part of a name.
fn behind(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let pieces = text.split(start).skip(1);
    let words = pieces.map(|piece| piece.chars().take_while(|c| is_part(*c)).collect());
    words.collect()
}

/// The labels of all blocks of this kind.
fn declared(kind: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in FILES {
        let body: Body = hcl::parse(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for block in body.blocks().filter(|block| block.identifier() == kind) {
            let labels: Vec<&str> = block.labels().iter().map(|label| label.as_str()).collect();
            found.insert(labels.join("."));
        }
    }
    found
}

#[test]
fn every_variable_and_every_resource_that_is_used_is_declared() {
    let text: String = FILES.map(read).concat();
    assert_eq!(behind(&text, "var."), declared("variable"));
    let resources = declared("resource");
    for resource in &resources {
        let (kind, _) = resource.split_once('.').unwrap();
        let used = behind(&text, &format!("{kind}."));
        let known = |name: &String| resources.contains(&format!("{kind}.{name}"));
        assert!(used.iter().all(known), "{kind}: {used:?}");
    }
    assert_eq!(resources.len(), 4);
}

#[test]
fn every_local_value_that_is_used_is_there() {
    let body: Body = hcl::parse(&read("main.tf")).unwrap();
    let locals = body.blocks().find(|block| block.identifier() == "locals");
    let attributes = locals.unwrap().body().attributes();
    let declared: BTreeSet<String> = attributes.map(|local| local.key().to_owned()).collect();
    assert_eq!(behind(&FILES.map(read).concat(), "local."), declared);
}

fn terraform(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments);
    command
        .env("TF_IN_AUTOMATION", "1")
        .env("CHECKPOINT_DISABLE", "1");
    command.output().unwrap()
}

fn insist(output: &Output) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn terraform_takes_the_module_and_plans_it() {
    let Some(program) = on_path("terraform") else {
        eprintln!("skipped: no Terraform is here");
        return;
    };
    let project = Project::here();
    let module = project.root().join("deploy/terraform");
    let run = |folder: &Path, arguments: &[&str]| terraform(&program, folder, arguments);
    insist(&run(&module, &["fmt", "-check", "-diff", "-recursive"]));
    // It writes beside what it reads.
    let folder = project.target().join("test-terraform");
    let _gone = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("tests")).unwrap();
    for file in FILES.into_iter().chain(["tests/principals.tftest.hcl"]) {
        fs::copy(module.join(file), folder.join(file)).unwrap();
    }
    // An operator's configuration of Terraform may have the provider already.
    if !run(&folder, &["validate"]).status.success() {
        let fetched = run(&folder, &["init", "-backend=false", "-input=false"]);
        let said = String::from_utf8_lossy(&fetched.stderr);
        // Everything else that can be wrong is the module's fault.
        if said.contains("could not connect to") || said.contains("Failed to query available") {
            eprintln!("skipped: Oracle's provider can't be had, so the module was only formatted");
            return;
        }
        insist(&fetched);
        insist(&run(&folder, &["validate"]));
    }
    insist(&run(&folder, &["test"]));
}
