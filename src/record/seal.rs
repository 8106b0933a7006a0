//! Credentials at rest: values of headers that are sealed before they are stored, and opened only
//! when the call is made.
//!
//! The cipher is XChaCha20-Poly1305 with a random nonce of 24 bytes. A sealed value belongs to its
//! request: it opens only if the call id, the request, the addresses for replies and the content
//! are those that it was sealed with. So somebody who may read and write records but has no key can
//! neither read a credential nor send it anywhere else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use sha2::{Digest, Sha256};

use crate::http::{Fields, is_field_value};
use crate::id::Entropy;
use crate::limits::{SEAL_KEY_ID_BYTES_MAX, SEAL_KEYS_MAX};
use crate::record::head::{Call, CallHead};
use crate::record::names::NameList;
use crate::record::reply_address::ReplyAddress;
use crate::record::sealed::{NONCE_BYTES, SealedValue, is_key_id};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Distinguishes this hash from any other.
const DOMAIN: &[u8] = b"sluice sealed value 1";

/// The keys. The first one seals, each of them opens.
#[derive(Clone)]
pub struct SealKeys(Vec<(String, XChaCha20Poly1305)>);

impl fmt::Debug for SealKeys {
    /// Shows only the ids of the keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.0.iter().map(|(id, _)| id.as_str()).collect();
        write!(formatter, "SealKeys({} hidden)", ids.join(" "))
    }
}

/// Why a value can't be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The key is missing here, and may come back.
    UnknownKey(String),
    /// The value belongs to another call, or somebody has changed it.
    Broken,
}

impl fmt::Display for SealError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(key) => write!(
                formatter,
                "a header is sealed by the key {key}, which this gateway hasn't got: put it into \
                 SLUICE_SEAL_KEYS again"
            ),
            Self::Broken => formatter.write_str(
                "a sealed header can't be opened: it was sealed for another request, or this one \
                 has been changed since",
            ),
        }
    }
}

impl std::error::Error for SealError {}

impl SealKeys {
    /// Reads 1 to 4 keys, separated by white space: `ID:BASE64`, an id of letters, digits, `_` and
    /// `-`, and the standard base64, with padding, of 32 random bytes.
    ///
    /// # Errors
    /// Says which key is wrong and what is allowed, and reveals nothing of the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() || words.len() > SEAL_KEYS_MAX {
            return Err(format!(
                "holds {} keys; give 1 to {SEAL_KEYS_MAX}, separated by spaces",
                words.len()
            ));
        }
        let mut keys: Vec<(String, XChaCha20Poly1305)> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let wrong = |why: &str| {
                let number = index.saturating_add(1);
                format!(
                    "key {number} {why}; give an id of 1 to {SEAL_KEY_ID_BYTES_MAX} letters, \
                     digits, _ or -, a colon, and the base64 of {KEY_BYTES} random bytes"
                )
            };
            let (id, encoded) = word.split_once(':').ok_or_else(|| wrong("has no colon"))?;
            if !is_key_id(id) {
                return Err(wrong("has a wrong id"));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(wrong("has the id of another one"));
            }
            // The decoder's error would quote a character of the key.
            let bytes = BASE64.decode(encoded).ok();
            let bytes = bytes.ok_or_else(|| wrong("is not standard base64 with padding"))?;
            let cipher = XChaCha20Poly1305::new_from_slice(&bytes);
            let cipher = cipher.map_err(|_| wrong(&format!("has {} bytes", bytes.len())))?;
            keys.push((id.to_owned(), cipher));
        }
        Ok(Self(keys))
    }

    /// Returns the head with the values of these headers sealed. Trailers of these names are left
    /// out, because no target would get them.
    #[must_use]
    pub fn seal(
        &self,
        head: &CallHead,
        body: &[u8],
        names: &NameList,
        entropy: &mut Entropy,
    ) -> CallHead {
        let mut head = head.clone();
        head.trailers.retain(|(name, _)| !names.has(name));
        let Some((key, cipher)) = self.0.first() else {
            return head;
        };
        for (_, fields, sealed) in lists(&mut head) {
            for (index, (_, value)) in named(fields, names) {
                sealed.push(SealedValue {
                    index,
                    key: key.clone(),
                    bytes: std::mem::take(value),
                });
            }
        }
        let binding = binding(&head, body);
        for (part, fields, sealed) in lists(&mut head) {
            for value in sealed {
                let mut nonce = [0; NONCE_BYTES];
                entropy.fill(&mut nonce);
                let aad = associated(&binding, part, fields, value.index);
                let payload = Payload {
                    msg: &value.bytes,
                    aad: &aad,
                };
                // This can't fail: only 256 GiB are too much for the cipher.
                let bytes = cipher.encrypt(&nonce.into(), payload);
                value.bytes = [&nonce[..], &bytes.unwrap_or_default()].concat();
            }
        }
        head
    }

    fn open(&self, value: &SealedValue, aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut keys = self.0.iter();
        let Some((_, cipher)) = keys.find(|(id, _)| *id == value.key) else {
            return Err(SealError::UnknownKey(value.key.clone()));
        };
        let (nonce, msg) = value.bytes.split_first_chunk().ok_or(SealError::Broken)?;
        let nonce: &[u8; NONCE_BYTES] = nonce;
        let plain = cipher.decrypt(&(*nonce).into(), Payload { msg, aad });
        let plain = plain.map_err(|_| SealError::Broken)?;
        is_field_value(&plain)
            .then_some(plain)
            .ok_or(SealError::Broken)
    }
}

/// Opens what is sealed in a call.
///
/// # Errors
/// Why it can't be opened. Nothing of the call may be sent then.
pub fn open(call: &mut Call, keys: Option<&SealKeys>) -> Result<(), SealError> {
    let mut all = lists(&mut call.head);
    let Some(key) = all.find_map(|(.., sealed)| Some(sealed.first()?.key.clone())) else {
        return Ok(());
    };
    drop(all);
    let keys = keys.ok_or(SealError::UnknownKey(key))?;
    let binding = binding(&call.head, &call.body);
    for (part, fields, sealed) in lists(&mut call.head) {
        for value in std::mem::take(sealed) {
            let aad = associated(&binding, part, fields, value.index);
            let plain = keys.open(&value, &aad)?;
            if let Some((_, empty)) = fields.get_mut(value.index) {
                *empty = plain;
            }
        }
    }
    Ok(())
}

/// The lists of a record that may have sealed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Headers = 0,
    OfReply = 1,
}

type List<'a> = (Part, &'a mut Fields, &'a mut Vec<SealedValue>);

fn lists(head: &mut CallHead) -> impl Iterator<Item = List<'_>> {
    let of_reply = head.reply.as_mut();
    let of_reply = of_reply.map(|of| (Part::OfReply, &mut of.headers, &mut of.sealed));
    let headers = (Part::Headers, &mut head.headers, &mut head.sealed);
    std::iter::once(headers).chain(of_reply)
}

fn named<'a>(
    fields: &'a mut Fields,
    names: &NameList,
) -> impl Iterator<Item = (usize, &'a mut (String, Vec<u8>))> {
    let fields = fields.iter_mut().enumerate();
    fields.filter(|(_, (name, _))| names.has(name))
}

/// Returns what a value is sealed with, so that it opens nowhere else: its request, and its field
/// in it.
fn associated(binding: &[u8], part: Part, fields: &Fields, index: usize) -> Vec<u8> {
    let name = fields.get(index).map(|(name, _)| name.as_bytes());
    let index = u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes();
    [binding, &[part as u8], &index, name.unwrap_or_default()].concat()
}

/// Returns a hash of everything that must not change in a request: what is called, with what
/// content, and who learns the answer.
fn binding(head: &CallHead, body: &[u8]) -> [u8; 32] {
    let mut hash = Hash(Sha256::new_with_prefix(DOMAIN));
    hash.text(head.id.as_ref().map(|id| id.0.as_str()));
    hash.text(Some(&head.method));
    hash.text(head.scheme.as_deref());
    hash.text(head.authority.as_deref());
    hash.text(Some(&head.path));
    hash.text(head.target.as_deref());
    hash.text(head.reply_to.as_ref().map(ReplyAddress::as_str));
    hash.text(head.failure_to.as_ref().map(ReplyAddress::as_str));
    hash.fields(&head.headers, &head.sealed);
    let reply = head.reply.as_ref();
    hash.text(reply.map(|reply| reply.call_id.as_str()));
    hash.text(reply.map(|reply| reply.outcome.as_str()));
    if let Some(reply) = reply {
        hash.fields(&reply.headers, &reply.sealed);
    }
    hash.part(Some(body));
    hash.0.finalize().into()
}

/// A hash that is different for any two lists of parts.
struct Hash(Sha256);

impl Hash {
    fn part(&mut self, part: Option<&[u8]>) {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        self.0.update(length.to_le_bytes());
        self.0.update(part.unwrap_or_default());
    }

    fn text(&mut self, text: Option<&str>) {
        self.part(text.map(str::as_bytes));
    }

    fn fields(&mut self, fields: &Fields, sealed: &[SealedValue]) {
        self.0.update((fields.len() as u64).to_le_bytes());
        let mut sealed = sealed.iter().peekable();
        for (index, (name, value)) in fields.iter().enumerate() {
            let is_sealed = sealed.next_if(|sealed| sealed.index == index).is_some();
            self.text(Some(name));
            self.part((!is_sealed).then_some(value.as_slice()));
        }
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
