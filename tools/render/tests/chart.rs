//! The Helm chart's table of values has them all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;

fn read(file: &str) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/sluice");
    std::fs::read_to_string(chart.join(file)).unwrap()
}

/// Objects that are values as a whole.
const WHOLE: [&str; 3] = [
    "gateway.resources",
    "streamServer.resources",
    "istio.labels",
];

/// The paths of all values.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(members) if !members.is_empty() && !WHOLE.contains(&path) => {
            for (name, value) in members {
                let below = format!("{path}.{name}");
                paths(value, below.trim_start_matches('.'), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// The names in a row's first column: those after the first stand in its section, and `*` is
/// everything in one.
fn named(row: &str) -> Vec<String> {
    let cell = row.split('|').nth(1).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for name in cell.split('`').skip(1).step_by(2) {
        let section = names.first().and_then(|first| first.rsplit_once('.'));
        names.push(match section {
            Some((section, _)) => format!("{section}.{name}"),
            None => name.to_owned(),
        });
    }
    names
}

#[test]
fn the_charts_table_has_every_value() {
    let values: Value = yaml_serde::from_str(&read("values.yaml")).unwrap();
    let mut found = Vec::new();
    paths(&values, "", &mut found);
    assert!(found.len() > 60);
    let readme = read("README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let names: Vec<String> = rows.flat_map(named).collect();
    let is_named = |path: &String| {
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(section) => path.starts_with(section),
            None => path == name,
        })
    };
    let missing: Vec<_> = found.iter().filter(|path| !is_named(path)).collect();
    assert!(missing.is_empty(), "the README lacks {missing:?}");
}
