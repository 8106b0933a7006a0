//! Attempts: the next call of a target's queue is made, and its result decides what happens next.

use std::time::Duration;

use crate::drain::dead_letter::Reason;
use crate::drain::dispatch::CallHeaders;
use crate::drain::disposition::answered;
use crate::drain::lifecycle::state::Transition;
use crate::drain::lifecycle::tracked::LastAttempt;
use crate::drain::outbox::{Content, Publication};
use crate::drain::outcome::{Outcome, is_closed_early, of_gateway};
use crate::drain::{DrainEngine, Purpose};
use crate::engine::Output;
use crate::engine::signing::Covers;
use crate::http::{CalloutResult, IncomingResponse};
use crate::id::{RecordId, StreamName};
use crate::limits::EXCERPT_BYTES_MAX;
use crate::metric::Metric;
use crate::record;
use crate::record::check::check;
use crate::record::progress::PastAttempt;
use crate::record::reply_context::ReplyOutcome;
use crate::record::seal::{self, SealError};
use crate::reply::result::{Finished, Response};
use crate::stream::signing::prepare_call;
use crate::time::{Now, millis};

/// How often a call with an order key looks whether the drain is still a member of its group.
const UNHEARD_PAUSE: Duration = Duration::from_millis(100);

impl DrainEngine {
    /// Makes attempts that are due and have a slot, but only a limited number in one turn of the
    /// event loop. The requests of clients share the worker, and go on between two turns.
    pub(super) fn dispatch_due(&mut self, now: Now) {
        while self.window.target_queues().waiting() > 0 {
            let slots = self.config.window.in_flight_max;
            let free_slots = slots.saturating_sub(self.window.in_flight());
            if free_slots == 0 {
                return;
            }
            if self.turn_budget == 0 {
                if !std::mem::replace(&mut self.turn_pending, true) {
                    self.outputs.push(Output::Wake);
                }
                return;
            }
            let Some(record) = self.window.start_next(free_slots, now.steady) else {
                return;
            };
            self.turn_budget -= 1;
            if self.window.has_ended_elsewhere(record) {
                self.settle_repeated(record, now);
                self.wake_in_order(now);
            } else if !self.holds_back(record, now) {
                self.attempt(record, now);
            }
        }
    }

    /// Returns whether a call with an order key has to wait because the group may have given our
    /// partitions away, for example after the whole process was stopped. Another drain may be
    /// making the calls of this key, so the call waits until the drain has heard from the group.
    fn holds_back(&mut self, id: RecordId, now: Now) -> bool {
        let session = self.sessions.get(&StreamName::Calls);
        let is_unheard = session.is_some_and(|session| session.is_unheard(now.steady));
        let is_ordered = self.plan(id).is_some_and(|plan| plan.order_key.is_some());
        let holds_back = is_unheard && is_ordered;
        if holds_back {
            let until = now.steady.plus(UNHEARD_PAUSE);
            let wait = Transition::Wait { until };
            self.window.apply(id, wait, now.steady);
        }
        holds_back
    }

    /// The session was lost while the call was under way, and another drain may have the record
    /// now. So the call is attempted again only if its record is read again.
    pub(super) fn suspend(&mut self, id: RecordId, pause: Duration, now: Now) {
        let until = now.steady.plus(pause);
        let suspend = Transition::Suspend { until };
        let next = self.window.apply(id, suspend, now.steady);
        if let Some(next) = next {
            self.schedule(next, now);
        }
    }

    fn attempt(&mut self, id: RecordId, now: Now) {
        let understood = self.window.understand(id);
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        let Some(plan) = tracked.plan.as_ref() else {
            return;
        };
        let timeout = plan.limits.timeout;
        let is_first = tracked.progress.attempts == 0;
        let late = now.wall.since(plan.due);
        let mut call = match understood {
            Ok(call) => call,
            // It could be read when it came.
            Err(error) => {
                let detail = error.to_string();
                return self.give_up(id, Reason::UnreadableRecord, detail, None, now);
            }
        };
        let call_id = plan.id.to_string();
        let call_headers = CallHeaders {
            correlation_id: call
                .head
                .correlation_id
                .clone()
                .unwrap_or_else(|| call_id.clone()),
            id: call_id,
            accepted_at: plan.accepted_at.to_string(),
            attempt: tracked.progress.attempts.saturating_add(1),
        };
        if let Err(error) = seal::open(&mut call, self.seal_keys.as_ref()) {
            return self.cannot_open(id, &error, now);
        }
        let mut routed = match self.router.request(call, &call_headers, now.wall) {
            Ok(routed) => routed,
            Err(denied) => {
                return self.give_up(id, Reason::Denied, denied, None, now);
            }
        };
        let covers = routed.is_signed.then_some(Covers::Content);
        if covers.is_some() {
            prepare_call(&mut routed.request);
        }
        tracked.progress.attempts = call_headers.attempt;
        let wants_answer = tracked.plan.as_ref().is_some_and(|plan| plan.wants_reply);
        self.outputs.count(Metric::Attempts, 1);
        self.outputs.count(Metric::InFlight, 1);
        if is_first {
            self.outputs
                .push(Output::Observe(Metric::Lateness, millis(late)));
        }
        let answer_bytes = if wants_answer {
            // With zero, not even the header fields would be read.
            self.config.dispatch.reply_bytes_max.max(1)
        } else {
            0
        };
        let purpose = Purpose::Attempt(id, routed.upstream);
        self.call_out(purpose, routed.request, covers, timeout, answer_bytes, now);
    }

    /// Puts off a call whose credentials can't be opened. A missing key may come back.
    fn cannot_open(&mut self, id: RecordId, error: &SealError, now: Now) {
        let detail = error.to_string();
        match error {
            SealError::UnknownKey(_) => self.gateway_fault(id, detail, now),
            SealError::Broken => self.give_up(id, Reason::UnreadableRecord, detail, None, now),
        }
    }

    /// An attempt has ended.
    pub(super) fn attempt_done(&mut self, id: RecordId, result: CalloutResult, now: Now) {
        self.outputs.count(Metric::InFlight, -1);
        if is_closed_early(&result) && self.send_again(id, now) {
            return;
        }
        let outcome = self.config.outcomes.classify(&result, now.wall);
        let (response, own) = match result {
            CalloutResult::Answered(response) => match of_gateway(&response) {
                None => (Some(response), None),
                Some(own) => (None, Some(in_full(own, &response))),
            },
            CalloutResult::Lost | CalloutResult::NotSent => (None, None),
        };
        self.note(id, &outcome, response.as_ref(), own.as_deref(), now);
        match outcome {
            Outcome::Delivered { .. } => {
                self.outputs.count(Metric::Delivered, 1);
                let reply = self.reply(id, ReplyOutcome::Delivered, response);
                self.window.ends(id);
                self.leave(id, reply.into_iter().collect(), now);
            }
            Outcome::Rejected { status } => {
                let detail = match own {
                    None => format!("the target answered {status}"),
                    Some(own) => format!("the gateway answered itself: {own}"),
                };
                self.give_up(id, Reason::Rejected, detail, response, now);
            }
            Outcome::Denied { what } => {
                let detail = format!("the gateway refuses to reach the target: {what}");
                self.give_up(id, Reason::Denied, detail, None, now);
            }
            Outcome::Retryable {
                status,
                retry_after,
            } => {
                let detail = answered(status, own.as_deref());
                let last = LastAttempt {
                    detail,
                    answer: response,
                };
                self.retry(id, retry_after, last, now);
            }
            Outcome::GatewayFault { what } => {
                if let Some(tracked) = self.window.get_mut(id) {
                    tracked.progress.attempts = tracked.progress.attempts.saturating_sub(1);
                }
                self.gateway_fault(id, what, now);
            }
        }
    }

    /// Gives up an attempt that may have come to its target, and counts it as none.
    pub(super) fn leave_attempt(&mut self, id: RecordId, now: Now) {
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        tracked.progress.attempts = tracked.progress.attempts.saturating_sub(1);
        let last = LastAttempt {
            detail: "no answer before the gateway ended".to_owned(),
            answer: None,
        };
        self.attempt_later(id, Duration::ZERO, last, now);
    }

    /// Sends the same attempt once more if a kept connection was probably closed when it was used
    /// again, which is not the target's answer. This is done only if a repetition can do no harm.
    fn send_again(&mut self, id: RecordId, now: Now) -> bool {
        let Some(tracked) = self.window.get_mut(id) else {
            return false;
        };
        let is_repeatable = tracked.plan.as_ref().is_some_and(|plan| plan.is_repeatable);
        if !is_repeatable || std::mem::replace(&mut tracked.is_sent_again, true) {
            return false;
        }
        tracked.progress.attempts = tracked.progress.attempts.saturating_sub(1);
        self.outputs.count(Metric::SentAgain, 1);
        let last = LastAttempt {
            detail: "a closed connection".to_owned(),
            answer: None,
        };
        self.attempt_later(id, Duration::ZERO, last, now);
        true
    }

    /// Writes an attempt that has failed into the call's history.
    fn note(
        &mut self,
        id: RecordId,
        outcome: &Outcome,
        response: Option<&IncomingResponse>,
        own: Option<&str>,
        now: Now,
    ) {
        let status = match outcome {
            Outcome::Retryable { status, .. } => *status,
            Outcome::Rejected { status } => response.map(|_| *status),
            Outcome::Denied { .. } => None,
            Outcome::Delivered { .. } | Outcome::GatewayFault { .. } => return,
        };
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        tracked.progress.remember(PastAttempt {
            attempt: tracked.progress.attempts,
            at: now.wall,
            status,
            excerpt: response.and_then(excerpt),
            gateway: own.map(str::to_owned),
        });
    }

    fn retry(&mut self, id: RecordId, asked: Option<Duration>, last: LastAttempt, now: Now) {
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        tracked.faults = 0;
        let attempt = tracked.progress.attempts;
        let attempts_max = tracked
            .plan
            .as_ref()
            .map_or(1, |plan| plan.limits.attempts_max);
        if attempt >= attempts_max {
            let detail = format!("{attempt} attempts failed, the last with {}", last.detail);
            return self.give_up(id, Reason::AttemptsExhausted, detail, last.answer, now);
        }
        self.outputs.count(Metric::Retried, 1);
        let policy = &self.config.attempt;
        let pause = policy.pause_after(attempt, asked, &mut self.entropy);
        self.attempt_later(id, pause, last, now);
    }

    /// The target never saw the attempt, so it isn't counted; but the call gets older.
    fn gateway_fault(&mut self, id: RecordId, detail: String, now: Now) {
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        tracked.faults = tracked.faults.saturating_add(1);
        let faults = tracked.faults;
        self.outputs.count(Metric::GatewayFaults, 1);
        let pause = self
            .config
            .attempt
            .pause_after(faults, None, &mut self.entropy);
        let last = LastAttempt {
            detail,
            answer: None,
        };
        self.attempt_later(id, pause, last, now);
    }

    /// Returns the reply to a call that has ended, if somebody wants it: a call of its own.
    pub(super) fn reply(
        &mut self,
        id: RecordId,
        outcome: ReplyOutcome,
        response: Option<IncomingResponse>,
    ) -> Option<(StreamName, Publication)> {
        let tracked = self.window.get(id)?;
        let plan = tracked.plan.as_ref().filter(|plan| plan.wants_reply)?;
        let call = record::decode(&tracked.record).ok()?;
        // Nobody is told about the end of a reply.
        if call.head.reply.is_some() {
            return None;
        }
        let head = &call.head;
        let address = match outcome {
            ReplyOutcome::Delivered => head.reply_to.as_ref(),
            ReplyOutcome::Failed | ReplyOutcome::Expired => {
                head.failure_to.as_ref().or(head.reply_to.as_ref())
            }
        }?;
        let (status, response) = match response {
            Some(answer) => {
                let told = &self.config.targets.reply_headers;
                let bytes_max = self.config.dispatch.reply_bytes_max;
                let status = answer.status;
                (Some(status), Some(Response::of(answer, told, bytes_max)))
            }
            // The content of an earlier answer may be gone, so that only the history knows of it.
            None => match tracked.progress.last_answer() {
                Some(past) => (past.status, Some(Response::known(past))),
                None => (None, None),
            },
        };
        let finished = Finished {
            call: head,
            id: &plan.id,
            correlation_id: head.correlation_id.as_deref().unwrap_or(&plan.id),
            outcome,
            status,
            attempts: tracked.progress.attempts,
            response,
            address,
        };
        let (mut head, body) = finished.into_reply();
        // A target's words must never make a reply that can't be read.
        if check(&head).is_err() {
            head.headers.clear();
            if let Some(reply) = &mut head.reply {
                reply.is_head_cut = true;
                reply.headers.clear();
            }
        }
        if let Some(keys) = &self.seal_keys {
            let names = &self.config.sealed_headers;
            head = keys.seal(&head, &body, names, &mut self.entropy);
        }
        let message = record::encode(&head, &body).ok()?;
        let publication = Publication {
            record: id,
            message,
            key: head.id.map(|id| id.0),
            content: Content::Reply,
            metric: Some(Metric::Replies),
        };
        Some((StreamName::Calls, publication))
    }
}

/// Returns what the gateway says, with the start of its text.
fn in_full(own: String, response: &IncomingResponse) -> String {
    match excerpt(response) {
        Some(text) => format!("{own}: {text}"),
        None => own,
    }
}

/// Returns the start of an answer's content, as text.
fn excerpt(response: &IncomingResponse) -> Option<String> {
    let start = response.body.get(..EXCERPT_BYTES_MAX);
    let text = String::from_utf8_lossy(start.unwrap_or(&response.body));
    (!text.is_empty()).then(|| text.into_owned())
}
