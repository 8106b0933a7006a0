//! What fuzzers have found, and what people thought of, on any compiler.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn every_target_survives_its_corpus() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let mut files: Vec<_> = std::fs::read_dir(corpora.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 3, "{name} has {} inputs", files.len());
        for file in files {
            // A failure tells the input by this line, which the test shows only then.
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}
