//! Where tokens come from: the metadata service, an auth service, and files.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluice::http::{CalloutResult, IncomingResponse, OutgoingRequest};
use sluice::time::Wall;
use ureq::Agent;

use crate::files;
use crate::limits::KEY_FILE_BYTES_MAX;
use crate::stream::read_authorities;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
pub(super) const ANSWER_BYTES_MAX: u64 = 32_768;
/// What a request is for, in the place of clusters of Envoy.
pub(super) const AUTH: &str = "auth";
pub(super) const METADATA: &str = "metadata";
pub(super) const FILES: &str = "files";

/// Where tokens come from.
pub(super) struct Sources {
    /// The metadata service, with the start of its paths.
    pub(super) metadata: String,
    auth: String,
    pub(super) agent: Agent,
}

impl Sources {
    /// With an auth service at this URL, or none.
    ///
    /// # Errors
    /// The URL is one at which others could read what is sent.
    pub(super) fn at(auth: &str) -> Result<Self, String> {
        let auth = auth.trim_end_matches('/');
        let is_loopback = || {
            let endpoint = crate::stream::Endpoint::parse(auth);
            endpoint.is_ok_and(|endpoint| endpoint.is_loopback())
        };
        if auth.starts_with("http://") && !is_loopback() {
            return Err(format!(
                "--auth-endpoint {auth} is not secure: give an https:// endpoint"
            ));
        }
        Ok(Self {
            metadata: String::new(),
            auth: auth.to_owned(),
            agent: agent(None)?,
        })
    }

    /// Trusts the authorities of this file instead of the public ones.
    ///
    /// # Errors
    /// Why they can't be read.
    pub(super) fn trusting(mut self, authorities: &Path) -> Result<Self, String> {
        self.agent = agent(Some(authorities))?;
        Ok(self)
    }

    /// Returns what the auth service has as its `Host`.
    pub(super) fn authority(&self) -> &str {
        self.auth.split("://").nth(1).unwrap_or_default()
    }

    /// Makes a request to the auth service.
    pub(super) fn post(&self, request: &OutgoingRequest) -> CalloutResult {
        self.ask(AUTH, request)
    }

    /// Makes a request, or reads the file that it asks for.
    pub(super) fn ask(&self, cluster: &str, request: &OutgoingRequest) -> CalloutResult {
        let field = |name: &str| {
            let found = request.headers.iter().find(|(field, _)| field == name);
            found.map_or_else(String::new, |(_, value)| {
                String::from_utf8_lossy(value).into_owned()
            })
        };
        let path = field(":path");
        let url = match cluster {
            FILES => return file(&path),
            METADATA => {
                let path = path.strip_prefix("/opc/v2").unwrap_or(&path);
                format!("{}{path}", self.metadata)
            }
            _ => format!("{}{path}", self.auth),
        };
        let mut sent = ureq::http::Request::builder()
            .method(field(":method").as_str())
            .uri(url);
        for (name, value) in &request.headers {
            if !name.starts_with(':') && name != "content-length" {
                sent = sent.header(name.as_ref(), value.as_ref());
            }
        }
        let Ok(sent) = sent.body(request.body.as_slice()) else {
            return CalloutResult::NotSent;
        };
        let result = if request.body.is_empty() {
            let (parts, _) = sent.into_parts();
            self.agent.run(ureq::http::Request::from_parts(parts, ()))
        } else {
            self.agent.run(sent)
        };
        let Ok(mut response) = result else {
            return CalloutResult::Lost;
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        match body.read_to_vec() {
            Ok(body) => answered(status, body),
            Err(_) => CalloutResult::Lost,
        }
    }
}

/// A file of this machine, by its path.
fn file(path: &str) -> CalloutResult {
    match files::read_text(Path::new(path), KEY_FILE_BYTES_MAX) {
        Ok(text) => answered(200, text.into_bytes()),
        Err(_) => answered(404, Vec::new()),
    }
}

fn answered(status: u16, body: Vec<u8>) -> CalloutResult {
    CalloutResult::Answered(IncomingResponse {
        status,
        headers: Vec::new(),
        body_bytes: body.len(),
        body,
    })
}

fn agent(authority: Option<&Path>) -> Result<Agent, String> {
    let tls = authority.map(read_authorities).transpose()?;
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        // Credentials go to whom they are for.
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT))
        .tls_config(tls.unwrap_or_default())
        .build()
        .into())
}

/// Returns the time.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Wall(u64::try_from(millis).unwrap_or(u64::MAX))
}
