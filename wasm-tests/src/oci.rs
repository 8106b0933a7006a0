//! Stands in for OCI: the metadata service of an instance, the auth service of a region, the files
//! of a resource, and a gate before the stream server that lets session tokens through.
//!
//! It checks what Oracle's services are known to check, and more: the signature of every request
//! with the key that belongs to its `keyId`, that all is signed that has to be, dates, hashes, the
//! certificates, headers of proxies, and that a token hasn't ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use provision::Project;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::sha2::{Digest as _, Sha256};
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use serde_json::{Value, json};
use sluice::principal::certificate::{InstanceCertificate, bare};
use testkit::http1::{Connection, Message, Request};
use testkit::server::{Answer, Server};

/// How far a date may be off.
const SKEW: Duration = Duration::from_secs(300);

/// A file of `tests/keys`.
#[must_use]
pub fn key_file(name: &str) -> PathBuf {
    Project::here().root().join("tests/keys").join(name)
}

fn key_text(name: &str) -> String {
    fs::read_to_string(key_file(name)).unwrap()
}

/// What the services know and have seen.
#[derive(Default)]
pub struct Known {
    /// Public keys and ends of the tokens that were given.
    tokens: BTreeMap<String, (RsaPublicKey, SystemTime)>,
    /// How long the next tokens last.
    lifetime: Duration,
    /// How long ago the next tokens were issued, as they say.
    pub age: Duration,
    /// What the auth service answers instead, if anything.
    trouble: Option<(u16, Value)>,
    /// What the metadata service answers instead, if anything.
    pub hostile: Option<Answer>,
    /// What was refused, and why.
    pub refused: Vec<String>,
    /// Every request to the auth service, as it came.
    pub asked: Vec<Message>,
    /// The tokens that were used at the gate, with how often.
    pub used: BTreeMap<String, usize>,
    /// Requests to the metadata service.
    pub metadata: usize,
    /// What service accounts have to show; at the start [`ACCOUNT_TOKEN`].
    pub account_token: String,
}

/// The running services.
pub struct Oci {
    known: Arc<Mutex<Known>>,
    /// 169.254.169.254:80.
    pub metadata: Server,
    /// `auth.REGION.oraclecloud.com` behind its TLS.
    pub auth: Server,
    /// `cell-1.streaming…` behind its TLS.
    pub gate: Server,
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Oci {
    /// Starts them. The gate leads to the stream server on this port; tokens last so long.
    #[must_use]
    pub fn start(stream: u16, lifetime: Duration) -> Self {
        let known = Arc::new(Mutex::new(Known {
            lifetime,
            account_token: ACCOUNT_TOKEN.to_owned(),
            ..Known::default()
        }));
        let serve = |serve: fn(&Mutex<Known>, &Message) -> Answer| {
            let known = known.clone();
            Server::start(Arc::new(move |incoming| serve(&known, &incoming.message)))
        };
        let gated = known.clone();
        Self {
            metadata: serve(metadata),
            auth: serve(auth),
            gate: Server::start(Arc::new(move |incoming| {
                gate(&gated, &incoming.message, stream)
            })),
            known,
        }
    }

    /// What they know and have seen.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// From now on the auth service answers this; nothing ends that.
    pub fn set_trouble(&self, trouble: Option<(u16, Value)>) {
        self.known().trouble = trouble;
    }

    /// A token that another service has given for this key; it lasts as all do.
    pub fn issue(&self, public_key_der: &[u8]) -> String {
        issue(&mut self.known(), public_key_der)
    }
}

impl Known {
    /// Returns how many tokens were issued.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.tokens.len()
    }

    /// Takes back every token.
    pub fn revoke(&mut self) {
        self.tokens.clear();
    }
}

/// A token for a public key in DER.
fn issue(known: &mut Known, der: &[u8]) -> String {
    issue_for(known, RsaPublicKey::from_public_key_der(der).unwrap())
}

fn issue_for(known: &mut Known, key: RsaPublicKey) -> String {
    let now = SystemTime::now() - known.age;
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let end = now + known.lifetime;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    // Real ones have whole seconds and more claims.
    let claims = json!({
        "sub": "ocid1.instance.oc1.eu-frankfurt-1.gateway", "tenant": "ocid1.tenancy.oc1..ours",
        "iat": seconds(now), "exp": seconds(end), "jti": known.tokens.len().to_string(),
    });
    let token = format!(
        "{}.{}.{}",
        part(&json!({"alg": "RS256"})),
        part(&claims),
        "c2ln"
    );
    known.tokens.insert(token.clone(), (key, end));
    token
}

fn refuse(known: &mut Known, status: u16, why: &str) -> Answer {
    known.refused.push(why.to_owned());
    Answer::json(
        status,
        &json!({ "code": "NotAuthenticated", "message": why }),
    )
}

/// The metadata service, version 2: it refuses what a proxy may have passed on.
fn metadata(known: &Mutex<Known>, message: &Message) -> Answer {
    let mut known = lock(known);
    known.metadata += 1;
    if let Some(answer) = &known.hostile {
        return answer.clone();
    }
    if message.text("authorization") != "Bearer Oracle" {
        return refuse(&mut known, 401, "no Authorization: Bearer Oracle");
    }
    for name in ["forwarded", "x-forwarded-for", "x-forwarded-host"] {
        if message.field(name).is_some() {
            return refuse(&mut known, 403, &format!("{name} is there"));
        }
    }
    let body = match message.word(1).strip_prefix("/opc/v2/") {
        Some("identity/cert.pem") => key_text("instance.pem"),
        Some("identity/key.pem") => key_text("rsa-2048-pkcs1.pem"),
        Some("identity/intermediate.pem") => key_text("instance-intermediate.pem"),
        Some("instance/region") => "eu-frankfurt-1".to_owned(),
        _ => return Answer::status(404),
    };
    Answer::Reply {
        status: 200,
        fields: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.into_bytes(),
    }
}

/// The auth service.
fn auth(known: &Mutex<Known>, message: &Message) -> Answer {
    let mut known = lock(known);
    known.asked.push(message.clone());
    if let Some((status, body)) = &known.trouble {
        return Answer::json(*status, body);
    }
    let answer = match message.word(1).as_str() {
        "/v1/x509" => exchange_certificate(&mut known, message),
        "/resourcePrincipalSessionTokens" => exchange_account(&mut known, message),
        "/v1/authentication/refresh" => refresh(&mut known, message),
        _ => return Answer::status(404),
    };
    answer.unwrap_or_else(|why| refuse(&mut known, 401, &why))
}

fn exchange_certificate(known: &mut Known, message: &Message) -> Result<Answer, String> {
    let body: Value = serde_json::from_slice(&message.body).map_err(|error| error.to_string())?;
    let leaf = key_text("instance.pem");
    // The metadata service has given these and no others.
    if body["certificate"] != bare(&leaf)? {
        return Err("another certificate".to_owned());
    }
    let intermediate = bare(&key_text("instance-intermediate.pem"))?;
    if body["intermediateCertificates"] != json!([intermediate]) {
        return Err("another intermediate certificate".to_owned());
    }
    let given = Given::read(message)?;
    if given.key_id != InstanceCertificate::read(&leaf)?.key_id {
        return Err(format!("the keyId is {}", given.key_id));
    }
    let names = "date (request-target) content-length content-type x-content-sha256";
    if given.names != names {
        return Err(format!("signed are {}", given.names));
    }
    let key = RsaPublicKey::from_public_key_pem(&key_text("rsa-2048-public.pem")).unwrap();
    given.verify(message, &key)?;
    let der = STANDARD.decode(body["publicKey"].as_str().unwrap_or_default());
    let token = issue(known, &der.map_err(|error| error.to_string())?);
    Ok(Answer::json(200, &json!({ "token": token })))
}

/// The token that a service account has in tests at first.
pub const ACCOUNT_TOKEN: &str = "account.token.of-tests";

fn exchange_account(known: &mut Known, message: &Message) -> Result<Answer, String> {
    if message.text("authorization") != format!("Bearer {}", known.account_token) {
        return Err("another service account".to_owned());
    }
    if message.text("opc-request-id").split('/').count() != 3 {
        return Err("no opc-request-id".to_owned());
    }
    let body: Value = serde_json::from_slice(&message.body).map_err(|error| error.to_string())?;
    let der = STANDARD.decode(body["podKey"].as_str().unwrap_or_default());
    let token = issue(known, &der.map_err(|error| error.to_string())?);
    let answer = json!({ "token": format!("ST${token}") }).to_string();
    Ok(Answer::Reply {
        status: 200,
        fields: Vec::new(),
        body: STANDARD.encode(answer).into_bytes(),
    })
}

/// Exchanges a token that lasts for another one of the same key.
fn refresh(known: &mut Known, message: &Message) -> Result<Answer, String> {
    let names = "date (request-target) host content-length content-type x-content-sha256";
    let given = Given::read(message)?;
    if given.names != names {
        return Err(format!("signed are {}", given.names));
    }
    let token = given.key_id.strip_prefix("ST$").ok_or("no session token")?;
    let (key, end) = known.tokens.get(token).cloned().ok_or("an unknown token")?;
    if end <= SystemTime::now() {
        return Err("the token has ended".to_owned());
    }
    given.verify(message, &key)?;
    let body: Value = serde_json::from_slice(&message.body).map_err(|error| error.to_string())?;
    if body != json!({ "currentToken": token }) {
        return Err("another token than the one that signs".to_owned());
    }
    let token = issue_for(known, key);
    Ok(Answer::json(200, &json!({ "token": token })))
}

/// Lets a request through that a session token signs.
fn gate(known: &Mutex<Known>, message: &Message, stream: u16) -> Answer {
    let verified = let_through(&mut lock(known), message);
    if let Err(why) = verified {
        let date = SystemTime::now();
        let answer = refuse(&mut lock(known), 401, &why);
        return answer.with("date", &httpdate::fmt_http_date(date));
    }
    let mut request = Request::without_host(&message.word(0), &message.word(1));
    // The signature is good for Oracle's name; behind the gate the server has another one.
    request.fields = message.fields.clone();
    request
        .fields
        .retain(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
    let mut request = request.field("host", format!("127.0.0.1:{stream}"));
    request.content = message.body.clone();
    let response = Connection::open(stream).and_then(|mut open| open.exchange(&request));
    let Ok(response) = response else {
        return Answer::status(502);
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = response.message.fields.iter();
    let fields = fields.map(|(name, value)| (text(name), text(value)));
    let is_framing = |name: &str| {
        name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("connection")
    };
    Answer::Reply {
        status: response.status,
        fields: fields.filter(|(name, _)| !is_framing(name)).collect(),
        body: response.message.body,
    }
}

fn let_through(known: &mut Known, message: &Message) -> Result<(), String> {
    let given = Given::read(message)?;
    let token = given.key_id.strip_prefix("ST$").ok_or("no session token")?;
    let (key, end) = known.tokens.get(token).ok_or("an unknown token")?;
    if *end <= SystemTime::now() {
        return Err("the token has ended".to_owned());
    }
    let names: Vec<&str> = given.names.split(' ').collect();
    let is_put = message.word(0) == "POST" && message.word(1).ends_with("/messages");
    let mut needed = vec!["date", "(request-target)", "host"];
    if message.word(0) != "GET" && !is_put {
        needed.extend(["content-length", "content-type", "x-content-sha256"]);
    }
    if let Some(missing) = needed.iter().find(|name| !names.contains(name)) {
        return Err(format!("{missing} isn't signed"));
    }
    given.verify(message, key)?;
    *known.used.entry(token.to_owned()).or_default() += 1;
    Ok(())
}

/// What `Authorization` says.
struct Given {
    key_id: String,
    names: String,
    signature: Vec<u8>,
}

impl Given {
    fn read(message: &Message) -> Result<Self, String> {
        let header = message.text("authorization");
        let rest = header.strip_prefix("Signature ").ok_or("no signature")?;
        let part = |name: &str| {
            let start = format!("{name}=\"");
            let (_, rest) = rest.split_once(&start).ok_or(format!("no {name}"))?;
            let (value, _) = rest.split_once('"').ok_or(format!("no end of {name}"))?;
            Ok::<_, String>(value.to_owned())
        };
        if part("version")? != "1" || part("algorithm")? != "rsa-sha256" {
            return Err("another version or algorithm".to_owned());
        }
        let signature = STANDARD.decode(part("signature")?);
        Ok(Self {
            key_id: part("keyId")?,
            names: part("headers")?,
            signature: signature.map_err(|error| error.to_string())?,
        })
    }

    /// Verifies date, hash and signature.
    fn verify(&self, message: &Message, key: &RsaPublicKey) -> Result<(), String> {
        let date = httpdate::parse_http_date(&message.text("date"));
        let date = date.map_err(|error| format!("date: {error}"))?;
        let now = SystemTime::now();
        let off = now
            .duration_since(date)
            .or_else(|_| date.duration_since(now));
        if off.is_ok_and(|off| off > SKEW) {
            return Err("the date is off".to_owned());
        }
        let hash = STANDARD.encode(Sha256::digest(&message.body));
        if self.names.contains("x-content-sha256") && message.text("x-content-sha256") != hash {
            return Err("another content".to_owned());
        }
        let lines = self.names.split(' ').map(|name| match name {
            "(request-target)" => {
                let method = message.word(0).to_ascii_lowercase();
                format!("(request-target): {method} {}", message.word(1))
            }
            name => format!("{name}: {}", message.text(name)),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let scheme = Pkcs1v15Sign::new::<Sha256>();
        let verified = key.verify(scheme, &Sha256::digest(text), &self.signature);
        verified.map_err(|_| "the signature is wrong".to_owned())
    }
}
