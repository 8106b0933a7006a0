//! What the drain does with a record: it waits, is made, moves to another stream, or ends.

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::drain::dead_letter::{DeadLetter, Reason};
use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::lifecycle::tracked::LastAttempt;
use crate::drain::misrouted::is_key;
use crate::drain::outbox::{Content, Publication};
use crate::drain::plan::Plan;
use crate::drain::retry::Next;
use crate::engine::{Level, Output};
use crate::http::IncomingResponse;
use crate::id::{Position, RecordId, StreamName};
use crate::idempotency::KeyHolder;
use crate::limits::CLOCK_TRUSTED_MAX;
use crate::metric::Metric;
use crate::record;
use crate::record::note::Note;
use crate::record::reply_context::ReplyOutcome;
use crate::time::{Now, Steady, Wall};

impl DrainEngine {
    /// Handles a new record: it is read, or becomes a dead letter.
    pub(super) fn begin(&mut self, id: RecordId, now: Now) {
        self.outputs.count(Metric::Held, 1);
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        tracked.since = now.steady;
        let key = tracked.key.take();
        match record::decode(&tracked.record) {
            Ok(call) => {
                let call_id = match &call.head.id {
                    Some(id) => id.0.clone(),
                    None => fallback_id(id.position),
                };
                let plan = Plan::new(&call, &call_id, tracked.stored_at, &self.config.attempt);
                tracked.progress.clone_from(&call.head.progress);
                tracked.plan = Some(plan);
                if id.source == StreamName::Calls {
                    self.window.keep(id, call);
                }
            }
            Err(error) => {
                let note = Note::decode(&tracked.record);
                if let Some(note) = note.filter(|note| is_key(key.as_deref(), &note.route)) {
                    self.outputs.count(Metric::Held, -1);
                    return self.note_read(id, &note, now);
                }
                let detail = error.to_string();
                return self.give_up(id, Reason::UnreadableRecord, detail, None, now);
            }
        }
        if self.window.is_repeated_hop(id) {
            self.outputs.count(Metric::RepeatedHops, 1);
            return self.settle(id, now);
        }
        match id.source {
            StreamName::Calls if self.is_misrouted(id, key.as_deref()) => {
                self.put_under_its_key(id, now);
            }
            StreamName::Calls => {
                self.note_return(id);
                self.schedule(id, now);
            }
            StreamName::Lane(number) => self.rest(id, number, now),
            // No session reads dead letters.
            StreamName::Dead => {}
        }
    }

    /// A record of a lost session was read again, and goes on where it was.
    pub(super) fn resume(&mut self, id: RecordId, until: Steady, now: Now) {
        if let Some(tracked) = self.window.get(id)
            && tracked.is_note()
            && let Some(note) = Note::decode(&tracked.record)
        {
            return self.note_read(id, &note, now);
        }
        // A waiting call must be in its place before the next one with its key is considered.
        if id.source == StreamName::Calls && !self.stand_in_order(id, now.steady) {
            return;
        }
        if until > now.steady {
            self.window
                .apply(id, Transition::Wait { until }, now.steady);
        } else {
            self.due(id, now);
        }
    }

    /// Handles all records whose wait is over.
    pub(super) fn end_waits(&mut self, now: Now) {
        while let Some(id) = self.window.pop_timer(now.steady) {
            self.due(id, now);
        }
    }

    fn due(&mut self, id: RecordId, now: Now) {
        match id.source {
            StreamName::Calls => self.schedule(id, now),
            StreamName::Lane(_) | StreamName::Dead => self.leave_lane(id, now),
        }
    }

    /// Puts a call into its place among those with its order key. Returns false if it stays behind
    /// another one.
    fn stand_in_order(&mut self, id: RecordId, now: Steady) -> bool {
        let is_first = self.window.stand_in_order(id, now);
        if !is_first {
            let stay = Transition::StayBehind { look: None };
            self.window.apply(id, stay, now);
        }
        is_first
    }

    /// Puts a call into its target's queue, if it is due (G5) and not too old.
    pub(super) fn schedule(&mut self, id: RecordId, now: Now) {
        let Some(plan) = self.plan(id) else {
            return;
        };
        let (not_before, expires_at) = (plan.not_before, plan.limits.expires_at);
        if self.window.has_ended_elsewhere(id) {
            return self.settle_repeated(id, now);
        }
        // Due or not, or too old, the call takes its place among the calls of its key. The next one
        // goes when the end of this one is stored.
        if !self.stand_in_order(id, now.steady) {
            return;
        }
        if now.wall > expires_at {
            return self.expire(id, expires_at, now);
        }
        if self.is_kept_back(id, now) {
            return;
        }
        let remaining = not_before.since(now.wall);
        if remaining.is_zero() {
            self.window.apply(id, Transition::Enqueue, now.steady);
        } else if !self.waits_on_lane(id, remaining, now) {
            let remaining = remaining.min(CLOCK_TRUSTED_MAX);
            let until = now.steady.plus(remaining);
            self.window
                .apply(id, Transition::Wait { until }, now.steady);
        }
    }

    /// Decides when the call is attempted again: after this pause, or once more before it is too
    /// old, or never because its last attempt is made.
    pub(super) fn attempt_later(
        &mut self,
        id: RecordId,
        pause: Duration,
        last: LastAttempt,
        now: Now,
    ) {
        let Some(plan) = self
            .window
            .get(id)
            .and_then(|tracked| tracked.plan.as_ref())
        else {
            return;
        };
        let next = plan.limits.next(pause, now.wall, &mut self.entropy);
        let pause = match next {
            Next::Attempt(pause) => pause,
            Next::Expiry(wait) => {
                self.window.keep_last(id, last);
                wait
            }
        };
        if self
            .window
            .get(id)
            .is_some_and(|tracked| tracked.is_of_lost_session())
        {
            return self.suspend(id, pause, now);
        }
        // A call that waits for its end doesn't have to wait long.
        let stays = matches!(next, Next::Expiry(_));
        if stays || !self.waits_on_lane(id, pause, now) {
            let until = now.steady.plus(pause);
            self.window
                .apply(id, Transition::Wait { until }, now.steady);
        }
    }

    /// Ends a call whose time is over. Its target may have answered before.
    fn expire(&mut self, id: RecordId, expires_at: Wall, now: Now) {
        let Some(tracked) = self.window.get_mut(id) else {
            return;
        };
        let past = tracked.progress.history.last();
        let (last, answer) = match tracked.last.take() {
            Some(last) => (Some(last.detail), last.answer),
            None => {
                let detail = past.map(|past| answered(past.status, past.gateway.as_deref()));
                (detail, None)
            }
        };
        let mut detail = format!("it was to be delivered until {expires_at}");
        if let Some(last) = last {
            detail = format!("{detail}; the last attempt: {last}");
        }
        self.give_up(id, Reason::Expired, detail, answer, now);
    }

    /// Ends a call without success: it becomes a dead letter, and whoever wants a reply gets one.
    pub(super) fn give_up(
        &mut self,
        id: RecordId,
        reason: Reason,
        detail: String,
        response: Option<IncomingResponse>,
        now: Now,
    ) {
        let Some(tracked) = self.window.get(id) else {
            return;
        };
        let call_id = match &tracked.plan {
            Some(plan) => plan.id.to_string(),
            None => fallback_id(id.position),
        };
        let attempts = tracked.progress.attempts;
        let line = format!(
            "event=dead_letter call_id={call_id} reason={} attempts={attempts} detail={detail:?}",
            reason.name()
        );
        let dead_at = now.wall.to_string();
        let letter = DeadLetter {
            id: &call_id,
            reason,
            detail: &detail,
            dead_at: &dead_at,
            stream_id: &self.stream_id(id.source),
            source: id.position,
            attempts: &tracked.progress.history,
            record: &tracked.record,
        };
        let mut messages = letter.messages();
        let last = messages.pop();
        let publication = |message, metric| {
            let publication = Publication {
                record: id,
                message,
                key: None,
                content: Content::Letter { whole: None },
                metric,
            };
            (StreamName::Dead, publication)
        };
        let mut publications: Vec<_> = messages
            .into_iter()
            .map(|message| publication(message, None))
            .collect();
        publications.extend(last.map(|message| publication(message, Some(reason.metric()))));
        let outcome = match reason {
            Reason::Expired => ReplyOutcome::Expired,
            Reason::Rejected
            | Reason::AttemptsExhausted
            | Reason::Denied
            | Reason::UnreadableRecord
            | Reason::TooManyWaiting
            | Reason::Unstorable => ReplyOutcome::Failed,
        };
        publications.extend(self.reply(id, outcome, response));
        self.outputs.log(Level::Warn, line);
        let key = self.plan(id).and_then(|plan| plan.idempotency.clone());
        if let Some(key) = key {
            self.outputs
                .push(Output::ReleaseKey(KeyHolder { key, call_id }));
        }
        self.leave(id, publications, now);
    }

    /// Settles the record once all of these messages are stored.
    pub(super) fn leave(
        &mut self,
        id: RecordId,
        publications: Vec<(StreamName, Publication)>,
        now: Now,
    ) {
        if publications.is_empty() {
            return self.settle(id, now);
        }
        let messages = u8::try_from(publications.len()).unwrap_or(u8::MAX);
        self.window
            .apply(id, Transition::Leave { messages }, now.steady);
        // The messages contain everything that is needed of the record.
        self.window.drop_record(id);
        for (stream_name, publication) in publications {
            self.outbox.add(stream_name, publication);
        }
    }

    /// One of a record's messages is stored.
    pub(super) fn message_stored(&mut self, id: RecordId, now: Now) {
        let Some(State::Leaving { messages }) = self.window.state(id) else {
            return;
        };
        if messages <= 1 {
            self.settle(id, now);
        } else {
            self.window.apply(id, Transition::StoreMessage, now.steady);
        }
    }

    /// Settles a record whose call has ended in another record: the call is not made again.
    pub(super) fn settle_repeated(&mut self, id: RecordId, now: Now) {
        self.outputs.count(Metric::RepeatedHops, 1);
        // The next call is not scheduled here: there may be many such records in a row.
        let next = self.settle_alone(id, now);
        self.parked.wakes.extend(next);
    }

    /// Settles the record: only its commit is missing.
    pub(super) fn settle(&mut self, id: RecordId, now: Now) {
        if let Some(next) = self.settle_alone(id, now) {
            self.schedule(next, now);
        }
    }

    /// Settles a record, and returns the next call with its order key, whose turn it is.
    fn settle_alone(&mut self, id: RecordId, now: Now) -> Option<RecordId> {
        let next = self.window.apply(id, Transition::Settle, now.steady);
        let fetch = self.window.fetch(id);
        if self
            .window
            .get(id)
            .is_some_and(|tracked| !tracked.is_note())
        {
            self.outputs.count(Metric::Held, -1);
        }
        if let Some(fetch) = fetch
            && let Some(session) = self.sessions.get_mut(&id.source)
        {
            session.commits.settle(fetch);
        }
        next
    }

    pub(super) fn plan(&self, id: RecordId) -> Option<&Plan> {
        self.window.get(id)?.plan.as_ref()
    }

    pub(super) fn stream_id(&self, source: StreamName) -> String {
        let config = &self.config;
        let stream_id = match source {
            StreamName::Calls => Some(&config.stream.stream_id),
            StreamName::Lane(number) => config.lanes.get(number).map(|lane| &lane.stream_id),
            StreamName::Dead => Some(&config.dead_stream_id),
        };
        stream_id.unwrap_or(&config.stream.stream_id).clone()
    }
}

/// Returns what the target has answered, or what the gateway has if the target hasn't, for people.
pub(super) fn answered(status: Option<u16>, gateway: Option<&str>) -> String {
    match (status, gateway) {
        (Some(status), _) => status.to_string(),
        (None, Some(gateway)) => format!("no answer: {gateway}"),
        (None, None) => "no answer".to_owned(),
    }
}

/// Returns the id of a call whose publisher gave it none: the same whenever the record is read.
pub(super) fn fallback_id(position: Position) -> String {
    format!("p{}-o{}", position.partition, position.offset)
}
