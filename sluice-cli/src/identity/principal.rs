//! A principal of OCI signs: this machine, what OCI has started, or a workload of OKE.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use sluice::http::{CalloutResult, IncomingResponse, OutgoingRequest};
use sluice::id::Entropy;
use sluice::principal::{Environment as Given, obtain};
use sluice::stream::signing::{PrincipalConfig, PrincipalKind, Signer};
use sluice::time::Wall;
use ureq::Agent;

use super::{Environment, Identity, key};
use crate::files;
use crate::limits::KEY_FILE_BYTES_MAX;
use crate::stream::read_authorities;

/// How requests are signed, in the words of Oracle's CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Auth {
    /// By the API key of a profile, or by --key-id.
    ApiKey,
    /// By the session token of a profile (`oci session authenticate`).
    SecurityToken,
    /// As this compute instance.
    InstancePrincipal,
    /// As the resource that OCI has started, by OCI_RESOURCE_PRINCIPAL_*.
    ResourcePrincipal,
    /// As the workload of this pod.
    #[value(alias = "workload")]
    OkeWorkloadIdentity,
}

impl Auth {
    /// What the variable of Oracle's CLI says.
    pub(super) fn of_environment(environment: Environment<'_>) -> Result<Option<Self>, String> {
        const NAME: &str = "OCI_CLI_AUTH";
        let word = environment(NAME).map(|word| Self::from_str(&word, true));
        word.transpose().map_err(|_| {
            format!("{NAME} is none of the words of --auth: correct it, or give --auth")
        })
    }

    /// The principal, if it is one.
    pub(super) const fn principal(self) -> Option<PrincipalKind> {
        match self {
            Self::ApiKey | Self::SecurityToken => None,
            Self::InstancePrincipal => Some(PrincipalKind::Instance),
            Self::ResourcePrincipal => Some(PrincipalKind::Resource),
            Self::OkeWorkloadIdentity => Some(PrincipalKind::Workload),
        }
    }
}

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 32_768;
/// Where Oracle's SDKs look for the metadata service, and the variable that says otherwise.
const METADATA: (&str, &str) = ("http://169.254.169.254/opc/v2", "OCI_METADATA_BASE_URL");
/// Where Kubernetes puts a pod's identity, and the variable that says where its authority is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ACCOUNT_AUTHORITY: &str = "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH";
/// Where OKE exchanges tokens, at the Kubernetes service.
const WORKLOAD_PORT: u16 = 12_250;

const AUTH: &str = "auth";
const METADATA_CLUSTER: &str = "metadata";
const FILES: &str = "files";

/// Where tokens come from.
struct Sources {
    metadata: String,
    auth: String,
    agent: Agent,
}

/// Gets a token, and signs by it. `auth_endpoint` is asked instead of the one that is known.
pub(super) fn identity(
    kind: PrincipalKind,
    auth_endpoint: Option<&str>,
    environment: Environment<'_>,
) -> Result<Identity, String> {
    let (mut sources, mut region) = sources(environment)?;
    let auth = match (auth_endpoint, kind) {
        (Some(endpoint), _) => Some(endpoint.trim_end_matches('/').to_owned()),
        (None, PrincipalKind::Instance) => {
            let (name, realm) = region_of_instance(&sources)?;
            let endpoint = format!("https://auth.{name}.{realm}");
            region = Some(name);
            Some(endpoint)
        }
        (None, PrincipalKind::Workload) => {
            let host = environment("KUBERNETES_SERVICE_HOST");
            let host = host.ok_or("KUBERNETES_SERVICE_HOST is not set: is this a pod?")?;
            Some(format!("https://{host}:{WORKLOAD_PORT}"))
        }
        (None, PrincipalKind::Resource) => None,
    };
    if kind == PrincipalKind::Workload {
        let file = environment(ACCOUNT_AUTHORITY);
        let file = file.map_or_else(|| Path::new(ACCOUNT).join("ca.crt"), PathBuf::from);
        sources.agent = agent(Some(&file))?;
    }
    sources.auth = auth.unwrap_or_default();
    let insecure = sources.auth.starts_with("http://") && !is_loopback(&sources.auth);
    if insecure {
        return Err(format!(
            "--auth-endpoint {} is not secure: give an https:// endpoint",
            sources.auth
        ));
    }
    let host = sources.auth.split("://").nth(1).unwrap_or_default();
    let config = PrincipalConfig {
        kind,
        auth_cluster: AUTH.to_owned(),
        auth_authority: host.to_owned(),
        metadata_cluster: METADATA_CLUSTER.to_owned(),
        files_cluster: FILES.to_owned(),
    };
    let given = Given::read(environment);
    let mut seed = [0; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random
        .fill(&mut seed)
        .map_err(|_| "this machine has no randomness")?;
    let ask = |cluster: &str, request: &OutgoingRequest| sources.ask(cluster, request);
    let token = obtain(&config, &given, Entropy::from_seed(seed), now, ask);
    let token = token.map_err(|why| format!("no token as {} principal: {why}", kind.name()))?;
    let rsa = key::of(&token.key)?;
    Ok(Identity {
        signer: Signer::new(token.key_id, rsa),
        region,
    })
}

/// What the environment says of them, and of the region.
fn sources(environment: Environment<'_>) -> Result<(Sources, Option<String>), String> {
    let (metadata, variable) = METADATA;
    let metadata = environment(variable).unwrap_or_else(|| metadata.to_owned());
    let sources = Sources {
        metadata: metadata.trim_end_matches('/').to_owned(),
        auth: String::new(),
        agent: agent(None)?,
    };
    Ok((sources, environment("OCI_RESOURCE_PRINCIPAL_REGION")))
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

fn is_loopback(endpoint: &str) -> bool {
    crate::stream::Endpoint::parse(endpoint).is_ok_and(|endpoint| endpoint.is_loopback())
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Wall(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The name of the instance's region, and the domain of its realm.
fn region_of_instance(sources: &Sources) -> Result<(String, String), String> {
    const PATH: &str = "/instance/regionInfo";
    let url = format!("{}{PATH}", sources.metadata);
    let request = sources
        .agent
        .get(url)
        .header("authorization", "Bearer Oracle");
    let unreachable = |error: ureq::Error| {
        format!(
            "the metadata service at {} can't be asked: {error}. Only a compute instance of OCI \
             has one",
            sources.metadata
        )
    };
    let mut response = request.call().map_err(unreachable)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = body.read_to_string().map_err(unreachable)?;
    if status != 200 {
        return Err(format!("the metadata service answered {status} to {PATH}"));
    }
    let info: BTreeMap<String, String> = serde_json::from_str(&body)
        .map_err(|_| format!("the metadata service's answer to {PATH} can't be read"))?;
    let part = |name: &str| {
        let found = info.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let value = found.map(|(_, value)| value.clone());
        value
            .filter(|value| !value.is_empty() && value.bytes().all(is_name))
            .ok_or_else(|| format!("the metadata service's answer to {PATH} lacks {name}"))
    };
    Ok((part("regionIdentifier")?, part("realmDomainComponent")?))
}

impl Sources {
    fn ask(&self, cluster: &str, request: &OutgoingRequest) -> CalloutResult {
        let field = |name: &str| {
            let found = request.headers.iter().find(|(field, _)| field == name);
            found.map_or_else(String::new, |(_, value)| {
                String::from_utf8_lossy(value).into_owned()
            })
        };
        let path = field(":path");
        let url = match cluster {
            FILES => return file(&path),
            METADATA_CLUSTER => {
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
