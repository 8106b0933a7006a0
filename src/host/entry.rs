//! Where Envoy enters: one module with three roles. The plugin's `root_id` selects the role.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};

use super::accept::{AcceptHost, AcceptKeys, AcceptRequest};
use super::answer::{Answer, AnswerHost};
use super::drain::{DrainHost, DrainKeys, HealthCheck};
use super::principal::{PrincipalHost, Signs};
use super::role::Role;
use super::rsa::rsa;
use super::sink::log;
use super::table::process_secret;
use crate::accept::config::AcceptConfig;
use crate::answer::AnswerConfig;
use crate::caller::CallerSecret;
use crate::caller::order_key::secret_of_seal_keys;
use crate::config::{ConfigError, Document};
use crate::drain::config::DrainConfig;
use crate::drain::route::ReplySecrets;
use crate::egress::TargetsConfig;
use crate::engine::Level;
use crate::id::Entropy;
use crate::principal::Environment;
use crate::record::seal::SealKeys;
use crate::reply::signature::Secrets;
use crate::stream::StreamConfig;
use crate::stream::signing::{Signer, SigningConfig};

proxy_wasm::main! {{
    // Without this the SDK doesn't report panics.
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| -> Box<dyn RootContext> {
        Box::new(Root { context_id, configured: None })
    });
}}

/// The `root_id`s.
const ACCEPT: &[u8] = b"sluice-accept";
const DRAIN: &[u8] = b"sluice-drain";
const ANSWER: &[u8] = b"sluice-answer";

/// The secret that callers and their keys are hashed with.
const CALLER_KEY: &str = "SLUICE_CALLER_KEY";

/// The environment variables with the secrets of replies and with the keys of what is stored.
const WEBHOOK_SECRETS: &str = "SLUICE_WEBHOOK_SECRETS";
const SEAL_KEYS: &str = "SLUICE_SEAL_KEYS";

const UNSEALED: &str = "credentials are stored as they come: who may read the streams can read the \
                        headers that seal.headers names. Set SLUICE_SEAL_KEYS to have them sealed, \
                        or seal.headers to [] if that is meant (docs/operations.md)";

/// A plugin's root context.
struct Root {
    context_id: u32,
    configured: Option<Configured>,
}

enum Configured {
    Accept(Rc<RefCell<AcceptHost>>),
    Drain(Rc<RefCell<DrainHost>>),
    Answer(Rc<RefCell<AnswerHost>>),
}

impl Root {
    /// Reads the configuration for the role that the plugin has.
    fn configure(&mut self) -> Result<(), String> {
        let root_id = hostcalls::get_property(vec!["plugin_root_id"])
            .ok()
            .flatten();
        let root_id = root_id.unwrap_or_default();
        let json = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
            .ok()
            .flatten()
            .unwrap_or_else(|| b"{}".to_vec());
        let configured = if root_id == ACCEPT {
            let mut entropy = entropy()?;
            let config = AcceptConfig::from_json(&json).map_err(|error| error.to_string())?;
            let keys = AcceptKeys {
                signs: signs(&config.stream, &mut entropy)?,
                caller_secret: caller_secret(&mut entropy)?,
                order_secret: order_secret(),
                seal_keys: seal_keys()?,
            };
            if keys.seal_keys.is_none() && !config.sealed_headers.is_empty() {
                log(Level::Warn, UNSEALED);
            }
            let host = AcceptHost::new(self.context_id, config, keys, entropy);
            Configured::Accept(Rc::new(RefCell::new(host)))
        } else if root_id == DRAIN {
            let mut entropy = entropy()?;
            let config = DrainConfig::from_json(&json).map_err(|error| error.to_string())?;
            let keys = DrainKeys {
                secrets: reply_secrets(&config.targets)?,
                seal_keys: seal_keys()?,
                signs: signs(&config.stream, &mut entropy)?,
            };
            let host = DrainHost::new(config, keys, entropy);
            Configured::Drain(Rc::new(RefCell::new(host)))
        } else if root_id == ANSWER {
            let config = AnswerConfig::from_json(&json).map_err(|error| error.to_string())?;
            Configured::Answer(Rc::new(RefCell::new(AnswerHost::new(&config))))
        } else {
            let root_id = String::from_utf8_lossy(&root_id).into_owned();
            return Err(format!(
                "root_id {root_id:?} is none of ours; use \"sluice-accept\", \"sluice-drain\" or \
                 \"sluice-answer\""
            ));
        };
        self.configured = Some(configured);
        Ok(())
    }

    /// Passes a callback on. Envoy never calls this module while the module calls Envoy, so the
    /// borrow succeeds.
    fn tell(&self, what: impl FnOnce(&mut dyn Role)) {
        match &self.configured {
            Some(Configured::Accept(host)) => {
                if let Ok(mut host) = host.try_borrow_mut() {
                    what(&mut *host);
                }
            }
            Some(Configured::Drain(host)) => {
                if let Ok(mut host) = host.try_borrow_mut() {
                    what(&mut *host);
                }
            }
            Some(Configured::Answer(host)) => {
                if let Ok(mut host) = host.try_borrow_mut() {
                    what(&mut *host);
                }
            }
            None => {}
        }
    }
}

/// Returns the secrets that sign replies. They come from the VM's environment, because Envoy shows
/// the configuration to everybody who may read its admin interface.
fn reply_secrets(targets: &TargetsConfig) -> Result<ReplySecrets, String> {
    let mut secrets = ReplySecrets {
        usual: variable(WEBHOOK_SECRETS)
            .map(|text| secrets_of(WEBHOOK_SECRETS, &text))
            .transpose()?,
        named: BTreeMap::new(),
    };
    for name in targets.secret_variables() {
        let text = variable(name).ok_or_else(|| {
            format!(
                "the environment variable {name} is not set, and a rule for replies names it: give \
                 Envoy the secrets by it, and name it in the plugin's \
                 vm_config.environment_variables.host_env_keys"
            )
        })?;
        secrets
            .named
            .insert(name.to_owned(), secrets_of(name, &text)?);
    }
    Ok(secrets)
}

fn secrets_of(name: &str, text: &str) -> Result<Secrets, String> {
    let secrets = Secrets::parse(text);
    let secrets = secrets.map_err(|error| format!("the environment variable {name}: {error}"))?;
    for key in secrets.public_keys() {
        log(
            Level::Info,
            &format!("{name}: the public key for receivers is {key}"),
        );
    }
    Ok(secrets)
}

/// Returns the keys that seal credentials where calls are stored, and open them where calls are
/// made.
fn seal_keys() -> Result<Option<SealKeys>, String> {
    let keys = variable(SEAL_KEYS)
        .map(|text| SealKeys::parse(&text))
        .transpose();
    keys.map_err(|error| format!("the environment variable {SEAL_KEYS}: {error}"))
}

/// Returns a variable of the VM's environment that isn't empty.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|text| !text.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// Returns the secret that callers and their idempotency keys are hashed with: the configured one,
/// so that several gateways know the same callers, or else a random one of this process.
fn caller_secret(entropy: &mut Entropy) -> Result<CallerSecret, String> {
    let Some(text) = variable(CALLER_KEY) else {
        return Ok(process_secret(entropy));
    };
    CallerSecret::parse(&text)
        .map_err(|error| format!("the environment variable {CALLER_KEY} {error}"))
}

/// Returns the secret that order keys are hashed with: gateways share it, and it is the same after
/// a restart.
fn order_secret() -> Option<CallerSecret> {
    match variable(CALLER_KEY) {
        Some(text) => CallerSecret::parse(&text).ok(),
        None => secret_of_seal_keys(&variable(SEAL_KEYS)?),
    }
}

/// Returns what signs requests to the Stream, if that is configured.
fn signs(stream: &StreamConfig, entropy: &mut Entropy) -> Result<Signs, String> {
    let signing = match &stream.signing {
        None => return Ok(Signs::Not),
        Some(SigningConfig::Principal(config)) => {
            let principal = PrincipalHost::new(config, Environment::read(variable), entropy);
            return Ok(Signs::ByPrincipal(Box::new(principal)));
        }
        Some(SigningConfig::Key(signing)) => signing,
    };
    let variable = std::env::var_os(&signing.private_key_environment);
    let variable = variable.as_ref().and_then(|value| value.to_str());
    let key = signing.key(variable);
    let key = key.map_err(|problem| ConfigError(vec![problem]).to_string())?;
    let rsa = rsa(key, entropy)?;
    let line = format!("signs as {} by {}", signing.key_id, rsa.name());
    log(Level::Info, &line);
    Ok(Signs::ByKey(Signer::new(signing.key_id.clone(), rsa)))
}

fn entropy() -> Result<Entropy, String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("the host has no randomness: {error}"))?;
    Ok(Entropy::from_seed(seed))
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        self.tell(|role| role.callout_done(token, headers, body));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match self.configure() {
            Ok(()) => true,
            Err(problem) => {
                log(Level::Error, &problem);
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.tell(|role| role.tick());
    }

    fn on_queue_ready(&mut self, queue: u32) {
        self.tell(|role| role.queue_ready(queue));
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        match self.configured.as_ref()? {
            Configured::Accept(host) => {
                Some(Box::new(AcceptRequest::new(context_id, host.clone())))
            }
            Configured::Drain(host) => Some(Box::new(HealthCheck::new(host.clone()))),
            Configured::Answer(host) => Some(Box::new(Answer::new(context_id, host.clone()))),
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
