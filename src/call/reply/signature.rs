//! Signatures of replies, by Standard Webhooks 1.0.0 ("Signature scheme" and "Webhook headers").
//!
//! A receiver that has the secret can tell that a reply comes from this gateway, that nobody has
//! changed it, and that it is not an old one sent again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::SIGNING_SECRETS_MAX;

/// What a secret starts with.
const PREFIX: &str = "whsec_";

/// Bytes of a secret: 192 to 512 bits.
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// One secret. SHA-256 works on blocks of 64 bytes and HMAC fills a shorter key up with zeros
/// (RFC 2104 §2), so that a secret of any allowed length is one block.
#[derive(Clone, PartialEq, Eq)]
struct Secret([u8; SECRET_BYTES_MAX]);

/// The secrets that replies are signed with: one, or while receivers change over to a new one
/// both, each of which gives a signature of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl fmt::Debug for Secrets {
    /// How many there are, and nothing of them: configurations are logged.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({} hidden)", self.0.len())
    }
}

/// Why a text holds no secrets. It says what is allowed and nothing of the text, which may be
/// nearly a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl Secrets {
    /// Reads 1 to 4 secrets, separated by white space. Each is `whsec_` and the standard base64,
    /// with padding, of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says which secret is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() || words.len() > SIGNING_SECRETS_MAX {
            return Err(SecretError(format!(
                "holds {} secrets; give 1 to {SIGNING_SECRETS_MAX}, separated by spaces",
                words.len()
            )));
        }
        let secrets = words.iter().enumerate().map(|(index, word)| {
            Secret::parse(word).map_err(|why| {
                SecretError(format!(
                    "secret {} {why}; give {PREFIX} and the base64 of {SECRET_BYTES_MIN} to \
                     {SECRET_BYTES_MAX} random bytes",
                    index.saturating_add(1)
                ))
            })
        });
        Ok(Self(secrets.collect::<Result<_, _>>()?))
    }

    /// The value of `webhook-signature`: a `v1,<base64>` by each secret, separated by spaces.
    ///
    /// `id` is the value of `webhook-id` and must hold no full stop, which separates it from what
    /// follows. `timestamp_s` is that of `webhook-timestamp`: when the attempt is made, in seconds
    /// since the Unix epoch.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        debug_assert!(!id.contains('.'));
        let start = format!("{id}.{timestamp_s}.");
        let signatures = self.0.iter().map(|secret| {
            let code = Hmac::<Sha256>::new(&secret.0.into())
                .chain_update(&start)
                .chain_update(body)
                .finalize();
            format!("v1,{}", BASE64.encode(code.into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("does not start with {PREFIX}"))?;
        // The decoder's error would quote a character of the secret.
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| "is no standard base64 with padding".to_owned())?;
        let mut block = [0; SECRET_BYTES_MAX];
        match block.get_mut(..bytes.len()) {
            Some(start) if bytes.len() >= SECRET_BYTES_MIN => start.copy_from_slice(&bytes),
            _ => return Err(format!("has {} bytes", bytes.len())),
        }
        Ok(Self(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secret, message and signature that the reference libraries test themselves with.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const TIMESTAMP_S: u64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn secret(bytes: usize) -> String {
        format!("{PREFIX}{}", BASE64.encode(vec![7; bytes]))
    }

    #[test]
    fn the_signature_is_that_of_the_reference_libraries() {
        let secrets = Secrets::parse(SECRET).unwrap();
        assert_eq!(secrets.sign(ID, TIMESTAMP_S, BODY), SIGNATURE);
    }

    #[test]
    fn everything_that_is_signed_counts() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let other = Secrets::parse(&secret(24)).unwrap();
        for changed in [
            secrets.sign("msg_other", TIMESTAMP_S, BODY),
            secrets.sign(ID, TIMESTAMP_S + 1, BODY),
            secrets.sign(ID, TIMESTAMP_S, b"other"),
            other.sign(ID, TIMESTAMP_S, BODY),
        ] {
            assert!(changed.starts_with("v1,") && changed.len() == SIGNATURE.len());
            assert_ne!(changed, SIGNATURE);
        }
    }

    #[test]
    fn while_secrets_change_each_gives_a_signature() {
        let (old, new) = (SECRET.to_owned(), secret(64));
        let alone = |text: &str| Secrets::parse(text).unwrap().sign(ID, 1, b"\xff");
        let both = alone(&format!(" {new}  {old}\n"));
        assert_eq!(both, format!("{} {}", alone(&new), alone(&old)));
    }

    #[test]
    fn what_is_no_secret_says_what_is_allowed() {
        let five = [SECRET; 5].join(" ");
        let second = format!("{SECRET} whsec_");
        for (text, expected) in [
            ("", "holds 0 secrets; give 1 to 4, separated by spaces"),
            (&five, "holds 5 secrets; give 1 to 4"),
            ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "start with whsec_"),
            ("whsk_C2FVsBQIhrscChlQIMV+b5sS", "start with whsec_"),
            ("whsec_C2FVsBQI*", "secret 1 is no standard base64"),
            (&secret(25).replace('=', ""), "is no standard base64"),
            (&secret(23), "secret 1 has 23 bytes; give whsec_ and"),
            (&secret(65), "secret 1 has 65 bytes; give whsec_ and"),
            (&second, "secret 2 has 0 bytes; give whsec_ and"),
        ] {
            let error = Secrets::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("C2FV"), "{error} shows a secret");
        }
        for bytes in [24, 25, 63, 64] {
            assert!(Secrets::parse(&secret(bytes)).is_ok(), "{bytes}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let secrets = Secrets::parse(SECRET).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1 hidden)");
        assert_eq!(format!("{:#?}", Some(&secrets)).matches("C2FV").count(), 0);
    }
}
