//! The chart with values, as Helm renders it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use provision::Project;
use serde_json::Value;

use super::Programs;
use super::programs::VERSION;
use crate::written::documents;

/// The namespace of every release here.
pub const NAMESPACE: &str = "demo";

/// The chart's folder.
#[must_use]
pub fn folder() -> PathBuf {
    Project::here().root().join("deploy/helm/sluice")
}

/// The files of values with which the chart is tried, by their names without `.values.yaml`.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn values() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(folder().join("ci")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let named = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".values.yaml")?;
        Some((name.to_owned(), path.clone()))
    });
    let all: BTreeMap<_, _> = named.collect();
    assert!(all.len() >= 5, "{all:?}");
    all
}

/// What Helm made of it: what it has rendered, or why it refuses.
pub type Rendered = Result<String, String>;

/// Runs `helm template` with these further arguments.
///
/// # Panics
/// When Helm can't be started.
pub fn template<A: AsRef<std::ffi::OsStr>>(programs: &Programs, arguments: &[A]) -> Rendered {
    let mut command = Command::new(&programs.helm);
    command
        .args(["template", "sluice"])
        .arg(folder())
        .args(["--namespace", NAMESPACE, "--kube-version", VERSION])
        .args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// Renders the chart with a file of values.
///
/// # Panics
/// When Helm refuses it.
#[must_use]
pub fn with(programs: &Programs, values: &Path) -> String {
    let rendered = template(programs, &["--values".as_ref(), values.as_os_str()]);
    rendered.unwrap_or_else(|why| panic!("{}: {why}", values.display()))
}

/// Renders the chart with values that are written here, and with `config` from a file.
pub fn with_text(programs: &Programs, name: &str, values: &str, config: Option<&str>) -> Rendered {
    let work = Project::here().target().join("kubernetes/values");
    fs::create_dir_all(&work).unwrap();
    let file = work.join(format!("{name}.yaml"));
    fs::write(&file, values).unwrap();
    let mut arguments = vec!["--values".to_owned(), file.display().to_string()];
    if let Some(config) = config {
        let file = work.join(format!("{name}.config.yaml"));
        fs::write(&file, config).unwrap();
        arguments.push("--set-file".into());
        arguments.push(format!("config={}", file.display()));
    }
    template(programs, &arguments)
}

/// The document of this kind and name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn find(rendered: &str, kind: &str, name: &str) -> Value {
    let mut all = documents(rendered).into_iter();
    let found = all.find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// The texts of the documents, sorted, without the lines by which Helm tells their source.
#[must_use]
pub fn texts(rendered: &str) -> Vec<String> {
    let is_ours = |line: &&str| !line.starts_with("# Source: ");
    let lines: Vec<&str> = rendered.lines().filter(is_ours).collect();
    let text = format!("\n{}\n", lines.join("\n"));
    let all = text.split("\n---\n").map(str::trim);
    let mut all: Vec<String> = all
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}
