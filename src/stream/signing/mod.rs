//! How OCI's requests are signed: `Signature version="1"` with `rsa-sha256`, after
//! draft-cavage-http-signatures-08 and Oracle's "Request Signatures".
//!
//! A signature covers the date, method, target and host, and, but for PutMessages, the content.

pub mod envoy;
mod key;
mod key_id;
mod key_search;
mod trouble;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::http::OutgoingRequest;
use crate::time::Wall;

pub use key::{KEY_BITS_MIN, KeyError, PrivateKey};
pub use key_id::{Fingerprint, KeyId};
pub use key_search::{KeySearch, Step};
pub use trouble::{clock_trouble, explain};

/// As whom, and with which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningConfig {
    /// By an API key, or by a token that nobody renews.
    Key(KeyConfig),
    /// By a token of what this gateway runs in, which is renewed.
    Principal(PrincipalConfig),
}

/// A key that the operator gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    /// As whom.
    pub key_id: KeyId,
    /// The environment variable, of Envoy's VM, that holds the private key.
    pub private_key_environment: String,
}

/// Who vouches for this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The compute instance: a certificate of its metadata service is exchanged for a token.
    Instance,
    /// The resource that OCI has started, such as a container instance: it has the token and the
    /// key as files, which it renews.
    Resource,
    /// The workload in a cluster of OKE: the token of its service account is exchanged.
    Workload,
}

/// Where a principal's tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalConfig {
    /// Who vouches.
    pub kind: PrincipalKind,
    /// The Envoy cluster that exchanges tokens: OCI's auth service, or that of OKE.
    pub auth_cluster: String,
    /// The `Host` that it expects.
    pub auth_authority: String,
    /// The Envoy cluster of the instance's metadata service.
    pub metadata_cluster: String,
    /// The Envoy cluster that serves files.
    pub files_cluster: String,
}

impl PrincipalKind {
    /// As it stands in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Resource => "resource",
            Self::Workload => "workload",
        }
    }
}

/// How long one signature serves for PutMessages. OCI takes a date for five minutes; a minute
/// leaves room for a clock that is wrong and for a request that is slow.
const REUSE_MAX: Duration = Duration::from_secs(60);

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2), by one private key. It is deterministic: whoever
/// does it gets the same bytes.
pub trait RsaSha256 {
    /// The signature of `text`.
    ///
    /// # Errors
    /// Why there is none, for the log.
    fn sign(&mut self, text: &[u8]) -> Result<Vec<u8>, String>;

    /// Who does the arithmetic, for the log.
    fn name(&self) -> &'static str;
}

/// The fields that make a request a signed one.
#[derive(Clone, Debug)]
struct Signature {
    date: String,
    authorization: String,
}

/// Signs requests by one key.
pub struct Signer {
    key_id: KeyId,
    rsa: Box<dyn RsaSha256>,
    /// PutMessages' signatures, by host and path: one for each stream that we publish on.
    reusable: BTreeMap<(Vec<u8>, Vec<u8>), (Wall, Signature)>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signer({})", self.key_id)
    }
}

impl Signer {
    /// Signs as `key_id` with what `rsa` has for a key.
    #[must_use]
    pub fn new(key_id: KeyId, rsa: Box<dyn RsaSha256>) -> Self {
        Self {
            key_id,
            rsa,
            reusable: BTreeMap::new(),
        }
    }

    /// As whom.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Signs a request with its content, if its method has any (`content-length` has to be there,
    /// even if it is 0). `now` becomes its date.
    ///
    /// # Errors
    /// Why it can't be signed; it is as it was.
    pub fn sign(&mut self, request: &mut OutgoingRequest, now: Wall) -> Result<(), String> {
        let hash = match field(request, ":method") {
            b"POST" | b"PUT" | b"PATCH" => {
                Some(BASE64.encode(Sha256::digest(request.body.as_slice())))
            }
            _ => None,
        };
        let signature = self.signature(request, hash.as_deref(), now)?;
        if let Some(hash) = hash {
            push(request, "x-content-sha256", hash);
        }
        put(request, signature);
        Ok(())
    }

    /// Signs a PutMessages, whose content OCI leaves out of the signature. So requests to the same
    /// stream share one for up to a minute.
    ///
    /// # Errors
    /// Why it can't be signed; it is as it was.
    pub fn sign_put_messages(
        &mut self,
        request: &mut OutgoingRequest,
        now: Wall,
    ) -> Result<(), String> {
        let stream = (
            field(request, ":authority").to_vec(),
            field(request, ":path").to_vec(),
        );
        if let Some((at, signature)) = self.reusable.get(&stream)
            // A clock that was set back makes dates that are in the future.
            && *at <= now
            && now.since(*at) < REUSE_MAX
        {
            put(request, signature.clone());
            return Ok(());
        }
        let signature = self.signature(request, None, now)?;
        self.reusable.insert(stream, (now, signature.clone()));
        put(request, signature);
        Ok(())
    }

    /// A signature was refused: none is used again.
    pub fn forget(&mut self) {
        self.reusable.clear();
    }

    fn signature(
        &mut self,
        request: &OutgoingRequest,
        hash: Option<&str>,
        now: Wall,
    ) -> Result<Signature, String> {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now.0));
        let (text, names) = signing_string(request, &date, hash);
        let signature = BASE64.encode(self.rsa.sign(&text)?);
        let key_id = self.key_id.as_str();
        // Parameters in the order in which Oracle's SDK for Python writes them.
        let authorization = format!(
            "Signature algorithm=\"rsa-sha256\",headers=\"{names}\",keyId=\"{key_id}\",\
             signature=\"{signature}\",version=\"1\""
        );
        Ok(Signature {
            date,
            authorization,
        })
    }
}

/// Makes a stored request one that can be signed: what a caller has said in fields that a signature
/// uses, or that extend the signer's rights, is taken out, and what is signed is there.
pub fn prepare_call(request: &mut OutgoingRequest) {
    const SIGNERS: [&str; 7] = [
        "authorization",
        "date",
        "opc-obo-token",
        "x-content-sha256",
        "x-cross-tenancy-request",
        "x-date",
        "x-subscription",
    ];
    let headers = &mut request.headers;
    headers.retain(|(name, _)| !SIGNERS.contains(&name.as_ref()) && name != "content-length");
    let length = request.body.len().to_string();
    push(request, "content-length", length);
    if field(request, "content-type").is_empty() {
        request.headers.retain(|(name, _)| name != "content-type");
        push(
            request,
            "content-type",
            "application/octet-stream".to_owned(),
        );
    }
}

/// What is signed, and the names of its parts. With `hash`, the SHA-256 of the content in base64,
/// the content is a part.
fn signing_string(
    request: &OutgoingRequest,
    date: &str,
    hash: Option<&str>,
) -> (Vec<u8>, &'static str) {
    let method = field(request, ":method").to_ascii_lowercase();
    let mut text = Vec::with_capacity(512);
    for part in [
        b"date: ",
        date.as_bytes(),
        b"\n(request-target): ",
        &method,
        b" ",
        field(request, ":path"),
        b"\nhost: ",
        field(request, ":authority"),
    ] {
        text.extend_from_slice(part);
    }
    let Some(hash) = hash else {
        return (text, "date (request-target) host");
    };
    for part in [
        b"\ncontent-length: ",
        field(request, "content-length"),
        b"\ncontent-type: ",
        field(request, "content-type"),
        b"\nx-content-sha256: ",
        hash.as_bytes(),
    ] {
        text.extend_from_slice(part);
    }
    (
        text,
        "date (request-target) host content-length content-type x-content-sha256",
    )
}

fn field<'a>(request: &'a OutgoingRequest, name: &str) -> &'a [u8] {
    let mut headers = request.headers.iter();
    let value = headers.find(|(field, _)| field == name);
    value.map_or(&[], |(_, value)| value)
}

fn push(request: &mut OutgoingRequest, name: &'static str, value: String) {
    let value = Cow::Owned(value.into_bytes());
    request.headers.push((Cow::Borrowed(name), value));
}

fn put(request: &mut OutgoingRequest, signature: Signature) {
    push(request, "date", signature.date);
    push(request, "authorization", signature.authorization);
}

#[cfg(test)]
mod vector_tests;
