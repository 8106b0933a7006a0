//! Callouts on their way, from the engine that sends them to the one that learns their end.

use sluice::engine::Callout;
use sluice::http::CalloutResult;

use super::fate::Fate;
use super::{Event, World};
use crate::happenings::Happening;
use crate::invariants::g3_repeats::GIVEN_UP_MS;
use crate::invariants::{self, Violation};
use crate::ledger::{End, Engine, meaning};
use crate::target;

/// A callout that was sent.
pub struct Flight {
    /// Who sent it.
    pub by: Engine,
    /// What it is.
    pub callout: Callout,
    /// The call that it is an attempt of; empty where it goes to the Stream.
    pub call: String,
    pub(super) fate: Fate,
    result: Option<CalloutResult>,
    /// The other side has seen it, or never will.
    has_arrived: bool,
    /// When its sender takes it for lost, whatever comes.
    pub(super) given_up_at: u64,
    /// Its sender was told its end.
    pub(super) has_ended: bool,
    /// What it was told was an answer.
    was_answered: bool,
    /// Calls whose records it has stored.
    pub(super) stored: Vec<String>,
}

impl Flight {
    /// A field of the request as text.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        field(&self.callout, name)
    }

    /// What is unusual in how it ends for its sender. `is_first`: it has not ended before.
    fn how_it_ends(&self, result: &CalloutResult, is_first: bool) -> Option<Happening> {
        let is_lost = *result == CalloutResult::Lost;
        let is_commit = self.field(":path").contains("/commit?");
        match (is_first, self.was_answered) {
            (true, _) if is_lost && is_commit => Some(Happening::CommitLost),
            (true, _) if is_lost && !self.call.is_empty() && self.result.is_some() => {
                Some(Happening::TargetSlow)
            }
            (true, _) => None,
            (false, true) => Some(Happening::AnswerTwice),
            (false, false) => (!is_lost).then_some(Happening::AnswerLate),
        }
    }
}

/// A field of a callout as text.
#[must_use]
pub fn field(callout: &Callout, name: &str) -> String {
    let mut fields = callout.request.headers.iter();
    let found = fields.find(|(field, _)| field == name);
    found.map_or_else(String::new, |(_, v)| {
        String::from_utf8_lossy(v).into_owned()
    })
}

impl World {
    /// A callout leaves. False: the gateway can't send it.
    pub(super) fn take_off(&mut self, by: Engine, callout: Callout) -> Result<bool, Violation> {
        let number = self.next_flight;
        self.next_flight = number.saturating_add(1);
        let is_attempt = &*callout.cluster != "stream";
        let is_sent = !self.chance.per_mille(self.plan.faults.not_sent);
        // A reply carries the id of the call that it answers, and its own as the key.
        let call = match is_attempt {
            true if field(&callout, "async-outcome").is_empty() => field(&callout, "async-call-id"),
            true => field(&callout, "idempotency-key"),
            false => String::new(),
        };
        let (method, path) = (field(&callout, ":method"), field(&callout, ":path"));
        if !is_attempt {
            self.check_fetch(by, &path)?;
        }
        let fate = self.draw_fate(is_attempt, &method, &path);
        if is_attempt {
            self.note_attempt(by, &callout, &call, number, fate)?;
        }
        if !is_sent {
            self.happens(Happening::NotSent);
            let at = self.told_at(by);
            self.ledger.attempt_ended(&call, number, at, End::NeverSent);
            return Ok(false);
        }
        let timeout = u64::try_from(callout.timeout.as_millis()).unwrap_or(u64::MAX);
        let latency = self.chance.between(1, 15);
        let late = timeout.saturating_add(self.chance.below(4_000));
        let arrives = if fate == Fate::LateRequest {
            late
        } else {
            latency
        };
        if fate == Fate::Lost {
            self.happens(Happening::RequestLost);
        }
        let arrives = (fate != Fate::Lost).then_some(arrives);
        self.after(timeout, Event::Deadline(number));
        match arrives {
            Some(after) => self.after(after, Event::Arrive(number)),
            None if self.chance.coin() => self.after(latency, Event::Done(number)),
            None => {}
        }
        let flight = Flight {
            by,
            callout,
            call,
            fate,
            result: None,
            has_arrived: arrives.is_none(),
            given_up_at: self.now.saturating_add(timeout).saturating_add(GIVEN_UP_MS),
            has_ended: false,
            was_answered: false,
            stored: Vec::new(),
        };
        self.flights.insert(number, flight);
        Ok(true)
    }

    fn note_attempt(
        &mut self,
        by: Engine,
        callout: &Callout,
        call: &str,
        number: u64,
        fate: Fate,
    ) -> Result<(), Violation> {
        let attempt = field(callout, "async-attempt");
        let key = self
            .ledger
            .heads(call)
            .find_map(|(_, head)| head.order_key.clone());
        let what = format!(
            "call {call} attempt {attempt} {} {} {} {fate:?} flight {number}",
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
            flight: number,
            call,
            callout,
        };
        if let Some(within) = self.plan.begun_within {
            invariants::g11_hoards::check(&self.ledger, within, &attempt)?;
        }
        invariants::at_an_attempt(&mut self.ledger, &self.drain, &attempt)
    }

    /// A request reaches the other side.
    pub(super) fn arrive(&mut self, number: u64) -> Result<(), Violation> {
        let Some(mut flight) = self.flights.remove(&number) else {
            return Ok(());
        };
        flight.has_arrived = true;
        if flight.has_ended {
            self.happens(Happening::RequestLate);
        }
        let mut after = self.chance.between(1, 15);
        let result = if flight.call.is_empty() {
            self.at_the_stream(&mut flight)?
        } else {
            let path = flight.field(":path");
            let unusual = self.plan.faults.target;
            let reaction = target::react(&mut self.chance, &path, unusual, self.is_calm);
            if let Some(trouble) = target::trouble(reaction.as_ref()) {
                self.happens(trouble);
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
        if !flight.call.is_empty() {
            let what = format!("call {} arrived, flight {number}: {said}", flight.call);
            self.note("target", what);
        }
        let timeout = u64::try_from(flight.callout.timeout.as_millis()).unwrap_or(u64::MAX);
        if flight.fate == Fate::LateAnswer {
            after = after.saturating_add(timeout);
        }
        let is_answered = flight.fate == Fate::LateAnswer || result.is_some();
        let goes_back = is_answered && flight.fate != Fate::Unanswered;
        if is_answered && !goes_back {
            self.happens(Happening::AnswerLost);
        }
        flight.result = result;
        let is_over = flight.has_ended;
        if goes_back && !is_over {
            self.after(after, Event::Done(number));
        }
        if flight.fate == Fate::Twice {
            let again = self.chance.between(1, 3_000);
            self.after(again, Event::Done(number));
        }
        if !is_over {
            self.flights.insert(number, flight);
        }
        Ok(())
    }

    /// A callout ends for its sender.
    pub(super) fn done(&mut self, number: u64, is_late: bool) -> Result<(), Violation> {
        let Some(flight) = self.flights.get_mut(&number) else {
            return Ok(());
        };
        if flight.fate == Fate::Silent && is_late && !flight.has_ended {
            // The host never tells; only what has arrived meanwhile counts.
            self.happenings.add(Happening::NeverTold);
            flight.has_ended = true;
            let stored = flight.stored.clone();
            self.doubt(&stored);
            return Ok(());
        }
        if flight.fate == Fate::Silent || (is_late && flight.has_ended) {
            return Ok(());
        }
        if flight.has_ended && !matches!(flight.fate, Fate::Twice | Fate::LateAnswer) {
            return Ok(());
        }
        let result = match (&flight.result, is_late) {
            (Some(result), false) => result.clone(),
            _ => CalloutResult::Lost,
        };
        let (by, ticket, call) = (flight.by, flight.callout.ticket, flight.call.clone());
        let is_first = !std::mem::replace(&mut flight.has_ended, true);
        let happening = flight.how_it_ends(&result, is_first);
        flight.was_answered |= result != CalloutResult::Lost;
        let is_in_doubt = result == CalloutResult::Lost || flight.fate == Fate::Torn;
        let stored = flight.stored.clone();
        let is_alive = self.is_alive(by);
        if is_first && (is_in_doubt || !is_alive) {
            self.doubt(&stored);
        }
        if !is_alive {
            return Ok(());
        }
        if let Some(happening) = happening {
            self.happens(happening);
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
