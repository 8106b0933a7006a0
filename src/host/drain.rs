//! The drain role: one [`DrainHost`] per worker, kept alive by one [`HealthCheck`] after another.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::role::{Role, WAKE_QUEUE};
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
use crate::record::seal::SealKeys;
use crate::stream::signing::Signer;
use crate::time::{Steady, millis};

/// The drain of a worker.
pub(super) struct DrainHost {
    engine: DrainEngine,
    worker: Worker,
    accept_vm_id: String,
    wake_queue: Option<u32>,
    /// A health check has come and waits for a callback of the root context.
    checked: bool,
    /// What Envoy's timer of this context is set to.
    alarm: Option<Steady>,
}

/// What comes by the environment.
pub(super) struct DrainKeys {
    /// Replies are signed by them.
    pub(super) secrets: ReplySecrets,
    /// What is sealed in records is opened by them.
    pub(super) seal_keys: Option<SealKeys>,
    /// Requests to the Stream are signed by it.
    pub(super) signer: Option<Signer>,
}

impl Role for DrainHost {
    fn callout_done(&mut self, token: u32, headers: usize, body: usize) {
        if let Some((ticket, result)) = self.worker.take_answer(token, headers, body) {
            self.drive(Input::CalloutDone(ticket, result));
        }
    }

    fn tick(&mut self) {
        self.alarm = None;
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
        Self {
            accept_vm_id: config.accept_vm_id.clone(),
            engine: DrainEngine::new(config, keys.secrets, entropy)
                .signed_by(keys.signer)
                .sealed_by(keys.seal_keys),
            worker,
            wake_queue: None,
            checked: false,
            alarm: None,
        }
    }

    /// A health check has come: this worker is the one that drains, and the one to be woken. The
    /// answers to callouts made here would be lost with the health check's own context, so the
    /// engine hears of it in the next turn.
    fn health_check(&mut self) {
        if self.wake_queue.is_none() {
            self.wake_queue = hostcalls::register_shared_queue(WAKE_QUEUE).ok();
        }
        self.checked = true;
        self.worker.ask_for_a_turn();
    }

    fn notice_health_check(&mut self) {
        if std::mem::take(&mut self.checked) {
            self.drive(Input::HealthCheck);
        }
    }

    fn drive(&mut self, input: Input) {
        // Asking Envoy for the time costs a hostcall for each clock: once a callback is enough.
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
        self.set_alarm(now.steady);
    }

    /// Tells the accept role, if there is one in this Envoy; elsewhere the key is known until its
    /// window ends.
    fn release_key(&self, holder: &KeyHolder) {
        let queue = hostcalls::resolve_shared_queue(&self.accept_vm_id, RELEASE_QUEUE);
        if let Ok(Some(queue)) = queue {
            let _ = hostcalls::enqueue_shared_queue(queue, Some(holder.to_text().as_bytes()));
        }
    }

    /// Envoy's timer is periodic and costs a call to set, so it is left alone while it rings early
    /// enough; a spurious tick is harmless.
    fn set_alarm(&mut self, now: Steady) {
        let Some(due) = self.engine.wakeup(now) else {
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
