//! How a token is had, step by step.

use std::rc::Rc;
use std::time::Duration;

use super::Environment;
use super::certificate::{InstanceCertificate, bare};
use super::exchange::{
    InstanceProof, file_request, instance_request, instance_token, metadata_request, text,
    workload_request, workload_token,
};
use super::token::Token;
use crate::http::{CalloutResult, OutgoingRequest};
use crate::id::Entropy;
use crate::stream::signing::{
    KEY_BITS_MIN, KeySearch, PrincipalConfig, PrincipalKind, PrivateKey, Step,
};
use crate::time::Wall;

/// How long one answer may take: metadata come in milliseconds, tokens in some hundred.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The files of an instance's identity, in the order in which Oracle's SDK asks for them.
const IDENTITY: [&str; 3] = ["cert.pem", "key.pem", "intermediate.pem"];
/// What Envoy serves of a resource's files, unless the environment has other paths.
const RESOURCE_FILES: [&str; 2] = ["/oci/rpst", "/oci/private-key"];
/// What Envoy serves of a workload's: where Kubernetes puts the token.
const SERVICE_ACCOUNT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Who is asked, as log lines say it.
const AUTH: &str = "the auth service";

/// Where the work stands.
pub(super) enum Work {
    /// Files come, one after another: all their names, and the texts that have come.
    Files(Vec<String>, Vec<String>),
    /// A session key is searched.
    Search(Box<Search>),
    /// The token comes for this key.
    Exchange(Box<PrivateKey>),
}

/// A search, and the files with which its key becomes a token.
pub(super) struct Search {
    search: KeySearch,
    files: Vec<String>,
}

/// What a step has come to.
pub(super) enum Progress {
    /// A request is to be made through this cluster.
    Ask(Rc<str>, OutgoingRequest, Work),
    /// The search goes on.
    Search(Work),
    /// There is a token.
    Done(Box<Token>, Box<PrivateKey>),
}

impl Work {
    /// From the start; what the environment has need not be asked for.
    pub(super) fn new(config: &PrincipalConfig, environment: &Environment) -> Self {
        let files = match (config.kind, &environment.token, &environment.private_key) {
            (PrincipalKind::Resource, Some(token), Some(key)) => vec![token.clone(), key.clone()],
            _ => Vec::new(),
        };
        Self::Files(files_of(config.kind, environment), files)
    }

    /// The next step. `answer` is that to the last [`Progress::Ask`].
    ///
    /// # Errors
    /// Why there is no token, for the log.
    pub(super) fn go_on(
        self,
        answer: Option<CalloutResult>,
        config: &PrincipalConfig,
        entropy: &mut Entropy,
        now: Wall,
    ) -> Result<Progress, String> {
        match self {
            Self::Files(names, mut files) => {
                if let Some(answer) = answer {
                    let name = names.get(files.len()).map(String::as_str);
                    files.push(text(&asked_for(config, name.unwrap_or_default()), answer)?);
                }
                match names.get(files.len()).cloned() {
                    Some(name) => Ok(ask_for_file(config, &name, names, files)),
                    None => with_files(files, config.kind, entropy, now),
                }
            }
            Self::Search(mut search) => match search.search.step() {
                Step::Searching => Ok(Progress::Search(Self::Search(search))),
                Step::Found(key) => exchange(&search.files, *key, config, entropy, now),
            },
            Self::Exchange(key) => {
                let answer = answer.unwrap_or(CalloutResult::Lost);
                let answer = text(&service(config), answer)?;
                let token = match config.kind {
                    PrincipalKind::Workload => workload_token(&answer),
                    PrincipalKind::Instance | PrincipalKind::Resource => instance_token(&answer),
                };
                let token = token.map_err(|why| format!("{}'s answer {why}", service(config)))?;
                let token = Token::read(&token, now).map_err(|why| format!("the token {why}"))?;
                Ok(Progress::Done(Box::new(token), key))
            }
        }
    }
}

fn files_of(kind: PrincipalKind, environment: &Environment) -> Vec<String> {
    let paths = [&environment.token_path, &environment.private_key_path];
    let path =
        |(path, usual): (&Option<String>, &str)| path.clone().unwrap_or_else(|| usual.to_owned());
    match kind {
        PrincipalKind::Instance => IDENTITY.map(str::to_owned).to_vec(),
        PrincipalKind::Resource => paths.into_iter().zip(RESOURCE_FILES).map(path).collect(),
        PrincipalKind::Workload => vec![SERVICE_ACCOUNT_FILE.to_owned()],
    }
}

fn asked_for(config: &PrincipalConfig, name: &str) -> String {
    match config.kind {
        PrincipalKind::Instance => format!(
            "the metadata service (cluster {}), asked for {name},",
            config.metadata_cluster
        ),
        PrincipalKind::Resource | PrincipalKind::Workload => format!(
            "Envoy (cluster {}), asked for the file {name},",
            config.files_cluster
        ),
    }
}

fn service(config: &PrincipalConfig) -> String {
    format!("{AUTH} (cluster {})", config.auth_cluster)
}

fn ask_for_file(
    config: &PrincipalConfig,
    name: &str,
    names: Vec<String>,
    files: Vec<String>,
) -> Progress {
    let (cluster, request) = match config.kind {
        PrincipalKind::Instance => (&config.metadata_cluster, metadata_request(name)),
        PrincipalKind::Resource | PrincipalKind::Workload => {
            (&config.files_cluster, file_request(name))
        }
    };
    let work = Work::Files(names, files);
    Progress::Ask(Rc::from(cluster.as_str()), request, work)
}

/// All files are there.
fn with_files(
    files: Vec<String>,
    kind: PrincipalKind,
    entropy: &mut Entropy,
    now: Wall,
) -> Result<Progress, String> {
    match (kind, files.as_slice()) {
        (PrincipalKind::Resource, [token, key]) => {
            let token = Token::read(token, now).map_err(|why| format!("the token {why}"))?;
            let key = PrivateKey::from_pem(key, KEY_BITS_MIN);
            let key = key.map_err(|why| format!("the file of the private key {why}"))?;
            Ok(Progress::Done(Box::new(token), Box::new(key)))
        }
        (PrincipalKind::Instance, [certificate, key, _]) => {
            // What is wrong with them shows before the key is searched.
            InstanceCertificate::read(certificate)
                .map_err(|why| format!("the instance's certificate {why}"))?;
            instance_key(key)?;
            Ok(search(files, entropy))
        }
        _ => Ok(search(files, entropy)),
    }
}

fn search(files: Vec<String>, entropy: &mut Entropy) -> Progress {
    let search = KeySearch::new(entropy.fork());
    Progress::Search(Work::Search(Box::new(Search { search, files })))
}

fn instance_key(pem: &str) -> Result<PrivateKey, String> {
    let key = PrivateKey::from_pem(pem, KEY_BITS_MIN);
    key.map_err(|why| format!("the metadata service's key.pem {why}"))
}

/// There is a session key: a token is asked for it.
fn exchange(
    files: &[String],
    session: PrivateKey,
    config: &PrincipalConfig,
    entropy: &mut Entropy,
    now: Wall,
) -> Result<Progress, String> {
    let public_key = session.public_der().map_err(|error| error.to_string())?;
    let authority = &config.auth_authority;
    let request = match files {
        [certificate, key, intermediate] => {
            let wrong = |why: String| format!("the instance's certificate {why}");
            let read = InstanceCertificate::read(certificate).map_err(wrong)?;
            let certificate = bare(certificate).map_err(wrong)?;
            let intermediate = bare(intermediate)
                .map_err(|why| format!("the instance's intermediate certificate {why}"))?;
            let proof = InstanceProof {
                key_id: &read.key_id,
                certificate: &certificate,
                intermediate: &intermediate,
                public_key: &public_key,
            };
            let mut rsa = instance_key(key)?.signs_itself(entropy.fork());
            instance_request(authority, &proof, rsa.as_mut(), now)?
        }
        [token] => workload_request(authority, token, &public_key, &request_id(entropy))?,
        _ => return Err("files are missing".to_owned()),
    };
    let cluster = Rc::from(config.auth_cluster.as_str());
    Ok(Progress::Ask(
        cluster,
        request,
        Work::Exchange(Box::new(session)),
    ))
}

/// As Oracle's SDK makes them: three times sixteen bytes in hexadecimal.
fn request_id(entropy: &mut Entropy) -> String {
    let part = |_| entropy.uuid().replace('-', "");
    [0; 3].map(part).join("/")
}
