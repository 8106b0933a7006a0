//! Who may use whom. Each tree of `src/` has its place in one table, and nothing is used from
//! above. No two files of a package use each other, be it the filter or one of its tools.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The trees of `src/`, from the lowest layer to the highest. A tree may use those of lower layers.
const LAYERS: [&[&str]; 8] = [
    &["time", "limits", "metric", "call_option", "backoff"],
    &["id", "time_text", "http", "headers"],
    &["caller", "lanes", "receipt", "stream"],
    &["idempotency"],
    &["record", "engine"],
    &["egress", "principal", "reply"],
    &["accept", "drain", "answer"],
    &["config", "host"],
];

/// Trees of one layer that use another one of it.
const BESIDE: [(&str, &str); 1] = [("host", "config")];

/// Returns every file of a package's `src/` by the path of its module, and what its code, without
/// its tests, uses.
fn uses(package: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let root = package.join("src");
    let mut pending = vec![root.clone()];
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(entries(&path));
            continue;
        }
        let name = path.strip_prefix(&root).unwrap().with_extension("");
        let name = name.to_str().unwrap().replace('/', "::");
        let name = name.strip_suffix("::mod").unwrap_or(&name).to_owned();
        let is_test = name.split("::").any(|part| part.ends_with("tests"));
        if !is_test && name != "lib" && name != "main" {
            files.insert(name, path);
        }
    }
    let read = |(name, path): (&String, &PathBuf)| {
        let text = std::fs::read_to_string(path).unwrap();
        (name.clone(), used_by(name, &text, &files))
    };
    files.iter().map(read).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn filter() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folders of all packages: at the top, or in a folder there.
fn packages() -> Vec<PathBuf> {
    let is_target = |path: &PathBuf| path.ends_with("target") || path.ends_with("src");
    let folders = entries(filter()).into_iter();
    let top: Vec<_> = folders
        .filter(|path| path.is_dir() && !is_target(path))
        .collect();
    let below = top.iter().flat_map(|folder| entries(folder));
    let all = below.chain(top.clone()).chain([filter().to_owned()]);
    all.filter(|folder| folder.join("Cargo.toml").is_file() && folder.join("src").is_dir())
        .collect()
}

/// Returns the files that the code of a module names by `crate::` or `super::`.
fn used_by(name: &str, text: &str, files: &BTreeMap<String, PathBuf>) -> BTreeSet<String> {
    let code = text.split("\n#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let above = name.rsplit_once("::").map_or("", |(above, _)| above);
    let mut used = BTreeSet::new();
    for (start, base) in [("crate::", ""), ("super::", above)] {
        for piece in code.split(start).skip(1) {
            let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
            let end = piece.find(|character| !is_path(character));
            let end = end.unwrap_or(piece.len());
            let (path, behind) = piece.split_at(end);
            let group = behind
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            for last in group.unwrap_or_default().split(',') {
                let last = last.trim().split([':', ' ']).next().unwrap();
                let whole = format!("{base}::{path}::{last}");
                let parts: Vec<&str> = whole.split("::").filter(|part| !part.is_empty()).collect();
                let known = (1..=parts.len())
                    .rev()
                    .map(|count| parts[..count].join("::"));
                used.extend(known.into_iter().find(|path| files.contains_key(path)));
            }
        }
    }
    used.remove(name);
    used
}

fn tree(module: &str) -> &str {
    module.split("::").next().unwrap()
}

fn layer(tree: &str) -> usize {
    let found = LAYERS.iter().position(|trees| trees.contains(&tree));
    found.unwrap_or_else(|| panic!("{tree} has no place in the table of layers"))
}

#[test]
fn nothing_is_used_from_above() {
    let uses = uses(filter());
    assert!(uses.len() > 60, "the sources were not found");
    let mut wrong = Vec::new();
    for (user, used) in uses {
        for used in used {
            let (from, to) = (tree(&user), tree(&used));
            if from != to && layer(to) >= layer(from) && !BESIDE.contains(&(from, to)) {
                wrong.push(format!("{user} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "from below:\n  {}", wrong.join("\n  "));
}

#[test]
fn no_two_files_use_each_other() {
    let packages = packages();
    assert!(packages.len() > 10, "the packages were not found");
    for package in packages {
        let uses = uses(&package);
        let circles = circles(&uses);
        let package = package.display();
        assert!(
            circles.is_empty(),
            "in {package} these go round: {circles:#?}"
        );
    }
}

/// Returns the files that use each other, with whatever uses them.
fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<&str, BTreeSet<&str>> {
    // A tree's files extend what its first file defines, so a parent does not make a circle.
    let mut left: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (user, used) in uses {
        let used = used.iter().map(String::as_str);
        let used = used.filter(|used| !user.starts_with(&format!("{used}::")));
        left.insert(user, used.collect());
    }
    loop {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, used)| used.iter().all(|used| !left.contains_key(used)))
            .map(|(user, _)| *user)
            .collect();
        if free.is_empty() {
            return left;
        }
        left.retain(|user, _| !free.contains(user));
    }
}
