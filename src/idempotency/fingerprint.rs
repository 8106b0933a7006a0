//! Which requests count as the same.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::caller::CallerSecret;

/// A hash of a request: what would be called, when, and who would learn of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub(super) String);

/// A hash of a request's options as they are written. (A delay means another time whenever it is
/// read, so times can't be compared.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked([u8; 32]);

impl Asked {
    /// Returns the hash of a request's options, each with its name and value.
    #[must_use]
    pub fn of<'a>(options: impl Iterator<Item = (&'static str, &'a [u8])>) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        for (option, value) in options {
            add(option.as_bytes());
            add(value);
        }
        let mut asked = [0; 32];
        for (byte, hashed) in asked.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        Self(asked)
    }
}

impl Fingerprint {
    /// Returns the hash of a request (its method, authority and path), its options, and its body.
    #[must_use]
    pub fn new(secret: &CallerSecret, request: [&str; 3], asked: Asked, body: &[u8]) -> Self {
        let [method, authority, path] = request.map(str::as_bytes);
        let parts = [method, authority, path, &asked.0, body];
        Self(hex(&secret.hash(b"request", parts)))
    }
}

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
