//! A principal of OCI signs: this machine, what OCI has started, or a workload of OKE.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sluice::http::OutgoingRequest;
use sluice::id::Entropy;
use sluice::principal::{Environment as Given, obtain};
use sluice::stream::signing::{PrincipalConfig, PrincipalKind, Signer};
use sluice::time::Wall;

use super::signing::Signing;
use super::sources::{ANSWER_BYTES_MAX, AUTH, FILES, METADATA, Sources, now};
use super::{Environment, Identity, key};

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

/// Where Oracle's SDKs look for the metadata service, and the variable that says otherwise.
const METADATA_SERVICE: (&str, &str) = ("http://169.254.169.254/opc/v2", "OCI_METADATA_BASE_URL");
/// Where Kubernetes puts a pod's identity, and the variable that says where its authority is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ACCOUNT_AUTHORITY: &str = "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH";
/// Where OKE exchanges tokens, at the Kubernetes service.
const WORKLOAD_PORT: u16 = 12_250;

/// Gets a token, and signs by it. `auth_endpoint` is asked instead of the one that is known.
pub(super) fn identity(
    kind: PrincipalKind,
    auth_endpoint: Option<&str>,
    environment: Environment<'_>,
) -> Result<Identity, String> {
    let mut region = environment("OCI_RESOURCE_PRINCIPAL_REGION");
    let metadata = metadata_of(environment);
    let auth = match (auth_endpoint, kind) {
        (Some(endpoint), _) => endpoint.to_owned(),
        (None, PrincipalKind::Instance) => {
            let mut sources = Sources::at("")?;
            sources.metadata.clone_from(&metadata);
            let (name, realm) = region_of_instance(&sources)?;
            let endpoint = format!("https://auth.{name}.{realm}");
            region = Some(name);
            endpoint
        }
        (None, PrincipalKind::Workload) => {
            let host = environment("KUBERNETES_SERVICE_HOST");
            let host = host.ok_or("KUBERNETES_SERVICE_HOST is not set: is this a pod?")?;
            format!("https://{host}:{WORKLOAD_PORT}")
        }
        (None, PrincipalKind::Resource) => String::new(),
    };
    let mut sources = Sources::at(&auth)?;
    sources.metadata = metadata;
    if kind == PrincipalKind::Workload {
        let file = environment(ACCOUNT_AUTHORITY);
        let file = file.map_or_else(|| Path::new(ACCOUNT).join("ca.crt"), PathBuf::from);
        sources = sources.trusting(&file)?;
    }
    let config = PrincipalConfig {
        kind,
        auth_cluster: AUTH.to_owned(),
        auth_authority: sources.authority().to_owned(),
        metadata_cluster: METADATA.to_owned(),
        files_cluster: FILES.to_owned(),
    };
    let given = Given::read(environment);
    let renew = move || token(&config, &given, &sources);
    let signing = Signing::renewed(Box::new(renew), now())?;
    Ok(Identity { signing, region })
}

/// Gets a token, and says when it ends.
fn token(
    config: &PrincipalConfig,
    given: &Given,
    sources: &Sources,
) -> Result<(Signer, Wall), String> {
    let mut seed = [0; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random
        .fill(&mut seed)
        .map_err(|_| "this machine has no randomness")?;
    let ask = |cluster: &str, request: &OutgoingRequest| sources.ask(cluster, request);
    let token = obtain(config, given, Entropy::from_seed(seed), now, ask);
    let kind = config.kind.name();
    let token = token.map_err(|why| format!("no token as {kind} principal: {why}"))?;
    let rsa = key::of(&token.key)?;
    Ok((Signer::new(token.key_id, rsa), token.expires))
}

/// Where the metadata service is.
fn metadata_of(environment: Environment<'_>) -> String {
    let (usual, variable) = METADATA_SERVICE;
    let metadata = environment(variable).unwrap_or_else(|| usual.to_owned());
    metadata.trim_end_matches('/').to_owned()
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
