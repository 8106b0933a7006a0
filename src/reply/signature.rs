//! Signatures of replies, by Standard Webhooks 1.0.0 ("Signature scheme" and "Webhook headers").
//!
//! A receiver that has the secret can tell that a reply comes from this gateway, that nobody has
//! changed it, and that it is not an old one that was sent again.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{SECRET_KEY_LENGTH, Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::SIGNING_SECRETS_MAX;

/// The prefixes of a secret for HMAC, and of a secret key and a public key of Ed25519.
const PREFIX: &str = "whsec_";
const KEY_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// Bytes of a secret: 192 to 512 bits.
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// The end of a reply's id when its headers are signed. So the content of a reply, which its target
/// has written, can't pass for headers.
const HEADERS_SUFFIX: &str = "_marks";

/// A secret.
#[derive(Clone, PartialEq, Eq)]
enum Secret {
    /// SHA-256 works on blocks of 64 bytes and HMAC fills a shorter key up with zeros (RFC 2104
    /// §2), so a secret of any allowed length is one block.
    Hmac([u8; SECRET_BYTES_MAX]),
    /// Receivers know only its public key, and can't sign anything themselves.
    Ed25519(Box<SigningKey>),
}

/// The secrets that sign replies. Each of several secrets gives a signature of its own: while
/// receivers change over to a new secret, or if some of them have only a public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl fmt::Debug for Secrets {
    /// Shows how many secrets there are, and nothing else: configurations are logged.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({} hidden)", self.0.len())
    }
}

/// Why a text contains no valid secrets. The message says what is allowed and reveals nothing of
/// the text, which may be nearly a secret.
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
    /// with padding, of 24 to 64 bytes for HMAC-SHA256; or `whsk_` and that of a secret key of
    /// Ed25519: 32 bytes (RFC 8032 §5.1.5), or 64 with the public key behind them.
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
                     {SECRET_BYTES_MAX} random bytes, or {KEY_PREFIX} and that of the 32 bytes of \
                     an Ed25519 key",
                    index.saturating_add(1)
                ))
            })
        });
        Ok(Self(secrets.collect::<Result<_, _>>()?))
    }

    /// Returns the value of `webhook-signature`: a `v1,<base64>` or `v1a,<base64>` for each secret,
    /// separated by spaces.
    ///
    /// `id` is the value of `webhook-id`. It must not contain a full stop, which separates it from
    /// what follows. `timestamp_s` is the value of `webhook-timestamp`: when the attempt is made,
    /// in seconds since the Unix epoch.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        debug_assert!(!id.contains('.'));
        let start = format!("{id}.{timestamp_s}.");
        let signatures = self.0.iter().map(|secret| secret.sign(&start, body));
        signatures.collect::<Vec<_>>().join(" ")
    }

    /// Returns the value of `async-signature`, which covers what Standard Webhooks leaves out: the
    /// headers of the reply. It has the form of `webhook-signature`, so that the same library
    /// verifies it, with the id `<webhook-id>_marks` and [`canonical_headers`] for the content.
    #[must_use]
    pub fn sign_headers(&self, id: &str, timestamp_s: u64, headers: &[u8]) -> String {
        self.sign(&format!("{id}{HEADERS_SUFFIX}"), timestamp_s, headers)
    }

    /// Returns the public keys of the secrets that have one, in the form for receivers.
    pub fn public_keys(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|secret| match secret {
            Secret::Hmac(_) => None,
            Secret::Ed25519(key) => {
                let key = BASE64.encode(key.verifying_key().as_bytes());
                Some(format!("{PUBLIC_PREFIX}{key}"))
            }
        })
    }
}

/// Returns the text that is signed for the headers of a reply: a line `name:value` with a line feed
/// for each field whose name starts with `async-`, in lower case and in the order of the names.
/// Fields of one name are one line, in their order, with a comma and a space between the values.
#[must_use]
pub fn canonical_headers<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut lines: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in fields.filter(|(name, _)| name.starts_with("async-")) {
        lines.entry(name).or_default().push(value);
    }
    let mut text = Vec::new();
    for (name, values) in lines {
        let value = values.join(&b", "[..]);
        text.extend([name.as_bytes(), b":", &value, b"\n"].concat());
    }
    text
}

impl Secret {
    fn parse(text: &str) -> Result<Self, String> {
        // The decoder's error would quote a character of the secret.
        let decode = |encoded: &str| {
            let bytes = BASE64.decode(encoded);
            bytes.map_err(|_| "is not standard base64 with padding".to_owned())
        };
        if let Some(encoded) = text.strip_prefix(KEY_PREFIX) {
            return Self::ed25519(&decode(encoded)?);
        }
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("starts with neither {PREFIX} nor {KEY_PREFIX}"))?;
        let bytes = decode(encoded)?;
        let mut block = [0; SECRET_BYTES_MAX];
        match block.get_mut(..bytes.len()) {
            Some(start) if bytes.len() >= SECRET_BYTES_MIN => start.copy_from_slice(&bytes),
            _ => return Err(format!("has {} bytes", bytes.len())),
        }
        Ok(Self::Hmac(block))
    }

    fn ed25519(bytes: &[u8]) -> Result<Self, String> {
        let (seed, public) = bytes
            .split_at_checked(SECRET_KEY_LENGTH)
            .unwrap_or_default();
        let seed = <&[u8; SECRET_KEY_LENGTH]>::try_from(seed);
        let seed = seed.map_err(|_| format!("has {} bytes", bytes.len()))?;
        let key = SigningKey::from_bytes(seed);
        let own = key.verifying_key();
        if !public.is_empty() && public != own.as_bytes() {
            return Err("has another public key than its own behind it".to_owned());
        }
        Ok(Self::Ed25519(Box::new(key)))
    }

    fn sign(&self, start: &str, body: &[u8]) -> String {
        match self {
            Self::Hmac(block) => {
                let code = Hmac::<Sha256>::new(block.into())
                    .chain_update(start)
                    .chain_update(body)
                    .finalize();
                format!("v1,{}", BASE64.encode(code.into_bytes()))
            }
            Self::Ed25519(key) => {
                let signature = key.sign(&[start.as_bytes(), body].concat());
                format!("v1a,{}", BASE64.encode(signature.to_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secret, message and signature from the tests of the reference libraries.
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
        let wrong_half = format!("{KEY_PREFIX}{}", BASE64.encode([7; 64]));
        for (text, expected) in [
            ("", "holds 0 secrets; give 1 to 4, separated by spaces"),
            (&five, "holds 5 secrets; give 1 to 4"),
            (
                "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "starts with neither whsec_ nor whsk_",
            ),
            (
                "whsk_C2FVsBQIhrscChlQIMV+b5sS",
                "secret 1 has 18 bytes; give whsec_ and",
            ),
            (&wrong_half, "secret 1 has another public key than its own"),
            ("whsec_C2FVsBQI*", "secret 1 is not standard base64"),
            (&secret(25).replace('=', ""), "is not standard base64"),
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

    /// RFC 8032 §7.1, the keys of test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.chars().map(|digit| digit.to_digit(16).unwrap());
        let digits: Vec<u32> = digits.collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn key() -> String {
        format!("{KEY_PREFIX}{}", BASE64.encode(hex(SEED)))
    }

    #[test]
    fn a_key_of_ed25519_gives_the_signature_of_the_rfc() {
        let key = Secret::parse(&key()).unwrap();
        // Its message is one byte.
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                        085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(
            key.sign("", &[0x72]),
            format!("v1a,{}", BASE64.encode(hex(expected)))
        );
        assert_eq!(key.sign("r", b""), key.sign("", b"r"));
    }

    #[test]
    fn receivers_are_given_the_public_key() {
        let with_public = [hex(SEED), hex(PUBLIC)].concat();
        let with_public = format!("{KEY_PREFIX}{}", BASE64.encode(with_public));
        let secrets = Secrets::parse(&format!("{SECRET} {with_public}")).unwrap();
        let public: Vec<String> = secrets.public_keys().collect();
        assert_eq!(
            public,
            [format!("{PUBLIC_PREFIX}{}", BASE64.encode(hex(PUBLIC)))]
        );
        let both = secrets.sign("a", 1, b"x");
        let (first, second) = both.split_once(' ').unwrap();
        assert!(first.starts_with("v1,") && second.starts_with("v1a,"));
        assert_eq!(second, Secrets::parse(&key()).unwrap().sign("a", 1, b"x"));
    }

    #[test]
    fn marks_are_signed_in_one_form_whatever_their_order() {
        let fields = [
            ("content-type", "text/plain"),
            ("async-status", "201"),
            ("async-response-link", "<a>"),
            ("async-call-id", "c1"),
            ("async-response-link", "<b>, <c>"),
            ("async-response-x", ""),
            ("async-response-y", ""),
            ("async-response-y", "1"),
        ];
        let expected = "async-call-id:c1\nasync-response-link:<a>, <b>, <c>\n\
                        async-response-x:\nasync-response-y:, 1\nasync-status:201\n";
        let headers = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            String::from_utf8(canonical_headers(fields)).unwrap()
        };
        assert_eq!(headers(&fields), expected);
        let secrets = Secrets::parse(SECRET).unwrap();
        let signed = secrets.sign_headers("c1", 7, expected.as_bytes());
        assert_ne!(
            signed,
            secrets.sign("c1", 7, expected.as_bytes()),
            "no content is a mark"
        );
        assert_eq!(signed, secrets.sign("c1_marks", 7, expected.as_bytes()));
    }
}
