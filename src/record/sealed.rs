//! A sealed value, as a record has it.

use crate::limits::SEAL_KEY_ID_BYTES_MAX;

/// Bytes of a nonce and of what authenticates a value.
pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;

/// A sealed value. The list of fields has an empty value in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// The place of its field in the list.
    pub index: usize,
    /// The id of the key that has sealed it.
    pub key: String,
    /// Nonce, sealed value and tag.
    pub bytes: Vec<u8>,
}

impl SealedValue {
    /// Returns how many bytes the value has after it is opened.
    #[must_use]
    pub const fn plain_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(NONCE_BYTES + TAG_BYTES)
    }

    /// Checks whether a record may have this value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !is_key_id(&self.key) {
            return Err(format!(
                "key: must be 1 to {SEAL_KEY_ID_BYTES_MAX} letters, digits, _ or -"
            ));
        }
        match self.bytes.len() < NONCE_BYTES + TAG_BYTES {
            true => Err("sealed: is too short".to_owned()),
            false => Ok(()),
        }
    }
}

pub(crate) fn is_key_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=SEAL_KEY_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}
