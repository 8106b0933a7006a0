//! The reference pages say what the code says, and the configurations that we ship are valid.
//!
//! `UPDATE_DOCUMENTS=1 cargo test --test documents` writes the generated parts anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[path = "documents/invalid.rs"]
mod invalid;
#[path = "documents/reference.rs"]
mod reference;
#[path = "documents/rendered.rs"]
mod rendered;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::Value;
use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::{Absent, ConfigError, Document, KeyDocumentation};
use sluice::drain::config::DrainConfig;
use sluice::egress::special_purpose::{SPECIAL_PURPOSE_RANGES, special_purpose_address};
use sluice::metric::{Kind, Metric};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns whether generated files are to be written, rather than held against the code.
fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCUMENTS").is_some()
}

/// Writes a generated file, or holds it against what the code says.
fn settle(path: &str, generated: &str) {
    if is_update() {
        std::fs::write(file(path), generated).unwrap();
        return;
    }
    let written = std::fs::read_to_string(file(path)).unwrap_or_default();
    let advice = "run UPDATE_DOCUMENTS=1 cargo test --test documents";
    assert!(generated == written, "{path} is out of date: {advice}");
}

#[test]
fn the_architecture_shows_the_states_of_a_record() {
    let architecture = read("ARCHITECTURE.md");
    let start = "```mermaid\nstateDiagram-v2\n";
    let (before, rest) = architecture.split_once(start).unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    let diagram = sluice::drain::state_diagram();
    let written = format!("{before}```mermaid\n{diagram}```\n{after}");
    settle("ARCHITECTURE.md", &written);
}

/// Returns a default as the tables show it.
fn default_text(absent: &Absent) -> String {
    match absent {
        Absent::Refused => "required".to_owned(),
        Absent::Unset => "none".to_owned(),
        Absent::Default(Value::String(text)) => format!("`{text}`"),
        Absent::Default(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Absent::Default(Value::Array(items)) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(", ")
        }
        Absent::Default(value) => value.to_string(),
    }
}

fn key_table(keys: &[KeyDocumentation]) -> String {
    let mut table = "| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        let path = key.path.trim_start_matches("$.");
        let default = default_text(&key.absent);
        writeln!(
            table,
            "| `{path}` | {} | {default} | {} |",
            key.kind, key.meaning
        )
        .unwrap();
    }
    table
}

/// `sluice_refused.reason=x;.total` as Prometheus shows it: `sluice_refused_total{reason="x"}`.
fn prometheus_name(metric: Metric) -> String {
    let name = metric.name();
    let Some((start, rest)) = name.split_once(".reason=") else {
        return name.to_owned();
    };
    let (reason, end) = rest.split_once(';').unwrap();
    format!("{start}{}{{reason=\"{reason}\"}}", end.replace('.', "_"))
}

fn metric_table() -> String {
    let mut table = "| metric | kind | meaning |\n|---|---|---|\n".to_owned();
    for metric in Metric::ALL {
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(
            table,
            "| `{}` | {kind} | {} |",
            prometheus_name(*metric),
            metric.help()
        )
        .unwrap();
    }
    table
}

#[test]
fn the_reference_says_what_the_code_says() {
    fill(
        "filter-config/README.md",
        &[
            (
                "src/config/accept.rs",
                "accept keys",
                key_table(&AcceptConfig::keys()),
            ),
            (
                "src/config/drain.rs",
                "drain keys",
                key_table(&DrainConfig::keys()),
            ),
            (
                "src/config/answer.rs",
                "answer keys",
                key_table(&AnswerConfig::keys()),
            ),
            ("src/metric.rs", "metrics", metric_table()),
        ],
    );
    let keys = key_table(&sluice_render::input::host_keys());
    let source = "tools/render/src/settings.rs";
    fill("docs/render.md", &[(source, "input keys", keys)]);
}

/// Puts generated tables between their marks in a page.
fn fill(path: &str, tables: &[(&str, &str, String)]) {
    let mut text = read(path);
    for (source, end, table) in tables {
        let start = format!("<!-- generated from {source}: UPDATE_DOCUMENTS=1 ");
        let end = format!("<!-- {end}: end -->");
        let from = text
            .find(&start)
            .unwrap_or_else(|| panic!("{path} has no {start}"));
        let from = from + text[from..].find('\n').unwrap() + 1;
        let to = text
            .find(&end)
            .unwrap_or_else(|| panic!("{path} has no {end}"));
        text.replace_range(from..to, &format!("\n{table}\n"));
    }
    settle(path, &text);
}

#[test]
fn every_mistake_is_reported_with_its_path() {
    let paths = |error: ConfigError| {
        error
            .0
            .iter()
            .map(|problem| problem.path.clone())
            .collect::<Vec<_>>()
    };
    let accept = br#"{"stream":{"cluster":"","authority":7,"typo":1},"limits":[],
        "publish":{"timeoutMs":5.5,"batchRecords":0,"inFlight":4.0},"Stream":{}}"#;
    assert_eq!(
        paths(AcceptConfig::from_json(accept).unwrap_err()),
        [
            "$.stream.cluster",
            "$.stream.authority",
            "$.stream.streamId",
            "$.stream.typo",
            "$.publish.timeoutMs",
            "$.publish.batchRecords",
            "$.limits",
            "$.Stream",
        ]
    );
    assert_eq!(paths(DrainConfig::from_json(b"[1]").unwrap_err())[0], "$");
    assert_eq!(paths(DrainConfig::from_json(b"{").unwrap_err()), ["$"]);
    let error = DrainConfig::from_json(b"{}").unwrap_err().to_string();
    assert!(
        error.contains("$.deadLetters.streamId: is required"),
        "{error}"
    );
}

/// Returns the address ranges that stand in lines with both of these members.
fn ranges_in(yaml: &str) -> Vec<IpNet> {
    let lines = yaml.lines().filter_map(|line| {
        let (_, rest) = line.split_once("address_prefix: \"")?;
        let (address, rest) = rest.split_once("\", prefix_len: ")?;
        let length = rest.split(' ').next()?;
        Some(format!("{address}/{length}").parse().unwrap())
    });
    lines.collect()
}

#[test]
fn envoy_judges_addresses_as_the_filter_does() {
    for file in [
        "envoy/gateway.yaml",
        "envoy/sidecar.yaml",
        "deploy/istio/sluice.yaml",
    ] {
        judges_as_the_filter_does(&read(file));
    }
}

/// Returns the same document with its ranges written out where it only names them (`*net-…`).
fn written_out(yaml: &str) -> String {
    let mut text = yaml.to_owned();
    for (start, _) in yaml.match_indices("&net-") {
        let (name, rest) = yaml[start + 1..].split_once(' ').unwrap();
        let range = &rest[..=rest.find('}').unwrap()];
        for behind in ["\n", " "] {
            text = text.replace(&format!("*{name}{behind}"), &format!("{range}{behind}"));
        }
    }
    text
}

fn judges_as_the_filter_does(yaml: &str) {
    let yaml = &written_out(yaml);
    let between = |from: &str, to: &str| {
        let from = yaml.find(from).unwrap_or_else(|| panic!("no {from}"));
        let to = yaml[from..].find(to).unwrap_or_else(|| panic!("no {to}"));
        ranges_in(&yaml[from..from + to])
    };
    let called = between("- and_rules:", "- not_rule:");
    let denied = between("- not_rule:", "envoy.filters.http.router");
    let taken_out = between(
        "resolved_address_filter:",
        "typed_extension_protocol_options",
    );
    assert_eq!(called.len(), 2);
    for range in &SPECIAL_PURPOSE_RANGES {
        let network = range.network;
        let holds = |list: &[IpNet]| list.iter().any(|one| one.contains(&network));
        let is_called = called
            .iter()
            .any(|one| one.contains(&network) || network.contains(one));
        assert!(
            holds(&denied) || !is_called,
            "the judge lets {network} through"
        );
        assert!(
            holds(&taken_out),
            "{network} is not taken out of what names resolve to"
        );
    }
    // Nothing public is denied.
    for network in denied.iter().chain(&taken_out) {
        let meaning = special_purpose_address(network.network());
        assert!(meaning.is_some(), "{network} is public");
        let meaning = special_purpose_address(network.broadcast());
        assert!(meaning.is_some(), "{network} is public");
    }
}
