//! The requests of principals, as Oracle's SDK for Python (`oci` 2.189.0) makes them, and what the
//! answers bring.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::http::{CalloutResult, OutgoingRequest};
use crate::stream::signing::RsaSha256;
use crate::time::Wall;

/// Bytes of an answer. A certificate has two thousand, a token four.
pub const ANSWER_BYTES_MAX: usize = 32_768;

/// Bytes of a service's explanation that a log line has.
const EXPLANATION_BYTES_MAX: usize = 300;

/// Where the metadata service has its files. Its address never changes.
const METADATA: (&str, &str) = ("169.254.169.254", "/opc/v2/identity");

/// What an instance's request for a token says, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceRequest<'a> {
    certificate: &'a str,
    public_key: &'a str,
    intermediate_certificates: [&'a str; 1],
}

/// A token in an answer, or why there is none.
#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

type Field = (&'static str, String);

/// A request with a method and a path; `fields` follow.
fn request(
    method: &'static str,
    authority: &str,
    path: &str,
    fields: Vec<Field>,
    body: Vec<u8>,
) -> OutgoingRequest {
    let pseudo = [
        (":method", method.to_owned()),
        (":scheme", "http".to_owned()),
        (":authority", authority.to_owned()),
        (":path", path.to_owned()),
    ];
    let fields = pseudo.into_iter().chain(fields).map(|(name, value)| {
        let value: Cow<'static, [u8]> = Cow::Owned(value.into_bytes());
        (Cow::Borrowed(name), value)
    });
    OutgoingRequest {
        headers: fields.collect(),
        body: Rc::new(body),
    }
}

/// Asks the metadata service for a file of the instance's identity.
#[must_use]
pub fn metadata_request(file: &str) -> OutgoingRequest {
    let (authority, folder) = METADATA;
    let fields = vec![
        // What the second version of the service demands of everybody; it is no secret.
        ("authorization", "Bearer Oracle".to_owned()),
        ("accept", "*/*".to_owned()),
    ];
    let path = format!("{folder}/{file}");
    request("GET", authority, &path, fields, Vec::new())
}

/// Asks for a file of this machine.
#[must_use]
pub fn file_request(path: &str) -> OutgoingRequest {
    request("GET", "sluice-files", path, Vec::new(), Vec::new())
}

/// What an instance asks the auth service by.
pub struct InstanceProof<'a> {
    /// As whom it signs: [`super::certificate::InstanceCertificate::key_id`].
    pub key_id: &'a str,
    /// Its certificate without PEM's frame.
    pub certificate: &'a str,
    /// The intermediate certificate in the same form.
    pub intermediate: &'a str,
    /// The session key's public part, in DER.
    pub public_key: &'a [u8],
}

/// Asks the auth service for a token. The request is signed by the instance's key.
///
/// # Errors
/// Why it can't be signed.
pub fn instance_request(
    authority: &str,
    proof: &InstanceProof<'_>,
    rsa: &mut dyn RsaSha256,
    now: Wall,
) -> Result<OutgoingRequest, String> {
    const PATH: &str = "/v1/x509";
    let body = spaced_json(&InstanceRequest {
        certificate: proof.certificate,
        public_key: &STANDARD.encode(proof.public_key),
        intermediate_certificates: [proof.intermediate],
    })?;
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now.0));
    let hash = STANDARD.encode(Sha256::digest(&body));
    let length = body.len().to_string();
    // The host isn't among the signed names here, unlike everywhere else.
    let text = format!(
        "date: {date}\n(request-target): post {PATH}\ncontent-length: {length}\n\
         content-type: application/json\nx-content-sha256: {hash}"
    );
    let signature = STANDARD.encode(rsa.sign(text.as_bytes())?);
    let key_id = proof.key_id;
    let authorization = format!(
        "Signature algorithm=\"rsa-sha256\",headers=\"date (request-target) content-length \
         content-type x-content-sha256\",keyId=\"{key_id}\",signature=\"{signature}\",\
         version=\"1\""
    );
    let fields = vec![
        ("accept", "*/*".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", length),
        ("date", date),
        ("x-content-sha256", hash),
        ("authorization", authorization),
    ];
    Ok(request("POST", authority, PATH, fields, body))
}

/// Asks OKE for a token, by that of the service account.
///
/// # Errors
/// Why there is no such request.
pub fn workload_request(
    authority: &str,
    service_account_token: &str,
    public_key: &[u8],
    request_id: &str,
) -> Result<OutgoingRequest, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct WorkloadRequest<'a> {
        pod_key: &'a str,
    }
    let body = spaced_json(&WorkloadRequest {
        pod_key: &STANDARD.encode(public_key),
    })?;
    let token = service_account_token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the service account's token is not valid".to_owned());
    }
    let fields = vec![
        ("accept", "*/*".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
        ("opc-request-id", request_id.to_owned()),
    ];
    let path = "/resourcePrincipalSessionTokens";
    Ok(request("POST", authority, path, fields, body))
}

/// Asks the auth service for another token in the place of a session's, which has to sign this
/// while it lasts, as `oci session refresh` does.
///
/// # Errors
/// Why there is no such request.
pub fn refresh_request(authority: &str, token: &str) -> Result<OutgoingRequest, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct RefreshRequest<'a> {
        current_token: &'a str,
    }
    let body = spaced_json(&RefreshRequest {
        current_token: token,
    })?;
    let fields = vec![
        ("accept", "*/*".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
    ];
    let path = "/v1/authentication/refresh";
    Ok(request("POST", authority, path, fields, body))
}

/// JSON of texts alone, with the spaces that Python's `json` writes: the signature covers them.
fn spaced_json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
        ) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut body = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, Spaced);
    value
        .serialize(&mut serializer)
        .map_err(|error| error.to_string())?;
    Ok(body)
}

/// The text of an answer with 200.
///
/// # Errors
/// Why there is none. Nothing of an answer's content is shown but the explanation of a refusal.
pub fn text(who: &str, result: CalloutResult) -> Result<String, String> {
    let response = match result {
        CalloutResult::Answered(response) => response,
        CalloutResult::Lost => return Err(format!("{who} did not answer in time")),
        CalloutResult::NotSent => {
            return Err(format!(
                "{who} could not be asked: is the cluster there, and has it endpoints?"
            ));
        }
    };
    if response.status != 200 {
        let status = response.status;
        let why = explanation(&response.body);
        return Err(format!("{who} answered {status}{why}"));
    }
    if response.body_bytes > ANSWER_BYTES_MAX {
        let bytes = response.body_bytes;
        return Err(format!(
            "{who} answered with {bytes} bytes, which are too many"
        ));
    }
    String::from_utf8(response.body).map_err(|_| format!("{who} answered with what is not text"))
}

/// What a service says of its refusal, if it says it as OCI's services do.
fn explanation(body: &[u8]) -> String {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        return String::new();
    };
    let mut said = format!("{} {}", refusal.code, refusal.message)
        .escape_debug()
        .to_string();
    crate::http::cut(&mut said, EXPLANATION_BYTES_MAX);
    format!(": {}", said.trim())
}

/// The token in the auth service's answer.
///
/// # Errors
/// There is none; the text completes "the answer …".
pub fn instance_token(answer: &str) -> Result<String, String> {
    let answer: TokenAnswer =
        serde_json::from_str(answer).map_err(|_| "has no token in it".to_owned())?;
    Ok(answer.token)
}

/// The token in OKE's answer, which is JSON in base64 and has `ST$` before the token.
///
/// # Errors
/// There is none; the text completes "the answer …".
pub fn workload_token(answer: &str) -> Result<String, String> {
    // Some answers are a JSON string.
    let base64 = answer.trim().trim_matches('"');
    let json = STANDARD.decode(base64).map_err(|_| "is not valid base64")?;
    let json = String::from_utf8(json).map_err(|_| "is not text in base64")?;
    let token = instance_token(&json)?;
    let token = token.strip_prefix("ST$").unwrap_or(&token);
    Ok(token.to_owned())
}
