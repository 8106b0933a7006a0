//! House rules that no compiler knows: what is small stays small, and the core stays pure.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

const LINES_OF_CODE_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;

/// Returns every Rust file of the project, with its path from the root and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "src",
        "tests",
        "examples",
        "sluice-cli",
        "stream-server",
        "tools",
        "verification",
        "wasm-tests",
    ];
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            sources.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(sources.len() > 40, "the sources were not found");
    sources
}

fn check(rule: &str, breaks: impl Fn(&str, &str) -> Option<String>) {
    let broken: Vec<String> = sources()
        .iter()
        .filter_map(|(name, text)| breaks(name, text).map(|what| format!("{name}: {what}")))
        .collect();
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn files_are_small() {
    check("split a file by meaning when it grows", |_, text| {
        let code = text
            .split("\n#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let lines = code.lines().count();
        (lines > LINES_OF_CODE_MAX).then(|| format!("{lines} lines"))
    });
}

#[test]
fn lines_are_short() {
    check(
        "a line that doesn't fit the screen hides something",
        |_, text| {
            let long = text
                .lines()
                .position(|line| line.chars().count() > COLUMNS_MAX)?;
            Some(format!("line {}", long + 1))
        },
    );
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TO", "FIX", "X"].map(|start| match start {
        "TO" => format!("{start}DO"),
        "FIX" => format!("{start}ME"),
        _ => "X".repeat(3),
    });
    check("do it, or say it where users look", |_, text| {
        marks
            .iter()
            .find(|mark| text.contains(mark.as_str()))
            .cloned()
    });
}

#[test]
fn only_the_host_layer_knows_the_host() {
    check("the core is pure", |name, text| {
        let pure = name.starts_with("src/") && !name.starts_with("src/host");
        (pure && text.contains("proxy_wasm")).then(|| "names proxy_wasm".to_owned())
    });
}

#[test]
fn tests_of_the_core_ask_no_clock() {
    let clocks = ["SystemTime::now", "Instant::now", "thread::sleep"];
    check("time is an argument of the pure core", |name, text| {
        if !name.starts_with("tests/") || name == "tests/tidy.rs" {
            return None;
        }
        let clock = clocks.iter().find(|clock| text.contains(*clock))?;
        Some((*clock).to_owned())
    });
}

#[test]
fn unsafe_code_stands_where_nothing_else_will_do() {
    check("unsafe code stands in two places", |name, text| {
        // The host's functions, and librdkafka's where its Rust side has none.
        const PLACES: [&str; 2] = [
            "src/host/bytes.rs",
            "stream-server/src/kafka/client/topic_ids.rs",
        ];
        let elsewhere = !PLACES.contains(&name) && name != "tests/tidy.rs";
        (elsewhere && text.contains("unsafe {")).then(|| "has unsafe code".to_owned())
    });
}

#[test]
fn the_filter_cannot_trap() {
    let traps = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "assert!(",
        "assert_eq!(",
    ];
    check("a trap ends every request of a worker", |name, text| {
        if !name.starts_with("src/") || name.ends_with("tests.rs") {
            return None;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let line = code.lines().find(|line| {
            let allowed = line.contains("debug_assert") || line.contains("as a test has asked for");
            traps.iter().any(|trap| line.contains(trap)) && !allowed
        })?;
        Some(line.trim().to_owned())
    });
}
