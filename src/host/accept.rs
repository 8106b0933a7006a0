//! The accept role: one [`AcceptHost`] per worker, one [`AcceptRequest`] per request.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use super::principal::{PrincipalHost, Signs};
use super::request::{read_body, request_header, respond, route_mode, route_property};
use super::role::{Role, WAKE_QUEUE};
use super::table::Table;
use super::worker::{Performed, Worker, empty};
use crate::accept::admission::RequestHead;
use crate::accept::config::AcceptConfig;
use crate::accept::triggers::{AsyncTriggers, RouteMode, trigger};
use crate::accept::{AcceptEngine, Input};
use crate::caller::{CallerIdentity, CallerRules, CallerSecret};
use crate::engine::Output;
use crate::http::{CalloutResult, Fields};
use crate::id::{Entropy, RequestId};
use crate::limits::OUTPUTS_PER_CALLBACK_MAX;
use crate::metric::Metric;
use crate::principal;
use crate::record::seal::SealKeys;

/// What the requests of a worker share.
pub(super) struct AcceptHost {
    root_id: u32,
    engine: AcceptEngine,
    worker: Worker,
    drain_vm_id: String,
    drain_queue: Option<u32>,
    table: Table,
    principal: Option<Box<PrincipalHost>>,
    /// What Envoy's timer of this context is set to.
    period: Option<Duration>,
    triggers: AsyncTriggers,
    callers: CallerRules,
    told_of_unknown_mode: bool,
}

impl Role for AcceptHost {
    fn callout_done(&mut self, token: u32, headers: usize, body: usize) {
        if let Some((ticket, result)) = self.worker.take_answer(token, headers, body) {
            return self.drive(Input::CalloutDone(ticket, result), self.root_id);
        }
        let answer = self
            .principal
            .as_mut()
            .and_then(|principal| principal.take_answer(token, headers, body));
        if let Some((ticket, result)) = answer {
            self.drive_principal(principal::Input::CalloutDone(ticket, result));
        }
    }

    fn tick(&mut self) {
        self.drive_principal(principal::Input::Tick);
        self.drive(Input::Tick, self.root_id);
        let wanted = self.wanted_period();
        if wanted != self.period {
            self.set_period(wanted);
        }
    }

    fn queue_ready(&mut self, queue: u32) {
        if self.table.is_released_queue(queue) {
            for holder in self.table.released(queue) {
                self.drive(Input::KeyReleased(holder), self.root_id);
            }
            return;
        }
        empty(queue);
        if self.worker.is_turn(queue) {
            self.drive(Input::Wake, self.root_id);
        }
    }
}

/// What the accept role keeps secret.
pub(super) struct AcceptKeys {
    pub(super) signs: Signs,
    pub(super) caller_secret: CallerSecret,
    pub(super) order_secret: Option<CallerSecret>,
    pub(super) seal_keys: Option<SealKeys>,
}

impl AcceptHost {
    pub(super) fn new(
        root_id: u32,
        config: AcceptConfig,
        keys: AcceptKeys,
        mut entropy: Entropy,
    ) -> Self {
        let worker = Worker::new(&mut entropy, config.metric_labels);
        let drain_vm_id = config.drain_vm_id.clone();
        let (triggers, callers) = (config.triggers.clone(), config.callers.rules.clone());
        let table = Table::new(config.idempotency.slots);
        let engine = AcceptEngine::new(config, entropy)
            .keyed_by(keys.caller_secret)
            .ordered_by(keys.order_secret)
            .sealed_by(keys.seal_keys);
        let (engine, principal) = match keys.signs {
            Signs::Not => (engine, None),
            Signs::ByKey(signer) => (engine.signed_by(Some(signer)), None),
            Signs::ByPrincipal(principal) => (engine.signed_by_principal(), Some(principal)),
        };
        let mut host = Self {
            root_id,
            engine,
            worker,
            drain_vm_id,
            drain_queue: None,
            table,
            principal,
            period: None,
            triggers,
            callers,
            told_of_unknown_mode: false,
        };
        // Tokens are had before the first request. Nothing may be sent from here.
        let wanted = host.wanted_period();
        if wanted.is_some() {
            host.set_period(wanted);
        }
        host
    }

    /// Returns how often the timer has to ring, if it has to.
    fn wanted_period(&self) -> Option<Duration> {
        let principal = self.principal.as_ref();
        let principal = principal.map(|principal| principal.period(self.worker.now().steady));
        let periods = [self.engine.tick_period(), principal];
        periods.into_iter().flatten().min()
    }

    fn set_period(&mut self, period: Option<Duration>) {
        // Zero switches the timer off.
        if hostcalls::set_tick_period(period.unwrap_or_default()).is_ok() {
            self.period = period;
        }
    }

    /// Gives the principal an input, if there is one.
    fn drive_principal(&mut self, input: principal::Input) {
        let Some(principal) = &mut self.principal else {
            return;
        };
        let now = self.worker.now();
        if let Some((signer, until)) = principal.drive(input, now, &mut self.worker) {
            self.engine.renew_token(signer, until);
        }
    }

    /// Returns the fields of a request that is to become a call. Most requests aren't marked, so
    /// what happens to those has to be cheap.
    fn marked(&mut self) -> Option<Fields> {
        let (triggers, told) = (&self.triggers, &mut self.told_of_unknown_mode);
        let asked = triggers.route_metadata.then(|| route_mode(told));
        let may_be = asked == Some(RouteMode::Always)
            || (triggers.prefer && request_header(&triggers.prefer_header).is_some())
            || (triggers.path_prefix.is_some()
                && request_header(":path").is_some_and(|path| triggers.has_prefix(&path)));
        if !may_be {
            return None;
        }
        let fields = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
        trigger(&fields, asked.unwrap_or_default(), triggers)?;
        if asked.is_none() {
            trigger(&fields, route_mode(told), triggers)?;
        }
        Some(fields)
    }

    /// Returns what distinguishes the sender of the request whose callback this is.
    fn caller(&self, fields: &Fields) -> Option<CallerIdentity> {
        CallerIdentity::find(&self.callers, fields, |path| {
            hostcalls::get_property(path.to_vec()).ok().flatten()
        })
    }

    /// Gives the engine an input and performs what it asks for. `context` is the one whose callback
    /// this is.
    fn drive(&mut self, input: Input, context: u32) {
        self.engine.handle(input, self.worker.now());
        let mut effective = context;
        for _ in 0..OUTPUTS_PER_CALLBACK_MAX {
            let Some(output) = self.engine.poll_output() else {
                break;
            };
            match self.worker.perform(output) {
                Performed::Done => {}
                Performed::NotSent(ticket) => {
                    let input = Input::CalloutDone(ticket, CalloutResult::NotSent);
                    self.engine.handle(input, self.worker.now());
                }
                Performed::Left(output) => self.perform(output, &mut effective),
            }
        }
        if effective != context {
            let _ = hostcalls::set_effective_context(context);
        }
        self.worker.tell_memory(Metric::AcceptMemory);
        if self.engine.take_refused_signature() {
            self.drive_principal(principal::Input::Refused);
        }
        // It is set back to a longer one where it rings.
        if let Some(period) = self.engine.tick_period()
            && self.period.is_none_or(|current| period < current)
        {
            self.set_period(Some(period));
        }
    }

    /// Performs the outputs that only this role has.
    fn perform(&mut self, output: Output, effective: &mut u32) {
        match output {
            Output::WakeDrain => self.wake_drain(),
            Output::ReadBody(request) => {
                let body = enter(request, effective).then(read_body).flatten();
                self.engine
                    .handle(Input::Body(request, body), self.worker.now());
            }
            Output::Respond(request, response) => {
                if enter(request, effective) {
                    respond(&response);
                }
            }
            Output::ReadSlot(slot) => {
                let (bytes, version) = self.table.read(slot);
                let input = Input::SlotRead(bytes, version);
                self.engine.handle(input, self.worker.now());
            }
            Output::WriteSlot {
                slot,
                bytes,
                version,
            } => {
                let input = Input::SlotWritten(self.table.write(slot, &bytes, version));
                self.engine.handle(input, self.worker.now());
            }
            Output::Wake
            | Output::ReleaseKey(_)
            | Output::Callout(_)
            | Output::Unsigned(_)
            | Output::Count(..)
            | Output::Observe(..)
            | Output::Log(..) => {}
        }
    }

    /// Tells the drain, if this Envoy has one; otherwise the drain looks by itself. The queue is
    /// emptied first, so that it stays short even if nobody listens.
    fn wake_drain(&mut self) {
        if self.drain_queue.is_none() {
            self.drain_queue = hostcalls::resolve_shared_queue(&self.drain_vm_id, WAKE_QUEUE)
                .ok()
                .flatten();
        }
        let Some(queue) = self.drain_queue else {
            return;
        };
        let taken = hostcalls::dequeue_shared_queue(queue);
        if taken.is_err() || hostcalls::enqueue_shared_queue(queue, Some(b"!")).is_err() {
            self.drain_queue = None;
        }
    }
}

/// Makes a request the one that hostcalls act upon. Returns false if Envoy has dropped it.
fn enter(request: RequestId, effective: &mut u32) -> bool {
    if *effective == request.0 {
        return true;
    }
    let entered = hostcalls::set_effective_context(request.0).is_ok();
    if entered {
        *effective = request.0;
    }
    entered
}

/// A request. The engine sees only marked ones.
pub(super) struct AcceptRequest {
    context_id: u32,
    host: Rc<RefCell<AcceptHost>>,
    marked: bool,
}

impl AcceptRequest {
    pub(super) const fn new(context_id: u32, host: Rc<RefCell<AcceptHost>>) -> Self {
        Self {
            context_id,
            host,
            marked: false,
        }
    }

    fn drive(&self, input: Input) {
        if let Ok(mut host) = self.host.try_borrow_mut() {
            host.drive(input, self.context_id);
        }
    }

    fn gone(&mut self) {
        if std::mem::take(&mut self.marked) {
            self.drive(Input::RequestGone(RequestId(self.context_id)));
        }
    }
}

impl Context for AcceptRequest {
    fn on_done(&mut self) -> bool {
        // From here on Envoy still finds the context, but answering it would be fatal.
        self.gone();
        true
    }
}

impl Drop for AcceptRequest {
    fn drop(&mut self) {
        self.gone();
    }
}

impl HttpContext for AcceptRequest {
    fn on_http_request_headers(&mut self, _fields: usize, end_of_stream: bool) -> Action {
        let marked = self
            .host
            .try_borrow_mut()
            .ok()
            .and_then(|mut host| host.marked());
        let Some(fields) = marked else {
            return Action::Continue;
        };
        #[cfg(feature = "trap-on-request")]
        if crate::http::first(&fields, "sluice-test-trap").is_some() {
            super::role::trap();
        }
        self.marked = true;
        let request = RequestId(self.context_id);
        let caller = self.host.try_borrow().ok();
        let caller = caller.and_then(|host| host.caller(&fields));
        let (route, cluster) = (route_property("route_name"), route_property("cluster_name"));
        let head = RequestHead {
            fields,
            has_route: route.is_some() || cluster.is_some(),
            route,
            cluster,
            caller,
        };
        self.drive(Input::RequestHead {
            request,
            head,
            end_of_stream,
        });
        Action::Pause
    }

    fn on_http_request_body(&mut self, buffered_bytes: usize, end_of_stream: bool) -> Action {
        if !self.marked {
            return Action::Continue;
        }
        let request = RequestId(self.context_id);
        self.drive(Input::RequestBody {
            request,
            buffered_bytes,
            end_of_stream,
        });
        Action::Pause
    }

    fn on_http_request_trailers(&mut self, _fields: usize) -> Action {
        if !self.marked {
            return Action::Continue;
        }
        let trailers = hostcalls::get_map_bytes(MapType::HttpRequestTrailers).unwrap_or_default();
        let request = RequestId(self.context_id);
        self.drive(Input::RequestTrailers { request, trailers });
        Action::Pause
    }
}
