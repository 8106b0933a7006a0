//! A role's signatures: by a key that it is given, or by tokens that a principal gets.

use std::time::Duration;

use proxy_wasm::hostcalls;

use super::callouts::Callouts;
use super::rsa::rsa;
use super::sink::log;
use super::worker::Worker;
use crate::engine;
use crate::engine::Level;
use crate::http::CalloutResult;
use crate::id::{Entropy, Ticket};
use crate::principal::{Environment, Input, Output, Principal};
use crate::stream::signing::{PrincipalConfig, Signer};
use crate::time::{Now, Steady, Wall};

/// The role's timer while a key is searched, while a token is awaited, and else.
const TICKS: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// What requests to the Stream are signed by.
pub(super) enum Signs {
    /// By nothing.
    Not,
    /// By a key.
    ByKey(Signer),
    /// By tokens.
    ByPrincipal(Box<PrincipalHost>),
}

/// A principal's dealings with Envoy on one worker.
pub(super) struct PrincipalHost {
    principal: Principal,
    callouts: Callouts,
    entropy: Entropy,
    /// The name of what workers share. Another configuration has another one.
    shared: String,
}

impl PrincipalHost {
    pub(super) fn new(
        config: &PrincipalConfig,
        environment: Environment,
        entropy: &mut Entropy,
    ) -> Self {
        let PrincipalConfig {
            kind,
            auth_cluster,
            auth_authority,
            metadata_cluster,
            files_cluster,
        } = config;
        let kind = kind.name();
        Self {
            principal: Principal::new(config.clone(), environment, entropy.fork()),
            callouts: Callouts::default(),
            entropy: entropy.fork(),
            shared: format!(
                "principal {kind} {auth_cluster} {auth_authority} {metadata_cluster} \
                 {files_cluster}"
            ),
        }
    }

    /// The answer to a callout; `None` if it isn't the principal's.
    pub(super) fn take_answer(
        &mut self,
        token: u32,
        headers: usize,
        body_bytes: usize,
    ) -> Option<(Ticket, CalloutResult)> {
        self.callouts.take(token, headers, body_bytes)
    }

    /// Returns when it has something to do next.
    pub(super) fn wakeup(&self) -> Steady {
        self.principal.wakeup()
    }

    /// The same as a period of few kinds, so that a timer is seldom set anew.
    pub(super) fn period(&self, now: Steady) -> Duration {
        let until = self.wakeup().since(now);
        let kind = TICKS.into_iter().rev().find(|period| *period <= until);
        kind.unwrap_or(TICKS[0])
    }

    /// Drives the principal by an input and performs what it asks for. Returns the signer that
    /// signs from now on, if there is a new one, and when its token ends.
    pub(super) fn drive(
        &mut self,
        input: Input,
        now: Now,
        worker: &mut Worker,
    ) -> Option<(Signer, Wall)> {
        let mut signs = None;
        self.principal.handle(input, now);
        while let Some(output) = self.principal.poll_output() {
            match output {
                Output::Callout(callout) => {
                    if self.callouts.send(&callout).is_err() {
                        let result = CalloutResult::NotSent;
                        let input = Input::CalloutDone(callout.ticket, result);
                        self.principal.handle(input, now);
                    }
                }
                Output::ReadShared => {
                    let (bytes, version) =
                        hostcalls::get_shared_data(&self.shared).unwrap_or_default();
                    let input = Input::SharedRead(bytes, version.unwrap_or_default());
                    self.principal.handle(input, now);
                }
                Output::WriteShared(bytes, version) => {
                    let version = (version > 0).then_some(version);
                    let written = hostcalls::set_shared_data(&self.shared, Some(&bytes), version);
                    self.principal
                        .handle(Input::SharedWritten(written.is_ok()), now);
                }
                Output::Identity(identity) => match rsa(identity.key, &mut self.entropy) {
                    Ok(rsa) => signs = Some((Signer::new(identity.key_id, rsa), identity.expires)),
                    Err(why) => log(Level::Error, &format!("the session key can't sign: {why}")),
                },
                Output::Count(metric) => {
                    worker.perform(engine::Output::Count(metric, 1));
                }
                Output::Log(level, line) => log(level, &line),
            }
        }
        signs
    }
}
