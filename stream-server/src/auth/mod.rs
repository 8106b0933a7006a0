//! Verifies OCI's request signatures with the RSA keys (PKCS#1 v1.5, SHA-256) of a folder.
//!
//! Everything is pure, except for reading the folder at the start: the time is an argument. A
//! request is verified in two steps, [`Verifier::verify_head`] before its body is read and
//! [`BodyHash::verify`] after. Oracle's error messages are short. These say what to change, and
//! reveal nothing that the client didn't send.

mod authorization;
mod keys;
mod recent;
mod rights;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderMap;
use jiff::fmt::rfc2822::DateTimeParser;
use keys::Key;
pub use keys::{KeyFolderError, KeyRing};
use recent::Recent;
pub use rights::{Right, Rights};
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use crate::time::TimeMs;

/// How far a request's date may be from the server's time, both ways (OCI).
const SKEW_MS_MAX: u64 = 300_000;
/// The most characters of the client's text that a message repeats.
const REPEATED_CHARS_MAX: usize = 300;

const TARGET: &str = "(request-target)";
const DATE: &str = "date";
const X_DATE: &str = "x-date";
const BODY_HASH: &str = "x-content-sha256";
/// What must be signed besides target, host and date, if the body is signed.
const BODY_NAMES: [&str; 3] = ["content-length", "content-type", BODY_HASH];

/// Why a request is not authenticated, in words for its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There is no header.
    #[error("The request has no Authorization header. Sign it (OCI request signature, version 1)")]
    Missing,
    /// The header has another form.
    #[error("The Authorization header is malformed: {0}")]
    Malformed(&'static str),
    /// The key is unknown.
    #[error(
        "The keyId {0:?} is unknown here. Add its public key to the server's key folder, as \
         NAME.pub.pem with NAME.keyid"
    )]
    UnknownKey(String),
    /// Something must be signed and isn't.
    #[error("The signature has to cover {0}: name it in \"headers\" of Authorization")]
    NotSigned(String),
    /// A signed header is missing.
    #[error("The signature names the header {0}, which the request does not have")]
    HeaderMissing(String),
    /// There are two dates, and Oracle uses the one that isn't signed.
    #[error("The request has an x-date, which counts instead of date, but it is not signed")]
    XDateUnsigned,
    /// There is no date.
    #[error("The {name} {value:?} is not a date like \"Thu, 05 Jan 2014 21:31:40 GMT\"")]
    DateUnreadable {
        /// `date` or `x-date`.
        name: &'static str,
        /// What was sent.
        value: String,
    },
    /// A clock is wrong, or the request is old.
    #[error(
        "The request's {name} is {sent}, the server's time is {now}: more than 5 minutes apart. \
         Set the clock, or sign anew before sending again"
    )]
    Skew {
        /// `date` or `x-date`.
        name: &'static str,
        /// The date of the request.
        sent: TimeMs,
        /// The server's time.
        now: TimeMs,
    },
    /// It was signed by another key, or something else was signed.
    #[error(
        "The signature does not fit this request and the key of this keyId. Verified were \
         {names:?}, with (request-target) {target:?} and host {host:?}. Check the private key, and \
         that nothing on the way changes path, Host or a signed header"
    )]
    Mismatch {
        /// The signed names.
        names: String,
        /// Its first characters.
        target: String,
        /// The header as it arrived.
        host: String,
    },
    /// The body differs from the signed one.
    #[error("The body's SHA-256 is {found}, but x-content-sha256 says {signed:?}")]
    BodyMismatch {
        /// What the header says.
        signed: String,
        /// What the body has.
        found: String,
    },
}

/// The part of a request that comes before its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// GET, POST, …
    pub method: &'a str,
    /// Path and query exactly as they were received: no slash removed, nothing decoded.
    pub target: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// What the signature of an operation has to cover (OCI: POST, PUT and PATCH have their body
/// signed, except PutMessages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Target, host and date.
    Head,
    /// Target, host and date, of an operation whose clients use one signature for many requests.
    HeadReused,
    /// Also length, type and SHA-256 of the body.
    Body,
}

/// What a signature says of a request whose body has not come yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What the owner of the key may do.
    pub rights: Rights,
    /// What the body must be.
    pub body: BodyHash,
}

/// The SHA-256 that a body must have, if it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct BodyHash(Option<String>);

impl BodyHash {
    /// Returns a value that accepts any body, because none was signed.
    pub fn any() -> Self {
        Self(None)
    }

    /// Compares the hash with a body.
    ///
    /// # Errors
    /// [`Unauthenticated::BodyMismatch`].
    pub fn verify(&self, body: &[u8]) -> Result<(), Unauthenticated> {
        let Some(signed) = &self.0 else { return Ok(()) };
        let found = STANDARD.encode(Sha256::digest(body));
        if found == *signed {
            return Ok(());
        }
        let signed = repeated(signed);
        Err(Unauthenticated::BodyMismatch { signed, found })
    }
}

/// Verifies requests.
#[derive(Debug)]
pub struct Verifier {
    keys: KeyRing,
    /// The host that clients use, if a proxy before this server rewrites it.
    external_host: Option<String>,
    recent: Recent,
}

impl Verifier {
    /// Returns a verifier with these keys. Signatures may cover the `host` as it arrives, or
    /// `external_host` (with its port, as clients write it).
    #[must_use]
    pub fn new(keys: KeyRing, external_host: Option<String>) -> Self {
        Self {
            keys,
            external_host,
            recent: Recent::default(),
        }
    }

    /// Verifies everything except the body.
    ///
    /// # Errors
    /// [`Unauthenticated`] says what to change.
    pub fn verify_head(
        &self,
        head: Head<'_>,
        coverage: Coverage,
        now: TimeMs,
    ) -> Result<Signed, Unauthenticated> {
        let header = head.headers.get(hyper::header::AUTHORIZATION);
        let header = header.ok_or(Unauthenticated::Missing)?;
        let text = header.to_str();
        let text = text.map_err(|_| Unauthenticated::Malformed("it is not ASCII"))?;
        let given = authorization::parse(text)?;
        let unknown = || Unauthenticated::UnknownKey(repeated(given.key_id));
        let Key { public, rights } = self.keys.get(given.key_id).ok_or_else(unknown)?;
        let names: Vec<String> = given.names.iter().map(|n| n.to_ascii_lowercase()).collect();
        let date = check_coverage(head.headers, &names, coverage)?;
        check_date(head.headers, date, now)?;
        self.verify_signature(public, &head, coverage, &names, given.signature)?;
        let hash = names.iter().any(|name| name == BODY_HASH);
        let hash = hash.then(|| value(head.headers, BODY_HASH)).flatten();
        Ok(Signed {
            rights: rights.clone(),
            body: BodyHash(hash.map(|hash| lossy(&hash))),
        })
    }

    fn verify_signature(
        &self,
        key: &RsaPublicKey,
        head: &Head<'_>,
        coverage: Coverage,
        names: &[String],
        signature: &str,
    ) -> Result<(), Unauthenticated> {
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| Unauthenticated::Malformed("its signature is not base64"))?;
        let host = value(head.headers, "host").unwrap_or_default();
        let external = self.external_host.as_ref().map(|host| host.as_bytes());
        for host in [Some(host.as_slice()), external].into_iter().flatten() {
            let hash: [u8; 32] = Sha256::digest(signing_string(head, names, host)?).into();
            let fits = || {
                let scheme = Pkcs1v15Sign::new::<rsa::sha2::Sha256>();
                key.verify(scheme, &hash, &signature).is_ok()
            };
            let verified = match coverage {
                Coverage::HeadReused => self.recent.contains_or(key, &hash, &signature, fits),
                Coverage::Head | Coverage::Body => fits(),
            };
            if verified {
                return Ok(());
            }
        }
        Err(Unauthenticated::Mismatch {
            names: repeated(&names.join(" ")),
            target: repeated(head.target),
            host: repeated(&lossy(&host)),
        })
    }
}

/// Checks that enough is signed; returns the name of the date that counts.
fn check_coverage(
    headers: &HeaderMap,
    names: &[String],
    coverage: Coverage,
) -> Result<&'static str, Unauthenticated> {
    let signed = |name: &str| names.iter().any(|signed| signed == name);
    let body: &[&str] = match coverage {
        Coverage::Head | Coverage::HeadReused => &[],
        Coverage::Body => &BODY_NAMES,
    };
    let mut missing: Vec<&str> = [TARGET, "host"].iter().chain(body).copied().collect();
    missing.retain(|name| !signed(name));
    if !signed(DATE) && !signed(X_DATE) {
        missing.push("date or x-date");
    }
    if !missing.is_empty() {
        return Err(Unauthenticated::NotSigned(missing.join(", ")));
    }
    match (headers.contains_key(X_DATE), signed(X_DATE)) {
        // Otherwise somebody with an old request could give it a new date.
        (true, false) => Err(Unauthenticated::XDateUnsigned),
        (true, true) => Ok(X_DATE),
        (false, _) => Ok(DATE),
    }
}

fn check_date(headers: &HeaderMap, name: &'static str, now: TimeMs) -> Result<(), Unauthenticated> {
    let missing = || Unauthenticated::HeaderMissing(name.to_owned());
    let text = lossy(&value(headers, name).ok_or_else(missing)?);
    // RFC 9110's form is one of RFC 5322's forms. Oracle's own example has the wrong day of the
    // week.
    let sent = DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(&text)
        .ok()
        .and_then(|date| u64::try_from(date.as_millisecond()).ok())
        .map(TimeMs);
    let sent = sent.ok_or_else(|| Unauthenticated::DateUnreadable {
        name,
        value: repeated(&text),
    })?;
    if sent.0.abs_diff(now.0) > SKEW_MS_MAX {
        return Err(Unauthenticated::Skew { name, sent, now });
    }
    Ok(())
}

/// Returns what was signed: `name: value` of each name, in order, separated by line feeds.
fn signing_string(
    head: &Head<'_>,
    names: &[String],
    host: &[u8],
) -> Result<Vec<u8>, Unauthenticated> {
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        let value = match name.as_str() {
            TARGET => {
                let method = head.method.to_ascii_lowercase();
                format!("{method} {}", head.target).into_bytes()
            }
            "host" if !host.is_empty() => host.to_owned(),
            name => {
                let missing = || Unauthenticated::HeaderMissing(repeated(name));
                value(head.headers, name).ok_or_else(missing)?
            }
        };
        lines.push([name.as_bytes(), b": ", &value].concat());
    }
    Ok(lines.join(&b'\n'))
}

/// Returns a header's value; several of one name are one list (RFC 9110 §5.3).
fn value(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
    (!values.is_empty()).then(|| values.join(b", ".as_slice()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn repeated(text: &str) -> String {
    text.chars().take(REPEATED_CHARS_MAX).collect()
}
