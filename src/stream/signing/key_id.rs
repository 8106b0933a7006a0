//! Whose key it is.

use std::fmt;

/// What `keyId` says: `<tenancy OCID>/<user OCID>/<fingerprint>` for an API key, or `ST$` and a
/// security token, which is a JSON Web Token.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyId(String);

/// An API key's fingerprint as OCI shows it: the MD5 of its public key (DER, SubjectPublicKeyInfo)
/// in hexadecimal, with a colon between bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub String);

impl KeyId {
    /// Checks a `keyId`.
    ///
    /// # Errors
    /// What is wrong with it, and what it should be; the text completes "the key id …".
    pub fn parse(text: &str) -> Result<Self, String> {
        // It stands between quotation marks in a field value.
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if text.is_empty() || !text.bytes().all(fits) {
            return Err("must be printable ASCII without spaces and quotation marks".to_owned());
        }
        if let Some(token) = text.strip_prefix("ST$") {
            return if token.is_empty() {
                Err("has no token behind ST$".to_owned())
            } else {
                Ok(Self(text.to_owned()))
            };
        }
        let parts: Vec<&str> = text.split('/').collect();
        let [tenancy, user, fingerprint] = parts.as_slice() else {
            let parts = parts.len();
            return Err(format!(
                "must be <tenancy OCID>/<user OCID>/<fingerprint> or ST$<token>; this has {parts} \
                 part(s)"
            ));
        };
        for (ocid, kind) in [(tenancy, "tenancy"), (user, "user")] {
            if !ocid.starts_with(&format!("ocid1.{kind}.")) {
                return Err(format!("must have the OCID of a {kind}, ocid1.{kind}.…"));
            }
        }
        Fingerprint::check(fingerprint)?;
        Ok(Self(text.to_owned()))
    }

    /// As it stands in `Authorization`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fingerprint that it names; none with a token.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let (_, fingerprint) = self.0.rsplit_once('/')?;
        let is_token = self.0.starts_with("ST$");
        (!is_token).then(|| Fingerprint(fingerprint.to_ascii_lowercase()))
    }
}

impl Fingerprint {
    /// Sixteen bytes in hexadecimal with colons.
    fn check(text: &str) -> Result<(), String> {
        let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if text.split(':').count() == 16 && text.split(':').all(is_byte) {
            return Ok(());
        }
        Err("must have a fingerprint: 16 bytes in hexadecimal with colons between".to_owned())
    }
}

impl fmt::Display for KeyId {
    /// For logs: a token is left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with("ST$") {
            formatter.write_str("ST$…")
        } else {
            formatter.write_str(&self.0)
        }
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "73:61:a2:21:67:e0:df:be:7e:4b:93:1e:15:98:a5:b7";

    #[test]
    fn key_ids_of_api_keys_and_tokens_are_taken() {
        let api = format!("ocid1.tenancy.oc1..t/ocid1.user.oc1..u/{FINGERPRINT}");
        let parsed = KeyId::parse(&api).unwrap();
        assert_eq!(parsed.as_str(), api);
        assert_eq!(parsed.fingerprint(), Some(Fingerprint(FINGERPRINT.into())));
        let token = KeyId::parse("ST$eyJ.a/b.c").unwrap();
        assert_eq!(token.fingerprint(), None);
        assert_eq!(format!("{token} {token:?}"), "ST$… KeyId(ST$…)");
    }

    #[test]
    fn what_is_no_key_id_says_what_is_allowed() {
        for (text, expected) in [
            ("", "printable"),
            ("a b", "printable"),
            ("a\"b", "printable"),
            ("ST$", "no token"),
            ("ocid1.user.oc1..u", "has 1 part"),
            ("ocid1.user.oc1..u/ocid1.tenancy.oc1..t/x", "of a tenancy"),
            ("ocid1.tenancy.oc1..t/ocid1.group.oc1..t/x", "of a user"),
            ("ocid1.tenancy.oc1..t/ocid1.user.oc1..u/73:61", "16 bytes"),
        ] {
            let error = KeyId::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
