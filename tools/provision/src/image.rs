//! The filter as an OCI image, in the form that control planes load modules from: one layer with
//! one file, `plugin.wasm` ("compat" of the specification "Wasm Image", as Istio's agent and Envoy
//! Gateway read it). The same module gives the same bytes, so that everybody can check a digest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Control planes look for this name.
const FILE: &str = "plugin.wasm";

/// The version that the image has: the project's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes the image as an OCI image layout (version 1.0.0) into this folder, which is made anew,
/// and returns the digest of its manifest, such as `sha256:9f86…`: what a registry knows it by.
///
/// # Errors
/// When the folder can't be written.
pub fn write(folder: &Path, module: &[u8]) -> Result<String> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot create {}", blobs.display()))?;
    let put = |media_type: &str, bytes: &[u8]| -> Result<Value> {
        let digest = sha256(bytes);
        put_file(&blobs.join(&digest), bytes)?;
        let digest = format!("sha256:{digest}");
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    };
    let layer = tar(module)?;
    let config = json!({
        "architecture": "wasm",
        "os": "wasi",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(CONFIG, config.to_string().as_bytes())?,
        "layers": [put(LAYER, &gzip(&layer)?)?],
        "annotations": {
            "module.wasm.image/variant": "compat",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.title": "sluice",
            "org.opencontainers.image.version": VERSION,
        },
    });
    let manifest = manifest.to_string();
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    put(MANIFEST, manifest.as_bytes())?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": digest,
            "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": VERSION },
        }],
    });
    put_file(&folder.join("index.json"), index.to_string().as_bytes())?;
    let layout = json!({ "imageLayoutVersion": "1.0.0" });
    put_file(&folder.join("oci-layout"), layout.to_string().as_bytes())?;
    Ok(digest)
}

/// Returns the content of the module in an archive of an image's files, and insists that nothing
/// else is in it.
///
/// # Errors
/// When it is no such archive.
pub fn module_in(archive: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut found = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        anyhow::ensure!(
            path == Path::new(FILE) && found.is_none(),
            "besides {FILE} there is {}",
            path.display()
        );
        let mut module = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut module)?;
        found = Some(module);
    }
    found.with_context(|| format!("there is no {FILE}"))
}

/// An archive with the module alone; nothing in it depends on when and by whom it is made.
fn tar(module: &[u8]) -> Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(u64::try_from(module.len())?);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, FILE, module)?;
    Ok(archive.into_inner()?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    // 255: an unknown system (RFC 1952, section 2.3.1).
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes)?;
    Ok(encoder.finish()?)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::Project;
    use crate::command::capture;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0 and what follows";

    fn folder(name: &str) -> PathBuf {
        let folder = format!("image-tests/{name}-{}", std::process::id());
        Project::here().target().join(folder)
    }

    fn read(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// All files below a folder, by their paths there.
    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    #[test]
    fn the_same_module_gives_the_same_bytes() {
        let (one, two) = (folder("one"), folder("two"));
        let digest = write(&one, MODULE).unwrap();
        assert_eq!(write(&two, MODULE).unwrap(), digest);
        assert_eq!(files(&one), files(&two));
        assert_eq!(files(&one).len(), 5);
        // Whatever was there before is gone.
        assert_ne!(write(&two, b"another").unwrap(), digest);
        assert_eq!(files(&two).len(), 5);
        for folder in [one, two] {
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn every_blob_is_what_its_digest_says_and_the_system_reads_the_layer() {
        let folder = folder("read");
        let digest = write(&folder, MODULE).unwrap();
        let index = read(&folder.join("index.json"));
        assert_eq!(index["manifests"][0]["digest"], *digest);
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let path = folder.join("blobs").join(digest.replace(':', "/"));
            let bytes = fs::read(&path).unwrap();
            assert_eq!(descriptor["size"], bytes.len());
            assert_eq!(digest, format!("sha256:{}", sha256(&bytes)));
            path
        };
        let manifest = read(&blob(&index["manifests"][0]));
        assert_eq!(
            manifest["annotations"]["module.wasm.image/variant"],
            "compat"
        );
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let config = read(&blob(&manifest["config"]));
        let layer = blob(&manifest["layers"][0]);
        let mut list = Command::new("tar");
        list.args([
            "--list",
            "--verbose",
            "--numeric-owner",
            "--gzip",
            "--utc",
            "--file",
        ]);
        let listed = capture(list.arg(&layer)).unwrap();
        assert!(
            listed.starts_with("-rw-r--r-- 0/0") && listed.contains("1970-01-01 00:00 plugin.wasm"),
            "{listed}"
        );
        assert_eq!(listed.lines().count(), 1, "{listed}");
        let unpacked = Command::new("gzip")
            .args(["--decompress", "--stdout"])
            .stdin(fs::File::open(&layer).unwrap())
            .output()
            .unwrap()
            .stdout;
        let id = format!("sha256:{}", sha256(&unpacked));
        assert_eq!(config["rootfs"]["diff_ids"], json!([id]));
        assert_eq!(module_in(&unpacked).unwrap(), MODULE);
        fs::remove_dir_all(folder).unwrap();
    }
}
