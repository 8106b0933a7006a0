//! The bugs on purpose of both simulations still fit the sources, so that
//! `cargo xtask sim --mutations` can make them, and the documentation lists all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The simulations, and the head of each one's table.
const SIMULATIONS: [(&str, &str); 2] = [
    ("sim", "| mutation | found as | runs |\n"),
    ("sim-fronts", "| mutation of fronts | found as | runs |\n"),
];

/// Returns all patches of a simulation, sorted by name.
fn patches(simulation: &str) -> Vec<PathBuf> {
    let folder = root()
        .join("verification")
        .join(simulation)
        .join("mutations");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut patches: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    patches.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "patch")
    });
    patches.sort();
    assert!(patches.len() >= 10, "there are {}", patches.len());
    patches
}

#[test]
fn every_mutation_applies() {
    let all = SIMULATIONS.map(|(simulation, _)| patches(simulation));
    for patch in all.concat() {
        // Outside of any repository: what counts is what the files contain.
        let applied = Command::new("git")
            .current_dir(root())
            .env("GIT_DIR", root().join("target/no-repository"))
            .args(["apply", "--check"])
            .arg(&patch)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&applied.stderr);
        assert!(applied.status.success(), "{}: {said}", patch.display());
    }
}

#[test]
fn the_documentation_lists_every_mutation() {
    let page = std::fs::read_to_string(root().join("docs/simulation.md")).unwrap();
    for (simulation, head) in SIMULATIONS {
        let (_, table) = page.split_once(head).unwrap();
        let rows = table
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with("| "));
        let name = |row: &str| row.split('|').nth(1).map(|cell| cell.trim().to_owned());
        let listed: Vec<String> = rows.filter_map(name).collect();
        let name = |path: &PathBuf| {
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let there: Vec<String> = patches(simulation).iter().filter_map(name).collect();
        assert_eq!(listed, there);
    }
}
