//! The Terraform module is HCL, and uses only what it declares. Neither Terraform nor Oracle's
//! provider is needed for this, so it doesn't show whether they take it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;

use hcl::Body;
use provision::Project;

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
