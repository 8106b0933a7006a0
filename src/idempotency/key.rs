//! A caller's idempotency key, and the call that it stands for.

use serde::{Deserialize, Serialize};

use crate::caller::{CallerKey, CallerSecret};
use crate::idempotency::fingerprint::hex;

/// A keyed hash of an idempotency key and its caller. So nobody meets the key of another caller, or
/// chooses keys that share a slot with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyHash(pub String);

/// A key and the call that it stands for. The end of a call does not concern a key that another
/// call has by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// The key.
    pub key: KeyHash,
    /// The id of the call.
    pub call_id: String,
}

impl KeyHolder {
    /// Returns the text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{} {}", self.key.0, self.call_id)
    }

    /// Reads a text of [`Self::to_text`]; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (key, call_id) = text.split_once(' ')?;
        let (key, call_id) = (KeyHash::parse(key)?, call_id.to_owned());
        Some(Self { key, call_id })
    }
}

impl KeyHash {
    /// Returns the hash of a caller's key.
    #[must_use]
    pub fn new(secret: &CallerSecret, caller: CallerKey, key: &str) -> Self {
        let caller = caller.to_string();
        let parts = [caller.as_bytes(), key.as_bytes()];
        Self(hex(&secret.hash(b"idempotency key", parts)))
    }

    /// Reads such a hash; `None` if the text, which anybody may have written, can't be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// Returns the slot of this key in a table with so many slots.
    #[must_use]
    pub fn slot(&self, slots: u32) -> u32 {
        let start = self.0.get(..8).unwrap_or_default();
        u32::from_str_radix(start, 16).unwrap_or_default() % slots.max(1)
    }
}
