//! Configurations with mistakes, each with what the operator is told.

use std::collections::BTreeSet;

use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::Document;
use sluice::drain::config::DrainConfig;

use super::{file, read, settle};

const FOLDER: &str = "filter-config/invalid";

fn message<D: Document>(json: &str) -> Option<String> {
    let error = D::from_json(json.as_bytes()).err()?;
    Some(format!("{error}\n"))
}

#[test]
fn wrong_configurations_are_refused_with_the_messages_beside_them() {
    let entries = std::fs::read_dir(file(FOLDER)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = names.collect();
    let documents: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".json"))
        .collect();
    assert!(documents.len() >= 12, "{documents:?}");
    for name in &documents {
        let json = read(&format!("{FOLDER}/{name}.json"));
        let (_, role) = name.rsplit_once('.').unwrap();
        let message = match role {
            "accept" => message::<AcceptConfig>(&json),
            "drain" => message::<DrainConfig>(&json),
            "answer" => message::<AnswerConfig>(&json),
            _ => panic!("{name}: {role} is not a role"),
        };
        let message = message.unwrap_or_else(|| panic!("{name} is valid"));
        settle(&format!("{FOLDER}/{name}.txt"), &message);
    }
    for name in names.iter().filter_map(|name| name.strip_suffix(".txt")) {
        assert!(documents.contains(&name), "{name}.txt has no document");
    }
}
