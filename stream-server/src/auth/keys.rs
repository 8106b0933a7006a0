//! The folder of public keys: `NAME.pub.pem` and `NAME.keyid`, and `NAME.rights` if the key may not
//! do everything.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;

use super::rights::Rights;

/// Ending of a public key's file.
const KEY_ENDING: &str = ".pub.pem";
/// Ending of the file with the keyId that the key answers to.
const KEY_ID_ENDING: &str = ".keyid";
/// Ending of the file with what the key may do.
const RIGHTS_ENDING: &str = ".rights";
/// Bytes of a keyId: a session token (`ST$…`) has up to some thousand.
const KEY_ID_BYTES_MAX: usize = 16_384;
/// Bytes of a key's file; one of 4096 bits has 800.
const KEY_FILE_BYTES_MAX: u64 = 16_384;
/// Bits that a key must have. OCI asks for 2048; Oracle's published test key has 1024.
const KEY_BITS_MIN: usize = 1_024;
/// Bits that OCI asks for.
const KEY_BITS_WANTED: usize = 2_048;

/// A public key, and what its owner may do.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) public: RsaPublicKey,
    pub(super) rights: Rights,
}

/// Public keys by keyId.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: BTreeMap<String, Key>,
    /// What the operator should know, although it is not a mistake.
    warnings: Vec<String>,
}

/// A key folder that cannot be used: everything that is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyFolderError {
    folder: PathBuf,
    problems: Vec<String>,
}

impl fmt::Display for KeyFolderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        write!(out, "the key folder {folder} of --auth keys is wrong:")?;
        for problem in &self.problems {
            write!(out, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for KeyFolderError {}

impl KeyRing {
    /// Reads all pairs of a folder. Other files in it are ignored.
    ///
    /// # Errors
    /// [`KeyFolderError`] with all mistakes.
    pub fn read(folder: &Path) -> Result<Self, KeyFolderError> {
        let mut ring = Self::default();
        let mut problems = Vec::new();
        match names(folder) {
            Ok(names) if names.is_empty() => problems.push(format!(
                "there is no key in it: put NAME{KEY_ENDING} and NAME{KEY_ID_ENDING} there"
            )),
            Ok(names) => {
                let mut owners = BTreeMap::new();
                for name in names {
                    ring.read_pair(folder, name, &mut owners, &mut problems);
                }
            }
            Err(error) => problems.push(format!("cannot list it: {error}")),
        }
        if problems.is_empty() {
            return Ok(ring);
        }
        Err(KeyFolderError {
            folder: folder.to_owned(),
            problems,
        })
    }

    fn read_pair(
        &mut self,
        folder: &Path,
        name: String,
        owners: &mut BTreeMap<String, String>,
        problems: &mut Vec<String>,
    ) {
        let (key_file, id_file) = (
            format!("{name}{KEY_ENDING}"),
            format!("{name}{KEY_ID_ENDING}"),
        );
        let rights = self
            .read_rights(folder, &name)
            .map_err(|problem| problems.push(format!("{name}{RIGHTS_ENDING}: {problem}")));
        let key = read_text(&folder.join(&key_file))
            .and_then(|pem| parse_key(&pem))
            .map_err(|problem| problems.push(format!("{key_file}: {problem}")));
        let key_id = read_text(&folder.join(&id_file))
            .and_then(|text| parse_key_id(&text))
            .map_err(|problem| problems.push(format!("{id_file}: {problem}")));
        let (Ok(key), Ok(key_id), Ok(rights)) = (key, key_id, rights) else {
            return;
        };
        if let Some(other) = owners.insert(key_id.clone(), name) {
            problems.push(format!(
                "{id_file}: {other}{KEY_ID_ENDING} has the same keyId. A keyId has one key"
            ));
        }
        let bits = bits(&key);
        if bits < KEY_BITS_WANTED {
            self.warnings.push(format!(
                "the key {key_file} has {bits} bits; OCI takes {KEY_BITS_WANTED} and more"
            ));
        }
        let public = key;
        self.keys.insert(key_id, Key { public, rights });
    }

    /// Returns what a key may do: everything if there is no file of rights.
    fn read_rights(&mut self, folder: &Path, name: &str) -> Result<Rights, String> {
        let file = folder.join(format!("{name}{RIGHTS_ENDING}"));
        // Only a file that certainly doesn't exist gives all rights.
        if !file
            .try_exists()
            .map_err(|error| format!("cannot be looked for: {error}"))?
            && !file.is_symlink()
        {
            self.warnings.push(format!(
                "the key {name} may publish, consume and manage, because there is no \
                 {name}{RIGHTS_ENDING}: write there what it needs"
            ));
            return Ok(Rights::all());
        }
        Rights::parse(&read_text(&file)?)
    }

    /// Adds a key that may do everything.
    #[cfg(test)]
    pub(super) fn add(&mut self, key_id: &str, pem: &str) {
        let (public, rights) = (parse_key(pem).unwrap(), Rights::all());
        self.keys.insert(key_id.to_owned(), Key { public, rights });
    }

    pub(super) fn get(&self, key_id: &str) -> Option<&Key> {
        self.keys.get(key_id)
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Returns what the operator should know, although it is not a mistake, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Returns the names that have a key, a keyId or rights, sorted.
fn names(folder: &Path) -> std::io::Result<std::collections::BTreeSet<String>> {
    let mut names = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name();
        let file = file.to_string_lossy();
        let name = file
            .strip_suffix(KEY_ENDING)
            .or_else(|| file.strip_suffix(KEY_ID_ENDING))
            .or_else(|| file.strip_suffix(RIGHTS_ENDING));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}

fn read_text(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return "is missing; key and keyId belong together".to_owned();
        }
        format!("cannot be read: {error}")
    })?;
    file.take(KEY_FILE_BYTES_MAX.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read as text: {error}"))?;
    Ok(text)
}

/// Reads SubjectPublicKeyInfo (RFC 5280) or RSAPublicKey (PKCS#1, RFC 8017), as PEM.
fn parse_key(pem: &str) -> Result<RsaPublicKey, String> {
    if pem.contains("PRIVATE KEY") {
        return Err("holds a private key. Put the public one here, and keep that one away".into());
    }
    let parsed = if pem.contains("BEGIN RSA PUBLIC KEY") {
        RsaPublicKey::from_pkcs1_pem(pem).map_err(|error| error.to_string())
    } else {
        RsaPublicKey::from_public_key_pem(pem).map_err(|error| error.to_string())
    };
    let key = parsed.map_err(|error| {
        format!("is not an RSA public key in PEM (SPKI or PKCS#1) of at most 4096 bits: {error}")
    })?;
    match bits(&key) {
        few if few < KEY_BITS_MIN => Err(format!("has {few} bits, at least {KEY_BITS_MIN} needed")),
        _ => Ok(key),
    }
}

fn bits(key: &RsaPublicKey) -> usize {
    key.n().bits()
}

/// Reads `TENANCY/USER/FINGERPRINT` or `ST$TOKEN`: printable, without the quotes that delimit it.
fn parse_key_id(text: &str) -> Result<String, String> {
    let key_id = text.trim();
    if key_id.is_empty() {
        return Err("is empty; it should hold TENANCY/USER/FINGERPRINT or ST$TOKEN".to_owned());
    }
    if key_id.len() > KEY_ID_BYTES_MAX {
        return Err(format!("is longer than {KEY_ID_BYTES_MAX} bytes"));
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    if !key_id.bytes().all(plain) {
        return Err("should be one line of ASCII without spaces and quotes".to_owned());
    }
    Ok(key_id.to_owned())
}
