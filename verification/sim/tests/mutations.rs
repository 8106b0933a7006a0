//! The bugs on purpose still fit the sources, so that `cargo xtask sim --mutations` can make them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

#[test]
fn every_mutation_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let is_patch = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension == "patch")
    };
    let entries = std::fs::read_dir(root.join("verification/sim/mutations")).unwrap();
    let mut patches: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    patches.retain(|path| is_patch(path));
    assert!(patches.len() >= 10, "there are {}", patches.len());
    for patch in patches {
        // Outside of any repository: what counts is what stands in the files.
        let applied = Command::new("git")
            .current_dir(&root)
            .env("GIT_DIR", root.join("target/no-repository"))
            .args(["apply", "--check"])
            .arg(&patch)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&applied.stderr);
        assert!(applied.status.success(), "{}: {said}", patch.display());
    }
}
