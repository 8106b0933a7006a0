//! What the workers of one Envoy share of a principal, so that one of them asks for all: the token
//! with its key, who is asking for the next one, and for how long nobody shall ask.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::token::{TOKEN_BYTES_MAX, Token};
use crate::stream::signing::PrivateKey;
use crate::time::Wall;

/// Bytes of what is shared: a token, a key of 2048 bits, and some names.
const SHARED_BYTES_MAX: usize = TOKEN_BYTES_MAX + 8_192;

/// What is shared. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Shared {
    /// Until when nobody else asks for a token: somebody is at it, or it has just failed.
    pub(super) busy_until: u64,
    /// How often in a row it has failed.
    pub(super) failures: u32,
    /// The latest token.
    pub(super) identity: Option<SharedIdentity>,
}

/// A token with its key, as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedIdentity {
    token: String,
    /// PKCS #8 DER in base64.
    key: String,
    /// Returns when it came.
    came: u64,
}

impl fmt::Debug for SharedIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SharedIdentity(came {})", self.came)
    }
}

impl Shared {
    /// Reads it; what can't be read counts as nothing.
    pub(super) fn read(bytes: Option<&[u8]>) -> Self {
        bytes
            .filter(|bytes| bytes.len() <= SHARED_BYTES_MAX)
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl SharedIdentity {
    /// # Errors
    /// The key can't be written.
    pub(super) fn new(token: &Token, key: &PrivateKey, came: Wall) -> Result<Self, String> {
        let der = key.to_der().map_err(|error| error.to_string())?;
        Ok(Self {
            token: token.text().to_owned(),
            key: STANDARD.encode(der),
            came: came.0,
        })
    }

    /// Returns when it came.
    pub(super) fn came(&self) -> Wall {
        Wall(self.came)
    }

    /// The token and its key; none where it has ended or is damaged.
    pub(super) fn open(&self, now: Wall) -> Option<(Token, PrivateKey)> {
        let token = Token::read(&self.token, now).ok()?;
        let der = STANDARD.decode(&self.key).ok()?;
        Some((token, PrivateKey::from_der(&der).ok()?))
    }
}
