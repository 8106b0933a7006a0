//! Who calls: a *caller key* tells callers apart, and doesn't reveal who they are.
//!
//! It is a keyed hash of what distinguishes a request's sender: what an authentication filter has
//! found out, else the headers that hold credentials, else the peer's certificate, else its
//! address. It scopes idempotency keys and quotas, and callers who share a queue or a limit take
//! turns by it.

pub mod order_key;
pub mod share;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::caller::order_key::OrderKeyScope;
use crate::headers::dashed;
use crate::http::{Fields, all};

/// Minimum number of characters of a configured secret: 32 of them hold 128 bits even in
/// hexadecimal.
const SECRET_CHARACTERS_MIN: usize = 32;
const SECRET_CHARACTERS_MAX: usize = 1_024;

/// HMAC-SHA-256 fills its key up with zeros to a block (RFC 2104 §2).
const BLOCK_BYTES: usize = 64;

/// What tells callers apart, as the operator has configured it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerRules {
    /// Fields, named in lower case.
    pub headers: Vec<String>,
    /// Where an authentication filter leaves its finding: the filter's name, then a path of keys.
    pub metadata: Option<Vec<String>>,
}

impl CallerRules {
    /// Returns whether a server that can't tell an underscore from a hyphen takes this name, in
    /// lower case, for a header that tells callers apart. Nothing has checked such a header.
    #[must_use]
    pub fn is_lookalike(&self, name: &str) -> bool {
        let is_like = |header: &String| header != name && dashed(header) == dashed(name);
        self.headers.iter().any(is_like) && !self.headers.iter().any(|header| header == name)
    }
}

/// What distinguishes the sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    kind: Kind,
    parts: Vec<Vec<u8>>,
}

/// The kind of an identity. It is hashed too, so that identities of two kinds are never the same
/// caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Metadata,
    Headers,
    Certificate,
    Address,
}

impl Kind {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Metadata => b"metadata",
            Self::Headers => b"headers",
            Self::Certificate => b"certificate",
            Self::Address => b"address",
        }
    }
}

impl CallerIdentity {
    /// Returns what distinguishes the sender of a request with these fields; `None` if nothing
    /// does. `property` returns Envoy's attribute of a name, if there is one.
    pub fn find(
        rules: &CallerRules,
        fields: &Fields,
        property: impl Fn(&[&str]) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let property = |path: &[&str]| property(path).filter(|value| !value.is_empty());
        let identity = |kind, parts| Some(Self { kind, parts });
        if let Some(path) = &rules.metadata {
            let mut full = vec!["metadata", "filter_metadata"];
            full.extend(path.iter().map(String::as_str));
            if let Some(value) = property(&full) {
                return identity(Kind::Metadata, vec![value]);
            }
        }
        let headers = of_headers(&rules.headers, fields);
        if !headers.is_empty() {
            return identity(Kind::Headers, headers);
        }
        if property(&["connection", "mtls"]).is_some_and(|mtls| mtls != [0]) {
            // A certificate may have a name, or only alternative ones (RFC 5280 §4.2.1.6).
            let names = [
                "subject_peer_certificate",
                "uri_san_peer_certificate",
                "dns_san_peer_certificate",
            ];
            let names = names.map(|name| property(&["connection", name]));
            if names.iter().any(Option::is_some) {
                let parts = names.into_iter().map(Option::unwrap_or_default);
                return identity(Kind::Certificate, parts.collect());
            }
        }
        let address = property(&["source", "address"])?;
        identity(Kind::Address, vec![without_port(&address).to_vec()])
    }

    /// Returns whether the identity is only an address. A client may change its address, and share
    /// it with others.
    #[must_use]
    pub const fn is_address(&self) -> bool {
        matches!(self.kind, Kind::Address)
    }

    /// Returns the identity of a peer at an address, for drivers other than Envoy.
    #[must_use]
    pub fn of_address(address: &str) -> Self {
        Self {
            kind: Kind::Address,
            parts: vec![without_port(address.as_bytes()).to_vec()],
        }
    }
}

/// Returns the names of the fields that are present, and their values.
fn of_headers(names: &[String], fields: &Fields) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for name in names {
        let values: Vec<&[u8]> = all(fields, name).collect();
        if values.iter().any(|value| !value.is_empty()) {
            parts.push(name.clone().into_bytes());
            parts.push(values.len().to_string().into_bytes());
            parts.extend(values.into_iter().map(<[u8]>::to_vec));
        }
    }
    parts
}

/// Returns the host of `192.0.2.1:80` and `[2001:db8::1]:80`; anything else stays as it is.
fn without_port(address: &[u8]) -> &[u8] {
    let colon = address.iter().rposition(|byte| *byte == b':');
    let split = colon.and_then(|at| address.split_at_checked(at));
    match split {
        Some((host, port)) if port.iter().skip(1).all(u8::is_ascii_digit) => host,
        _ => address,
    }
}

/// A caller's key: 128 bits of a keyed hash, written in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallerKey(u128);

impl CallerKey {
    /// The key of all callers of whom nothing is known.
    pub const UNKNOWN: Self = Self(0);

    /// Reads text that anybody may have written; `None` if it is not a valid caller key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == 32 && text.bytes().all(is_hex);
        let key = Self(u128::from_str_radix(text, 16).ok().filter(|_| fits)?);
        (key != Self::UNKNOWN).then_some(key)
    }
}

impl fmt::Display for CallerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// The secret with which callers and their idempotency keys are hashed. Without it nobody can tell
/// who is behind a caller key, or choose keys that collide with those of another caller.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerSecret([u8; BLOCK_BYTES]);

impl fmt::Debug for CallerSecret {
    /// Shows nothing of the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CallerSecret(hidden)")
    }
}

impl CallerSecret {
    /// Returns a secret of bytes that nobody can guess, of any length.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        for (byte, hashed) in block.iter_mut().zip(Sha256::digest(bytes)) {
            *byte = hashed;
        }
        Self(block)
    }

    /// Reads a text that an operator has configured.
    ///
    /// # Errors
    /// Says what is allowed, and reveals nothing of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = SECRET_CHARACTERS_MIN..=SECRET_CHARACTERS_MAX;
        if length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self::of(text.as_bytes()));
        }
        Err(format!(
            "must be {SECRET_CHARACTERS_MIN} to {SECRET_CHARACTERS_MAX} visible ASCII characters \
             that nobody can guess, such as the output of `openssl rand -hex 32`"
        ))
    }

    /// Returns the key of the caller with this identity.
    #[must_use]
    pub fn caller(&self, identity: &CallerIdentity) -> CallerKey {
        let parts = identity.parts.iter().map(Vec::as_slice);
        let hash = self.hash(b"caller", std::iter::once(identity.kind.tag()).chain(parts));
        // Zero means unknown, so no identity may get it by chance.
        CallerKey(u128::from_be_bytes(hash).max(1))
    }

    /// Returns 128 bits of HMAC-SHA-256 over parts that can't run into each other. `what` is hashed
    /// too, so that hashes of different things never collide.
    pub(crate) fn hash<'a>(
        &self,
        what: &'a [u8],
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        for part in std::iter::once(what).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut hash = [0; 16];
        for (byte, hashed) in hash.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte = hashed;
        }
        hash
    }
}

/// The configuration of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallersConfig {
    /// What tells callers apart.
    pub rules: CallerRules,
    /// How many calls of one caller may be deferred, counted by each worker.
    pub deferred_max: usize,
    /// Which callers have order keys of their own.
    pub order_keys: OrderKeyScope,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Envoy's attributes say about the peer.
    type Attributes = &'static [(&'static str, &'static str)];

    fn rules() -> CallerRules {
        let path = ["envoy.filters.http.jwt_authn", "payload", "sub"];
        CallerRules {
            headers: vec!["authorization".to_owned(), "x-api-key".to_owned()],
            metadata: Some(path.map(str::to_owned).to_vec()),
        }
    }

    fn identity(fields: &[(&str, &str)], attributes: Attributes) -> Option<CallerIdentity> {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).into()));
        CallerIdentity::find(&rules(), &fields.collect(), |path| {
            let path = path.join("/");
            let mut attributes = attributes.iter();
            let found = attributes.find(|(name, _)| *name == path);
            let is_mtls = path == "connection/mtls";
            let found = found.map(|(_, value)| (*value).into());
            found.or_else(|| is_mtls.then(|| vec![1]))
        })
    }

    fn caller(fields: &[(&str, &str)], attributes: Attributes) -> CallerKey {
        CallerSecret::of(b"s").caller(&identity(fields, attributes).unwrap())
    }

    const SUB: &str = "metadata/filter_metadata/envoy.filters.http.jwt_authn/payload/sub";

    #[test]
    fn the_surest_identity_counts() {
        let all: Attributes = &[
            (SUB, "me"),
            ("connection/subject_peer_certificate", "CN=a"),
            ("source/address", "192.0.2.1:80"),
        ];
        let fields = [("authorization", "Bearer 1")];
        assert_eq!(caller(&fields, all), caller(&[], &[(SUB, "me")]));
        assert_eq!(caller(&fields, &all[1..]), caller(&fields, &[]));
        assert_eq!(caller(&[], &all[1..]), caller(&[], &all[1..2]));
        assert_eq!(
            caller(&[], &all[2..]),
            caller(&[], &[("source/address", "192.0.2.1:99")]),
            "a port is nobody"
        );
        assert_eq!(identity(&[], &[]), None);
        assert_eq!(identity(&[("authorization", "")], &[(SUB, "")]), None);
    }

    #[test]
    fn whoever_differs_is_another() {
        let callers = [
            caller(&[], &[(SUB, "a")]),
            caller(&[], &[("source/address", "a")]),
            caller(&[], &[("source/address", "b")]),
            caller(&[], &[("source/address", "[2001:db8::1]:80")]),
            caller(&[], &[("connection/subject_peer_certificate", "a")]),
            caller(&[], &[("connection/uri_san_peer_certificate", "a")]),
            caller(&[("authorization", "a")], &[]),
            caller(&[("x-api-key", "a")], &[]),
            caller(&[("authorization", "a"), ("x-api-key", "a")], &[]),
            caller(&[("authorization", "a"), ("authorization", "a")], &[]),
        ];
        let different: std::collections::BTreeSet<_> = callers.iter().collect();
        assert_eq!(different.len(), callers.len());
        let identity = CallerIdentity::of_address("192.0.2.1");
        let other = CallerSecret::of(b"t").caller(&identity);
        assert_ne!(CallerSecret::of(b"s").caller(&identity), other);
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = caller(&[("authorization", "a")], &[]);
        assert_eq!(CallerKey::parse(&key.to_string()), Some(key));
        for bad in [
            "",
            "x",
            &"g".repeat(32),
            &"A".repeat(32),
            &"a".repeat(33),
            &"0".repeat(32),
            &format!("+{}", "a".repeat(31)),
        ] {
            assert_eq!(CallerKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_secret_is_long_and_shows_nothing_of_itself() {
        let text = "0123456789abcdef0123456789abcdef";
        let secret = CallerSecret::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(secret, CallerSecret::of(text.as_bytes()));
        assert!(!format!("{secret:?}").contains("0123"));
        for bad in ["", "short", &"é".repeat(40), &"x".repeat(1_025)] {
            assert!(CallerSecret::parse(bad).is_err());
        }
    }
}
