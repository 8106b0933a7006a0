//! The JSON Schemas that we publish say what the code does, as far as a schema can.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use provision::Project;
use serde_json::Value;
use sluice::drain::dead_letter::{DeadLetter, Reason};
use sluice::id::Position;
use sluice::record::decode;
use sluice::record::progress::PastAttempt;
use sluice::time::Wall;

/// Documents whose mistakes lie between keys, or in what only the filter's own parsers can tell.
const BEYOND_A_SCHEMA: [&str; 5] = [
    "default-above-ceiling.accept",
    "lane-twice.accept",
    "lane-twice.drain",
    "nothing-marked.accept",
    "principal.accept",
];

fn path(name: &str) -> PathBuf {
    Project::here().root().join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn validator(name: &str) -> Validator {
    let schema: Value = serde_json::from_str(&read(name)).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{name}");
    let options = jsonschema::draft202012::options();
    options
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns what a text holds, unless it is not JSON or has a member twice, which no schema gets to
/// see.
fn document(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

#[test]
fn every_valid_record_is_valid_by_its_schema() {
    let schema = validator("filter-config/call-record.schema.json");
    for record in read("tests/records/valid.txt").lines() {
        decode(record.as_bytes()).unwrap_or_else(|error| panic!("{record}: {error}"));
        let document = document(record).unwrap();
        let errors = schema.validate(&document);
        assert!(errors.is_ok(), "{record}: {errors:?}");
    }
}

#[test]
fn the_records_that_the_reference_shows_are_valid() {
    let schema = validator("filter-config/call-record.schema.json");
    let reference = read("filter-config/README.md");
    let blocks = reference.split("```json\n").skip(1);
    let records: Vec<&str> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(records.len() >= 3);
    for record in records {
        assert!(decode(record.as_bytes()).is_ok(), "{record}");
        assert!(schema.is_valid(&document(record).unwrap()), "{record}");
    }
}

#[test]
fn every_record_that_is_refused_is_refused_by_its_schema() {
    let schema = validator("filter-config/call-record.schema.json");
    let refused = read("tests/records/refused.txt");
    let refused = refused.lines().map(|line| line.split_once(" | ").unwrap());
    let mut records: Vec<(String, String)> = refused
        .map(|(record, problem)| (record.to_owned(), problem.to_owned()))
        .collect();
    for line in read("tests/records/wrong_members.txt").lines() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim_matches(' ')).collect();
        let (member, value) = (cells[0], cells[1]);
        let path = if member == "path" {
            ""
        } else {
            r#""path":"/","#
        };
        let record = format!(r#"{{{path}"{member}":{value}}}"#);
        records.push((record, cells[2].to_owned()));
    }
    let mut seen = 0;
    for (record, problem) in records {
        assert!(decode(record.as_bytes()).is_err(), "{record}");
        let Some(document) = document(&record).filter(|_| !problem.contains("duplicate")) else {
            continue;
        };
        assert!(!schema.is_valid(&document), "{record}: {problem}");
        seen += 1;
    }
    assert!(seen >= 90, "{seen} records");
}

fn letters(reason: Reason, record: &[u8]) -> Vec<Value> {
    let attempt = PastAttempt {
        attempt: 1,
        at: Wall(1_795_408_560_000),
        status: Some(503),
        excerpt: Some("a\r\nb".to_owned()),
        gateway: Some("504 UT".to_owned()),
    };
    let letter = DeadLetter {
        id: "01",
        reason,
        detail: "why",
        dead_at: "2026-11-23T04:36:00.123Z",
        stream_id: "ocid1.stream.oc1..calls",
        source: Position {
            partition: 1,
            offset: 5,
        },
        attempts: &[attempt],
        record,
    };
    let messages = letter.messages();
    let letters = messages.iter().map(|one| serde_json::from_slice(one));
    letters.collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_dead_letter_is_valid_by_its_schema() {
    let schema = validator("filter-config/dead-letter.schema.json");
    for reason in [
        Reason::Rejected,
        Reason::AttemptsExhausted,
        Reason::Expired,
        Reason::Denied,
        Reason::UnreadableRecord,
        Reason::TooManyWaiting,
        Reason::Unstorable,
    ] {
        for record in [
            &b"{\"path\":\"/\"}"[..],
            b"null",
            b"\xff{",
            &[0xff; 1_048_576],
        ] {
            for letter in letters(reason, record) {
                let errors = schema.validate(&letter);
                assert!(errors.is_ok(), "{errors:?}");
            }
        }
    }
}

#[test]
fn what_is_no_dead_letter_is_refused_by_its_schema() {
    let schema = validator("filter-config/dead-letter.schema.json");
    let letter = letters(Reason::Rejected, b"{\"path\":\"/\"}").remove(0);
    let part = letters(Reason::Rejected, &[0xff; 1_048_576]).remove(0);
    for (letter, member, value) in [
        (&letter, "version", Value::from(2)),
        (&letter, "reason", Value::from("bored")),
        (&letter, "partition", Value::from(1)),
        (&letter, "offset", Value::from(-1)),
        (&letter, "deadAt", Value::from("yesterday")),
        (&letter, "recordBase64", Value::from("/w==")),
        (&letter, "part", Value::from(1)),
        (&part, "recordBase64", Value::from("%")),
        (&part, "parts", Value::Null),
    ] {
        let mut wrong = letter.clone();
        wrong[member] = value;
        assert!(!schema.is_valid(&wrong), "{member}");
    }
    for member in letter.as_object().unwrap().keys() {
        let mut less = letter.clone();
        less.as_object_mut().unwrap().remove(member);
        assert!(!schema.is_valid(&less), "{member}");
    }
}

#[test]
fn configurations_and_their_schemas_agree() {
    for role in ["accept", "drain"] {
        let schema = validator(&format!("filter-config/{role}.schema.json"));
        for entry in fs::read_dir(path("filter-config")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_valid = name.starts_with(&format!("{role}.")) && name.ends_with(".json");
            if is_valid && !name.ends_with(".schema.json") {
                let valid = document(&read(&format!("filter-config/{name}"))).unwrap();
                let errors = schema.validate(&valid);
                assert!(errors.is_ok(), "{name}: {errors:?}");
            }
        }
        let reference = read(&format!("filter-config/{role}.reference.jsonc"));
        let lines = reference.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
        let reference = document(&lines.collect::<String>()).unwrap();
        let errors = schema.validate(&reference);
        assert!(errors.is_ok(), "{role}: {errors:?}");
        let ending = format!(".{role}.json");
        for entry in fs::read_dir(path("filter-config/invalid")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(case) = name.strip_suffix(&ending) else {
                continue;
            };
            let Some(document) = document(&read(&format!("filter-config/invalid/{name}"))) else {
                continue;
            };
            let is_beyond = BEYOND_A_SCHEMA.contains(&format!("{case}.{role}").as_str());
            assert_eq!(schema.is_valid(&document), is_beyond, "{name}");
        }
    }
}
