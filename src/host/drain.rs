//! The drain role: one [`DrainHost`] per worker, kept alive by one [`HealthCheck`] after another.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::principal::{PrincipalHost, Signs};
use super::role::{Role, WAKE_QUEUE};
use super::sink::trace;
use super::table::RELEASE_QUEUE;
use super::worker::{Performed, Worker, empty};
use crate::drain::config::DrainConfig;
use crate::drain::route::ReplySecrets;
use crate::drain::{DrainEngine, Input};
use crate::engine::Output;
use crate::http::CalloutResult;
use crate::id::Entropy;
use crate::idempotency::KeyHolder;
use crate::limits::OUTPUTS_PER_CALLBACK_MAX;
use crate::metric::Metric;
use crate::principal;
use crate::record::seal::SealKeys;
use crate::time::{Steady, millis};

/// The drain of a worker.
pub(super) struct DrainHost {
    engine: DrainEngine,
    worker: Worker,
    accept_vm_id: String,
    wake_queue: Option<u32>,
    principal: Option<Box<PrincipalHost>>,
    /// Whether the principal has had no token yet.
    awaits_token: bool,
    /// Whether a health check has come and waits for a callback of the root context.
    checked: bool,
    /// When Envoy's timer of this context rings.
    alarm: Option<Steady>,
}

/// Secrets and keys from the environment.
pub(super) struct DrainKeys {
    /// The secrets that sign replies.
    pub(super) secrets: ReplySecrets,
    /// The keys that open what is sealed in records.
    pub(super) seal_keys: Option<SealKeys>,
    /// What signs requests to the Stream.
    pub(super) signs: Signs,
}

impl Role for DrainHost {
    fn callout_done(&mut self, token: u32, headers: usize, body: usize) {
        if let Some((ticket, result)) = self.worker.take_answer(token, headers, body) {
            return self.drive(Input::CalloutDone(ticket, result));
        }
        let answer = self
            .principal
            .as_mut()
            .and_then(|principal| principal.take_answer(token, headers, body));
        if let Some((ticket, result)) = answer {
            self.drive_principal(principal::Input::CalloutDone(ticket, result));
            self.set_alarm(self.worker.now().steady);
        }
    }

    fn tick(&mut self) {
        self.alarm = None;
        trace(&self.engine.describe_wakeup(self.worker.now().steady));
        self.drive_principal(principal::Input::Tick);
        self.notice_health_check();
        self.drive(Input::Tick);
    }

    fn queue_ready(&mut self, queue: u32) {
        empty(queue);
        if self.wake_queue == Some(queue) {
            self.drive(Input::RecordsAvailable);
        } else if self.worker.is_turn(queue) {
            self.notice_health_check();
            self.drive(Input::Wake);
        }
    }
}

impl DrainHost {
    pub(super) fn new(config: DrainConfig, keys: DrainKeys, mut entropy: Entropy) -> Self {
        let worker = Worker::new(&mut entropy, config.metric_labels);
        let accept_vm_id = config.accept_vm_id.clone();
        let engine = DrainEngine::new(config, keys.secrets, entropy).sealed_by(keys.seal_keys);
        let (engine, principal) = match keys.signs {
            Signs::Not => (engine, None),
            Signs::ByKey(signer) => (engine.signed_by(Some(signer)), None),
            Signs::ByPrincipal(principal) => (engine.signed_by_principal(), Some(principal)),
        };
        let mut host = Self {
            accept_vm_id,
            engine,
            worker,
            wake_queue: None,
            awaits_token: principal.is_some(),
            principal,
            checked: false,
            alarm: None,
        };
        // Tokens are had before the first health check. Nothing may be sent from here.
        if host.principal.is_some() {
            host.set_alarm(host.worker.now().steady);
        }
        host
    }

    /// Gives the principal an input, if there is one.
    fn drive_principal(&mut self, input: principal::Input) {
        let Some(principal) = &mut self.principal else {
            return;
        };
        let now = self.worker.now();
        if let Some((signer, until)) = principal.drive(input, now, &mut self.worker) {
            self.engine.renew_token(signer, until);
            self.awaits_token = false;
        }
    }

    /// Handles a health check: this worker has to drain, and has to be woken. The answers to
    /// callouts made here would be lost with the health check's own context, so the engine learns
    /// of it in the next turn.
    fn health_check(&mut self) {
        if self.wake_queue.is_none() {
            self.wake_queue = hostcalls::register_shared_queue(WAKE_QUEUE).ok();
        }
        self.checked = true;
        self.worker.ask_for_a_turn();
    }

    fn notice_health_check(&mut self) {
        // Without a token a session would fail again and again. The next health check is near.
        if std::mem::take(&mut self.checked) && !self.awaits_token {
            self.drive(Input::HealthCheck);
        }
    }

    fn drive(&mut self, input: Input) {
        // Asking Envoy for the time costs a hostcall for each clock, so it is done once in a
        // callback.
        let now = self.worker.now();
        self.engine.handle(input, now);
        for _ in 0..OUTPUTS_PER_CALLBACK_MAX {
            let Some(output) = self.engine.poll_output() else {
                break;
            };
            match self.worker.perform(output) {
                Performed::NotSent(ticket) => {
                    let input = Input::CalloutDone(ticket, CalloutResult::NotSent);
                    self.engine.handle(input, now);
                }
                Performed::Left(Output::ReleaseKey(holder)) => self.release_key(&holder),
                // Only the accept role has requests to read and answer.
                Performed::Done | Performed::Left(_) => {}
            }
        }
        self.worker.tell_memory(Metric::DrainMemory);
        if self.engine.take_refused_signature() {
            self.drive_principal(principal::Input::Refused);
        }
        self.set_alarm(now.steady);
    }

    /// Tells the accept role that a key is free, if this Envoy has one; otherwise the key stays
    /// known until its window ends.
    fn release_key(&self, holder: &KeyHolder) {
        let queue = hostcalls::resolve_shared_queue(&self.accept_vm_id, RELEASE_QUEUE);
        if let Ok(Some(queue)) = queue {
            let _ = hostcalls::enqueue_shared_queue(queue, Some(holder.to_text().as_bytes()));
        }
    }

    /// Sets Envoy's timer. It is periodic and costs a call to set, so it isn't touched while it
    /// rings early enough; a spurious tick is harmless.
    fn set_alarm(&mut self, now: Steady) {
        let principal = self.principal.as_ref().map(|principal| principal.wakeup());
        let dues = [self.engine.wakeup(now), principal];
        let Some(due) = dues.into_iter().flatten().min() else {
            return;
        };
        if self.alarm.is_some_and(|alarm| alarm <= due) {
            return;
        }
        // Zero would switch the timer off.
        let period = due.since(now).max(Duration::from_millis(1));
        if hostcalls::set_tick_period(period).is_ok() {
            self.alarm = Some(Steady(now.0.saturating_add(millis(period))));
        }
    }
}

/// A request to the drain's listener: Envoy's health check.
pub(super) struct HealthCheck {
    host: Rc<RefCell<DrainHost>>,
}

impl HealthCheck {
    pub(super) const fn new(host: Rc<RefCell<DrainHost>>) -> Self {
        Self { host }
    }
}

impl Context for HealthCheck {}

impl HttpContext for HealthCheck {
    fn on_http_request_headers(&mut self, _fields: usize, _end_of_stream: bool) -> Action {
        #[cfg(feature = "trap-on-request")]
        if hostcalls::get_map_value_bytes(
            proxy_wasm::types::MapType::HttpRequestHeaders,
            "sluice-test-trap",
        )
        .is_ok_and(|value| value.is_some())
        {
            super::role::trap();
        }
        if let Ok(mut host) = self.host.try_borrow_mut() {
            host.health_check();
        }
        let _ = hostcalls::send_http_response(200, Vec::new(), Some(b"draining\n"));
        Action::Pause
    }
}
