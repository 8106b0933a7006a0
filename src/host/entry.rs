//! Where Envoy comes in: one module, three roles, told apart by the plugin's `root_id`.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};

use super::accept::{AcceptHost, AcceptRequest};
use super::answer::{Answer, AnswerHost};
use super::drain::{DrainHost, HealthCheck};
use super::rsa::rsa;
use super::sink::log;
use super::table::process_secret;
use crate::call::caller::CallerSecret;
use crate::call::reply::signature::Secrets;
use crate::config::{AcceptConfig, AnswerConfig, ConfigError, Document, DrainConfig, StreamConfig};
use crate::engine::Level;
use crate::id::Entropy;
use crate::stream::signing::Signer;

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

/// What Envoy tells the root context of a role.
pub(super) trait Role {
    /// A callout has ended.
    fn callout_done(&mut self, token: u32, headers: usize, body_bytes: usize);
    /// The timer rings.
    fn tick(&mut self);
    /// Something is in a queue that we have registered.
    fn queue_ready(&mut self, queue: u32);
}

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
            let signer = signer(&config.stream, &mut entropy)?;
            let secret = caller_secret(&mut entropy)?;
            let host = AcceptHost::new(self.context_id, config, signer, secret, entropy);
            Configured::Accept(Rc::new(RefCell::new(host)))
        } else if root_id == DRAIN {
            let mut entropy = entropy()?;
            let config = DrainConfig::from_json(&json).map_err(|error| error.to_string())?;
            let signer = signer(&config.stream, &mut entropy)?;
            let host = DrainHost::new(config, secrets()?, signer, entropy);
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

    /// Passes something on. Envoy never calls us while we call it, so the borrow succeeds.
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

/// What replies are signed with. Secrets come by the VM's environment, because Envoy shows the
/// configuration to whoever may read its admin interface.
fn secrets() -> Result<Option<Secrets>, String> {
    const VARIABLE: &str = "SLUICE_WEBHOOK_SECRETS";
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.to_str().unwrap_or_default();
    Secrets::parse(text)
        .map(Some)
        .map_err(|error| format!("the environment variable {VARIABLE}: {error}"))
}

/// What callers and their idempotency keys are hashed with: what gateways that shall know the same
/// callers are given, or else what this process has drawn.
fn caller_secret(entropy: &mut Entropy) -> Result<CallerSecret, String> {
    const VARIABLE: &str = "SLUICE_CALLER_KEY";
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(process_secret(entropy));
    };
    CallerSecret::parse(text.to_str().unwrap_or_default())
        .map_err(|error| format!("the environment variable {VARIABLE} {error}"))
}

/// What requests to the Stream are signed by, where that is configured.
fn signer(stream: &StreamConfig, entropy: &mut Entropy) -> Result<Option<Signer>, String> {
    let Some(signing) = &stream.signing else {
        return Ok(None);
    };
    let variable = std::env::var_os(&signing.private_key_environment);
    let variable = variable.as_ref().and_then(|value| value.to_str());
    let key = signing.key(variable);
    let key = key.map_err(|problem| ConfigError(vec![problem]).to_string())?;
    let rsa = rsa(key, entropy)?;
    let line = format!("signs as {} by {}", signing.key_id, rsa.name());
    log(Level::Info, &line);
    Ok(Some(Signer::new(signing.key_id.clone(), rsa)))
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
