//! `sluice render` writes to where it is told, or nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use sluice_cli::arguments::Arguments;
use sluice_cli::failure::{EXIT_FAILED, EXIT_USAGE};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the command prints, or its exit code and what it says.
fn run(arguments: &[&str]) -> Result<String, (u8, String)> {
    let words = ["sluice", "render"]
        .into_iter()
        .chain(arguments.iter().copied());
    let arguments =
        Arguments::try_parse_from(words).map_err(|error| (EXIT_USAGE, error.to_string()))?;
    let mut out = Vec::new();
    let result = sluice_cli::run(arguments, jiff::Timestamp::UNIX_EPOCH, &mut out);
    result.map_err(|failure| (failure.code(), failure.to_string()))?;
    Ok(String::from_utf8(out).unwrap())
}

fn gateway() -> String {
    root()
        .join("deploy/inputs/gateway.yaml")
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn it_goes_to_a_file_a_folder_or_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&["--for", "envoy", &gateway()]).unwrap();
    assert!(printed.contains("static_resources:"));
    let file = folder.path().join("new/envoy.yaml");
    let said = run(&["--for", "envoy", &gateway(), "-o", file.to_str().unwrap()]).unwrap();
    assert!(said.ends_with("envoy.yaml is written\n"), "{said}");
    let body = |text: &str| text.split_once("\nadmin:").unwrap().1.to_owned();
    assert_eq!(body(&fs::read_to_string(&file).unwrap()), body(&printed));
    for (host, more) in [
        ("istio", "--envoy=1.37"),
        ("envoy-gateway", "--envoy=v1.39.2"),
    ] {
        let folder = folder.path().to_str().unwrap();
        run(&["--for", host, more, &gateway(), "--output", folder]).unwrap();
        assert!(Path::new(folder).join(format!("{host}.yaml")).is_file());
    }
}

#[test]
fn with_mistakes_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("wrong.yaml");
    fs::write(&input, "functoin: http://a\nlanes: [{ delayMs: 1 }]\n").unwrap();
    let output = folder.path().join("envoy.yaml");
    let words = [
        "--for",
        "envoy",
        input.to_str().unwrap(),
        "-o",
        output.to_str().unwrap(),
    ];
    let (code, said) = run(&words).unwrap_err();
    assert_eq!(code, EXIT_USAGE);
    for part in [
        "wrong.yaml: ",
        "mistake(s)",
        "did you mean function?",
        "$.lanes[0].streamId",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!output.exists());
    for words in [
        &["--for", "kubernetes", "x"][..],
        &["--for", "envoy", "--envoy", "1.36", "x"],
        &["--for", "envoy"],
        &["x"],
        &["--for", "envoy", "/nowhere/input.yaml"],
    ] {
        assert_eq!(run(words).unwrap_err().0, EXIT_USAGE, "{words:?}");
    }
    let (code, _) = run(&["--for", "envoy", &gateway(), "-o", "/proc/none/x"]).unwrap_err();
    assert_eq!(code, EXIT_FAILED);
}

#[test]
fn the_schema_is_the_one_that_we_ship() {
    let shipped = fs::read_to_string(root().join("deploy/inputs/input.schema.json")).unwrap();
    assert_eq!(run(&["--schema"]).unwrap(), shipped);
}
