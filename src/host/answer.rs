//! The answer role: one [`AnswerHost`] per worker, one [`Answer`] per attempt.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};

use super::bytes::as_header_text;
use super::clock::Clock;
use super::role::Role;
use crate::answer::{AnswerConfig, AnswerEngine, Verdict, cut_head, due};
use crate::id::RequestId;
use crate::limits::TIMEOUT_MS_MAX;
use crate::time::{Steady, millis};

/// The time limit of the attempt, which the listener has taken from the drain's callout.
const TIME_LIMIT: &str = "x-envoy-upstream-rq-timeout-ms";

/// What the attempts of a worker share.
pub(super) struct AnswerHost {
    engine: AnswerEngine,
    clock: Clock,
    /// When Envoy's timer of this context rings.
    alarm: Option<Steady>,
}

impl Role for AnswerHost {
    fn callout_done(&mut self, _token: u32, _headers: usize, _body: usize) {}

    fn tick(&mut self) {
        self.alarm = None;
        let overdue = self.engine.overdue(self.clock.now().steady);
        for request in overdue {
            if hostcalls::set_effective_context(request.0).is_ok() {
                self.answer();
            }
        }
        if self.engine.wakeup().is_none() {
            let _ = hostcalls::set_tick_period(Duration::ZERO);
        }
        self.set_alarm();
    }

    fn queue_ready(&mut self, _queue: u32) {}
}

impl AnswerHost {
    pub(super) fn new(config: &AnswerConfig) -> Self {
        Self {
            engine: AnswerEngine::new(config.body_bytes_max),
            clock: Clock::new(),
            alarm: None,
        }
    }

    /// Answers with what has come, in the target's own words. Envoy then ends the rest.
    fn answer(&self) {
        let fields = hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default();
        let (status, fields) = cut_head(fields);
        let body_bytes = self.engine.body_bytes_max();
        let body = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, body_bytes);
        let body = body.ok().flatten().unwrap_or_default();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_str(), as_header_text(value)))
            .collect();
        let _ = hostcalls::send_http_response(u32::from(status), fields, Some(&body));
    }

    /// Sets Envoy's timer, as the drain does: only if it would ring too late.
    fn set_alarm(&mut self) {
        let Some(due) = self.engine.wakeup() else {
            return;
        };
        if self.alarm.is_some_and(|alarm| alarm <= due) {
            return;
        }
        let now = self.clock.now().steady;
        // Zero would switch the timer off.
        let period = due.since(now).max(Duration::from_millis(1));
        if hostcalls::set_tick_period(period).is_ok() {
            self.alarm = Some(Steady(now.0.saturating_add(millis(period))));
        }
    }
}

/// An attempt on its way, and its answer.
pub(super) struct Answer {
    id: RequestId,
    host: Rc<RefCell<AnswerHost>>,
    due: Steady,
}

impl Answer {
    pub(super) const fn new(context_id: u32, host: Rc<RefCell<AnswerHost>>) -> Self {
        Self {
            id: RequestId(context_id),
            host,
            due: Steady(u64::MAX),
        }
    }

    fn gone(&self) {
        if let Ok(mut host) = self.host.try_borrow_mut() {
            host.engine.gone(self.id);
        }
    }
}

impl Context for Answer {
    fn on_done(&mut self) -> bool {
        // From here on Envoy still finds the context, but answering it would be fatal.
        self.gone();
        true
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.gone();
    }
}

impl HttpContext for Answer {
    fn on_http_request_headers(&mut self, _fields: usize, _end_of_stream: bool) -> Action {
        let limit = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, TIME_LIMIT);
        let limit = limit.ok().flatten().and_then(|text| {
            let limit: u64 = std::str::from_utf8(&text).ok()?.parse().ok()?;
            (limit <= TIMEOUT_MS_MAX).then(|| Duration::from_millis(limit))
        });
        if let (Some(limit), Ok(host)) = (limit, self.host.try_borrow()) {
            self.due = due(host.clock.now().steady, limit);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _fields: usize, end_of_stream: bool) -> Action {
        let Ok(mut host) = self.host.try_borrow_mut() else {
            return Action::Continue;
        };
        match host.engine.head(self.id, self.due, end_of_stream) {
            Verdict::Pass | Verdict::Cut => Action::Continue,
            Verdict::Hold => {
                host.set_alarm();
                Action::Pause
            }
        }
    }

    fn on_http_response_body(&mut self, bytes: usize, end_of_stream: bool) -> Action {
        let Ok(mut host) = self.host.try_borrow_mut() else {
            return Action::Continue;
        };
        match host.engine.body(self.id, bytes, end_of_stream) {
            Verdict::Pass => Action::Continue,
            Verdict::Hold => Action::Pause,
            Verdict::Cut => {
                host.answer();
                Action::Pause
            }
        }
    }

    fn on_http_response_trailers(&mut self, _fields: usize) -> Action {
        self.gone();
        Action::Continue
    }
}
