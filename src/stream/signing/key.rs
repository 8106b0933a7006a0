//! The private key: reading it, and RSA in this module's own code.

use std::fmt;

use md5::{Digest as _, Md5};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::Sha256;

use super::{Fingerprint, RsaSha256};
use crate::id::Entropy;

/// Bits of an RSA key: OCI asks for at least as many for API keys.
pub const KEY_BITS_MIN: usize = 2_048;

/// What stands before a SHA-256 in a signature: DigestInfo of RFC 8017 §9.2, note 1.
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Why a text is no key to sign with. It completes "the environment variable …" and shows nothing
/// of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// No `-----BEGIN`.
    NoPem,
    /// A passphrase is needed.
    Encrypted,
    /// A PEM of something else.
    Other,
    /// A private key, but not of RSA.
    NotRsa,
    /// The right label, and something that is no such key.
    Broken,
    /// Too few bits: how many it has.
    TooSmall(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoPem => {
                "holds no PEM: give the whole key file, from -----BEGIN to -----END and its dashes"
            }
            Self::Encrypted => {
                "holds a key with a passphrase, which nobody could enter: decrypt it with \
                 `openssl pkey -in key.pem -out plain.pem`"
            }
            Self::Other => {
                "holds a PEM, but no private key: its first line must be -----BEGIN PRIVATE \
                 KEY----- or -----BEGIN RSA PRIVATE KEY-----"
            }
            Self::NotRsa => "holds a private key that is not of RSA; OCI takes RSA only",
            Self::Broken => "holds a private key that is cut off or damaged",
            Self::TooSmall(bits) => {
                return write!(
                    formatter,
                    "holds an RSA key of {bits} bits; OCI takes {KEY_BITS_MIN} at least"
                );
            }
        })
    }
}

impl std::error::Error for KeyError {}

/// An RSA private key.
#[derive(Clone)]
pub struct PrivateKey(RsaPrivateKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({} bits)", self.0.n().bits())
    }
}

impl PrivateKey {
    /// Reads a PEM of PKCS #1 or PKCS #8 without passphrase. What stands around it is skipped, such
    /// as the line `OCI_API_KEY` that Oracle puts below; `\n` in two characters is a line break,
    /// because some ways of setting a variable know no other.
    ///
    /// # Errors
    /// Says what it is instead.
    pub fn from_pem(text: &str, bits_min: usize) -> Result<Self, KeyError> {
        let text = if text.contains('\n') {
            text.to_owned()
        } else {
            text.replace("\\n", "\n")
        };
        let start = text.find("-----BEGIN ").ok_or(KeyError::NoPem)?;
        let pem = text.get(start..).unwrap_or_default();
        let label = pem.lines().next().unwrap_or_default().trim_end();
        if label.contains("ENCRYPTED") || pem.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let end = pem.find("-----END ").and_then(|at| {
            let close = pem
                .get(at..)?
                .find("\n")
                .map(|line| at.saturating_add(line));
            pem.get(..close.unwrap_or(pem.len()))
        });
        let key = match label {
            "-----BEGIN RSA PRIVATE KEY-----" => {
                let pem = end.ok_or(KeyError::Broken)?.trim_end();
                RsaPrivateKey::from_pkcs1_pem(pem).map_err(|_| KeyError::Broken)?
            }
            "-----BEGIN PRIVATE KEY-----" => {
                let pem = end.ok_or(KeyError::Broken)?.trim_end();
                RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| other_algorithm(&error))?
            }
            "-----BEGIN EC PRIVATE KEY-----" | "-----BEGIN DSA PRIVATE KEY-----" => {
                return Err(KeyError::NotRsa);
            }
            _ => return Err(KeyError::Other),
        };
        let bits = key.n().bits();
        if bits < bits_min {
            return Err(KeyError::TooSmall(bits));
        }
        Ok(Self(key))
    }

    /// Reads what [`Self::to_der`] has written, with [`KEY_BITS_MIN`] bits at least.
    ///
    /// # Errors
    /// [`KeyError::Broken`] or [`KeyError::TooSmall`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::Broken)?;
        let bits = key.n().bits();
        if bits < KEY_BITS_MIN {
            return Err(KeyError::TooSmall(bits));
        }
        Ok(Self(key))
    }

    /// What was found.
    pub(super) fn of(key: RsaPrivateKey) -> Self {
        Self(key)
    }

    /// The public key in DER (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// As for [`Self::fingerprint`].
    pub fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let public = self.0.to_public_key();
        let der = public.to_public_key_der().map_err(|_| KeyError::Broken)?;
        Ok(der.as_bytes().to_vec())
    }

    /// As OCI shows it beside the key.
    ///
    /// # Errors
    /// The key can't be written as DER, which no key that was read has shown.
    pub fn fingerprint(&self) -> Result<Fingerprint, KeyError> {
        let bytes = Md5::digest(self.public_der()?);
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Fingerprint(bytes.join(":")))
    }

    /// The key in PKCS #8 DER (RFC 5958).
    ///
    /// # Errors
    /// As for [`Self::fingerprint`].
    pub fn to_der(&self) -> Result<Vec<u8>, KeyError> {
        let der = self.0.to_pkcs8_der().map_err(|_| KeyError::Broken)?;
        Ok(der.as_bytes().to_vec())
    }

    /// RSA in this module's own code. `entropy` blinds the arithmetic, so that its duration tells
    /// nothing about the key (RUSTSEC-2023-0071).
    #[must_use]
    pub fn signs_itself(self, entropy: Entropy) -> Box<dyn RsaSha256> {
        let blinding = Blinding(entropy);
        Box::new(OwnCode {
            key: self.0,
            blinding,
        })
    }
}

fn other_algorithm(error: &rsa::pkcs8::Error) -> KeyError {
    use rsa::pkcs8::{Error, spki};
    if matches!(error, Error::PublicKey(spki::Error::OidUnknown { .. })) {
        KeyError::NotRsa
    } else {
        KeyError::Broken
    }
}

struct OwnCode {
    key: RsaPrivateKey,
    blinding: Blinding,
}

impl RsaSha256 for OwnCode {
    fn sign(&mut self, text: &[u8]) -> Result<Vec<u8>, String> {
        let scheme = Pkcs1v15Sign {
            hash_len: Some(Sha256::output_size()),
            prefix: Box::from(SHA256_DIGEST_INFO),
        };
        let digest = Sha256::digest(text);
        self.key
            .sign_with_rng(&mut self.blinding, scheme, &digest)
            .map_err(|error| format!("RSA failed: {error}"))
    }

    fn name(&self) -> &'static str {
        "the filter's own code"
    }
}

/// The engine's randomness, as the crate `rsa` wants it.
struct Blinding(Entropy);

impl CryptoRng for Blinding {}

impl RngCore for Blinding {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill(bytes);
        Ok(())
    }
}
