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

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sluice::config::{AcceptConfig, ConfigError, Document, DrainConfig, KeyDocumentation};
use sluice::metric::{Kind, Metric};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn key_table(keys: &[KeyDocumentation]) -> String {
    let mut table = "| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        let path = key.path.trim_start_matches("$.");
        writeln!(
            table,
            "| `{path}` | {} | {} | {} |",
            key.kind, key.default, key.meaning
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
    let path = "filter-config/README.md";
    let mut text = read(path);
    let written = text.clone();
    for (source, end, table) in [
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
        ("src/metric.rs", "metrics", metric_table()),
    ] {
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
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(file(path), &text).unwrap();
    } else {
        let advice = "run UPDATE_DOCUMENTS=1 cargo test --test documents";
        assert!(text == written, "{path} is out of date: {advice}");
    }
}

#[test]
fn the_local_configurations_are_valid() {
    AcceptConfig::from_json(read("filter-config/accept.local.json").as_bytes()).unwrap();
    DrainConfig::from_json(read("filter-config/drain.local.json").as_bytes()).unwrap();
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
