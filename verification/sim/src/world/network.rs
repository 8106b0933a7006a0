//! Callouts on their way, from the engine that sends them to the one that learns their end.

use sluice::engine::Callout;
use sluice::http::CalloutResult;

use super::network_fault::NetworkFault;
use super::{Event, World};
use crate::callout::field;
use crate::fault_counts::FaultKind;
use crate::invariants::g3_repeats::GIVEN_UP_MS;
use crate::invariants::{self, Violation};
use crate::ledger::{End, Engine, meaning};
use crate::target;

/// A callout that was sent.
pub struct Exchange {
    /// The engine that sent it.
    pub by: Engine,
    /// The callout.
    pub callout: Callout,
    /// The call that it is an attempt of; empty if it goes to the Stream.
    pub call: String,
    pub(super) network_fault: NetworkFault,
    result: Option<CalloutResult>,
    /// Whether the other side has seen it, or never will.
    has_arrived: bool,
    /// When its sender gives it up, whatever comes.
    pub(super) given_up_at: u64,
    /// Whether its sender was told its end.
    pub(super) has_ended: bool,
    /// Whether the end that it was told was an answer.
    was_answered: bool,
    /// Calls whose records it has stored.
    pub(super) stored: Vec<String>,
}

impl Exchange {
    /// Returns a field of the request as text.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        field(&self.callout, name)
    }

    /// Returns what is unusual in its end for its sender. `is_first` means that it has not ended
    /// before.
    fn how_it_ends(&self, result: &CalloutResult, is_first: bool) -> Option<FaultKind> {
        let is_lost = *result == CalloutResult::Lost;
        let is_commit = self.field(":path").contains("/commit?");
        match (is_first, self.was_answered) {
            (true, _) if is_lost && is_commit => Some(FaultKind::CommitLost),
            (true, _) if is_lost && !self.call.is_empty() && self.result.is_some() => {
                Some(FaultKind::TargetSlow)
            }
            (true, _) => None,
            (false, true) => Some(FaultKind::AnswerTwice),
            (false, false) => (!is_lost).then_some(FaultKind::AnswerLate),
        }
    }
}

impl World {
    /// Sends a callout. Returns false if the gateway can't send it.
    pub(super) fn send_callout(&mut self, by: Engine, callout: Callout) -> Result<bool, Violation> {
        let number = self.next_exchange;
        self.next_exchange = number.saturating_add(1);
        let is_attempt = &*callout.cluster != "stream";
        let is_sent = !self.rng.per_mille(self.plan.faults.not_sent);
        // A reply has the id of the call that it answers, and its own id as the key.
        let call = match is_attempt {
            true if field(&callout, "async-outcome").is_empty() => field(&callout, "async-call-id"),
            true => field(&callout, "idempotency-key"),
            false => String::new(),
        };
        let (method, path) = (field(&callout, ":method"), field(&callout, ":path"));
        if !is_attempt {
            self.check_fetch(by, &path)?;
        }
        let network_fault = self.draw_network_fault(is_attempt, &method, &path);
        if is_attempt {
            self.note_attempt(by, &callout, &call, number, network_fault)?;
        }
        if !is_sent {
            self.count_fault(FaultKind::NotSent);
            let at = self.told_at(by);
            self.ledger.attempt_ended(&call, number, at, End::NeverSent);
            return Ok(false);
        }
        let timeout = u64::try_from(callout.timeout.as_millis()).unwrap_or(u64::MAX);
        let latency = self.rng.between(1, 15);
        let late = timeout.saturating_add(self.rng.below(4_000));
        let arrives = if network_fault == NetworkFault::LateRequest {
            late
        } else {
            latency
        };
        if network_fault == NetworkFault::Lost {
            self.count_fault(FaultKind::RequestLost);
        }
        let arrives = (network_fault != NetworkFault::Lost).then_some(arrives);
        self.after(timeout, Event::Deadline(number));
        match arrives {
            Some(after) => self.after(after, Event::Arrive(number)),
            None if self.rng.coin() => self.after(latency, Event::Done(number)),
            None => {}
        }
        let exchange = Exchange {
            by,
            callout,
            call,
            network_fault,
            result: None,
            has_arrived: arrives.is_none(),
            given_up_at: self.now.saturating_add(timeout).saturating_add(GIVEN_UP_MS),
            has_ended: false,
            was_answered: false,
            stored: Vec::new(),
        };
        self.exchanges.insert(number, exchange);
        Ok(true)
    }

    fn note_attempt(
        &mut self,
        by: Engine,
        callout: &Callout,
        call: &str,
        number: u64,
        network_fault: NetworkFault,
    ) -> Result<(), Violation> {
        let attempt = field(callout, "async-attempt");
        let key = self
            .ledger
            .heads(call)
            .find_map(|(_, head)| head.order_key.clone());
        let what = format!(
            "call {call} attempt {attempt} {} {} {} {network_fault:?} flight {number}",
            callout.cluster,
            field(callout, ":path"),
            key.unwrap_or_default()
        );
        self.note(self.name(by.worker), what);
        let gateway = self
            .workers
            .get(by.worker)
            .map_or(0, |worker| worker.gateway);
        let latest_wall = self
            .gateways
            .get(gateway)
            .map_or(0, |gateway| gateway.latest_wall);
        let attempt = invariants::Start {
            by,
            at: self.now,
            latest_wall,
            exchange: number,
            call,
            callout,
        };
        if let Some(within) = self.plan.begun_within {
            invariants::g11_hoards::check(&self.ledger, within, &attempt)?;
        }
        if self.plan.are_clocks_right && !self.plan.lanes.is_empty() {
            invariants::g6_waits::check(&self.ledger, self.plan.calm_at, &attempt)?;
        }
        invariants::at_an_attempt(&mut self.ledger, &self.drain, &attempt)
    }

    /// Delivers a request to the other side.
    pub(super) fn arrive(&mut self, number: u64) -> Result<(), Violation> {
        let Some(mut exchange) = self.exchanges.remove(&number) else {
            return Ok(());
        };
        exchange.has_arrived = true;
        if exchange.has_ended {
            self.count_fault(FaultKind::RequestLate);
        }
        let mut after = self.rng.between(1, 15);
        let result = if exchange.call.is_empty() {
            self.at_the_stream(&mut exchange)?
        } else {
            let path = exchange.field(":path");
            let unusual = self.plan.faults.target;
            let reaction = target::react(&mut self.rng, &path, unusual, self.is_calm);
            if let Some(trouble) = target::trouble(reaction.as_ref()) {
                self.count_fault(trouble);
            }
            match reaction {
                Some((takes, result)) => {
                    after = after.saturating_add(takes);
                    Some(result)
                }
                None => None,
            }
        };
        let said = match &result {
            None => "nothing".to_owned(),
            Some(CalloutResult::Answered(response)) => response.status.to_string(),
            Some(other) => format!("{other:?}"),
        };
        if !exchange.call.is_empty() {
            let what = format!("call {} arrived, flight {number}: {said}", exchange.call);
            self.note("target", what);
        }
        let timeout = u64::try_from(exchange.callout.timeout.as_millis()).unwrap_or(u64::MAX);
        if exchange.network_fault == NetworkFault::LateAnswer {
            after = after.saturating_add(timeout);
        }
        let is_answered = exchange.network_fault == NetworkFault::LateAnswer || result.is_some();
        let goes_back = is_answered && exchange.network_fault != NetworkFault::Unanswered;
        if is_answered && !goes_back {
            self.count_fault(FaultKind::AnswerLost);
        }
        exchange.result = result;
        let is_over = exchange.has_ended;
        if goes_back && !is_over {
            self.after(after, Event::Done(number));
        }
        if exchange.network_fault == NetworkFault::Twice {
            let again = self.rng.between(1, 3_000);
            self.after(again, Event::Done(number));
        }
        if !is_over {
            self.exchanges.insert(number, exchange);
        }
        Ok(())
    }

    /// Ends a callout for its sender.
    pub(super) fn done(&mut self, number: u64, is_late: bool) -> Result<(), Violation> {
        let Some(exchange) = self.exchanges.get_mut(&number) else {
            return Ok(());
        };
        if exchange.network_fault == NetworkFault::Silent && is_late && !exchange.has_ended {
            // The host never tells the end. Only what has arrived meanwhile counts.
            self.fault_counts.add(FaultKind::NeverTold);
            exchange.has_ended = true;
            let stored = exchange.stored.clone();
            self.doubt(&stored);
            return Ok(());
        }
        if exchange.network_fault == NetworkFault::Silent || (is_late && exchange.has_ended) {
            return Ok(());
        }
        if exchange.has_ended
            && !matches!(
                exchange.network_fault,
                NetworkFault::Twice | NetworkFault::LateAnswer
            )
        {
            return Ok(());
        }
        let result = match (&exchange.result, is_late) {
            (Some(result), false) => result.clone(),
            _ => CalloutResult::Lost,
        };
        let (by, ticket, call) = (exchange.by, exchange.callout.ticket, exchange.call.clone());
        let is_first = !std::mem::replace(&mut exchange.has_ended, true);
        let fault = exchange.how_it_ends(&result, is_first);
        exchange.was_answered |= result != CalloutResult::Lost;
        let is_in_doubt =
            result == CalloutResult::Lost || exchange.network_fault == NetworkFault::Torn;
        let stored = exchange.stored.clone();
        let is_alive = self.is_alive(by);
        if is_first && (is_in_doubt || !is_alive) {
            self.doubt(&stored);
        }
        if !is_alive {
            return Ok(());
        }
        if let Some(fault) = fault {
            self.count_fault(fault);
        }
        if is_first && call.is_empty() {
            self.learn_of_a_session(number, &result);
        }
        if is_first && !call.is_empty() {
            let end = meaning(&result);
            let at = self.told_at(by);
            self.ledger.attempt_ended(&call, number, at, end);
            self.note(
                self.name(by.worker),
                format!("call {call} flight {number}: {end:?}"),
            );
        }
        self.callout_done(by, ticket, result)
    }

    pub(super) fn is_alive(&self, by: Engine) -> bool {
        self.workers
            .get(by.worker)
            .is_some_and(|worker| worker.life == by.life)
    }

    pub(super) fn doubt(&mut self, stored: &[String]) {
        for id in stored {
            let doubts = self.ledger.doubts.entry(id.clone()).or_default();
            *doubts = doubts.saturating_add(1);
        }
    }
}
