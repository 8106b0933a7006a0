//! Batches: from the outbox to the Stream, and the Stream's answer to the clients.

use crate::accept::admission::body_too_large;
use crate::accept::buffer::Buffered;
use crate::accept::config::BufferLimits;
use crate::accept::publisher::Step;
use crate::accept::refusal::{Refusal, Stored};
use crate::accept::waiting::Accepting;
use crate::accept::{AcceptEngine, Output};
use crate::engine::signing::Covers;
use crate::engine::{Callout, Level};
use crate::http::{CalloutResult, OutgoingRequest};
use crate::id::{RequestId, StreamName, Ticket};
use crate::limits::{RECORD_BYTES_MAX, RESPONSES_PER_CALLBACK_MAX, STREAM_ANSWER_BYTES_MAX};
use crate::metric::Metric;
use crate::receipt::Receipt;
use crate::record;
use crate::stream::batch::{BatchMax, FailedBatch};
use crate::stream::error::StreamError;
use crate::stream::put::PutEntry;

impl AcceptEngine {
    /// Puts a complete request into the outbox of its stream. Returns whether a batch may be
    /// published now.
    pub(super) fn put_into_outbox(&mut self, stream: StreamName, request: RequestId) -> bool {
        let Some(publisher) = self.publishers.get_mut(&stream) else {
            return false;
        };
        publisher.outbox.push_back(request);
        publisher.may_publish(&self.config.publish)
    }

    /// Fills batches from the outboxes and publishes them. It stops if a body has to be read first,
    /// if the outboxes are empty, or if enough is in flight.
    pub(super) fn gather(&mut self) {
        if self.claim_next() {
            return;
        }
        let now = self.now.steady;
        let streams: Vec<StreamName> = self.publishers.keys().copied().collect();
        for stream in streams {
            while self.reading.is_none() {
                let config = &self.config.publish;
                let publisher = self.publishers.get_mut(&stream);
                match publisher.map_or(Step::Wait, |publisher| publisher.next(config, now)) {
                    Step::Wait => break,
                    Step::TakeIn(request) => self.take_in(stream, request),
                    Step::Publish => self.publish(stream),
                }
            }
        }
    }

    /// Takes the next request of an outbox into its batch, or asks for its body first.
    fn take_in(&mut self, stream: StreamName, request: RequestId) {
        match self.requests.get(request) {
            Some(Accepting::Waiting { body_bytes: 0, .. }) => {
                self.add_to_batch(stream, request, &[]);
            }
            Some(Accepting::Waiting { .. }) => {
                self.reading = Some((stream, request));
                self.outputs.push(Output::ReadBody(request));
            }
            // The client has left, or was refused because it had waited too long.
            Some(Accepting::Receiving { .. } | Accepting::Publishing(_) | Accepting::Answering)
            | None => {}
        }
    }

    /// The host has read a body.
    pub(super) fn body_read(&mut self, request: RequestId, body: Option<Vec<u8>>) {
        if self.claim_body_read(request, body.as_deref()) {
            return self.gather();
        }
        let reading = self.reading.take_if(|(_, reading)| *reading == request);
        if let Some((stream, _)) = reading {
            match body {
                Some(body) => self.add_to_batch(stream, request, &body),
                // Envoy has dropped the exchange, and will soon tell that it is over.
                None => {
                    self.forget(request);
                }
            }
        }
        self.gather();
    }

    fn add_to_batch(&mut self, stream: StreamName, request: RequestId, body: &[u8]) {
        let Some(Accepting::Waiting { head, .. }) = self.requests.get(request) else {
            return;
        };
        let id = head.id.as_ref().map(|id| id.0.clone()).unwrap_or_default();
        let accepted_at = head.accepted_at.clone().unwrap_or_default();
        let receipt = Receipt {
            correlation_id: head.correlation_id.clone().unwrap_or_else(|| id.clone()),
            id,
            deliver_at: match head.deliver_at {
                Some(at) => at.to_string().max(accepted_at.clone()),
                None => accepted_at.clone(),
            },
            accepted_at,
        };
        let sealed = self.seal_keys.as_ref().map(|keys| {
            let names = &self.config.sealed_headers;
            keys.seal(head, body, names, &mut self.entropy)
        });
        let encoded = match record::encode(sealed.as_ref().unwrap_or(head), body) {
            Ok(encoded) => encoded,
            Err(error) => {
                let detail = format!("The call can't be written as a record: {error}.");
                return self.refuse(request, &Refusal::NotAsynchronous(detail));
            }
        };
        if encoded.len() > RECORD_BYTES_MAX {
            let refusal = if body.len() > RECORD_BYTES_MAX {
                body_too_large(self.config.limits.body_bytes_max)
            } else {
                Refusal::TooLarge {
                    what: "The record",
                    limit_bytes: RECORD_BYTES_MAX,
                }
            };
            return self.refuse(request, &refusal);
        }
        if let Some(limits) = self.config.publish.buffer {
            let call = Buffered {
                id: receipt.id.clone(),
                caller: self.requests.known(request).caller,
                order_key: head.order_key.clone(),
                idempotency: head.idempotency.clone(),
                record: encoded,
                since: self.now.steady,
            };
            return self.answer_first(stream, request, &receipt, call, &limits);
        }
        let key = head.order_key.clone();
        self.claims.published(request, &receipt);
        if let Some(state) = self.requests.get_mut(request) {
            *state = Accepting::Publishing(receipt);
        }
        let Some(publisher) = self.publishers.get_mut(&stream) else {
            return;
        };
        let max = BatchMax {
            messages: self.config.publish.batch_records_max,
            bytes: self.config.publish.batch_bytes_max,
        };
        if !publisher.batch.has_room(key.as_deref(), &encoded, max) {
            // The batch is full by bytes. The number in flight may exceed its limit by one, so that
            // nothing is held up.
            self.publish(stream);
        }
        if let Some(publisher) = self.publishers.get_mut(&stream) {
            publisher.batch.add(request, key.as_deref(), &encoded);
        }
    }

    /// Answers the client now. The Stream gets the record later.
    fn answer_first(
        &mut self,
        stream: StreamName,
        request: RequestId,
        receipt: &Receipt,
        call: Buffered,
        limits: &BufferLimits,
    ) {
        if !self.buffer.has_room(&call, limits) {
            return self.refuse(request, &Refusal::TooManyWaiting);
        }
        self.claims.answered(request, receipt);
        self.keep(stream, call);
        self.outputs.count(Metric::Accepted, 1);
        self.answer(request, receipt.response(None));
        // In the next turn, because one callback gives only a limited number of answers.
        self.wake();
    }

    /// Sends a batch.
    fn publish(&mut self, stream: StreamName) {
        let Some(publisher) = self.publishers.get_mut(&stream) else {
            return;
        };
        let (request, sent) = publisher.send();
        let ticket = self.put(request);
        self.in_flight.insert(ticket, (stream, sent));
    }

    /// Sends a PutMessages request, and returns the ticket of its callout.
    pub(super) fn put(&mut self, mut request: OutgoingRequest) -> Ticket {
        let (covers, now) = (Covers::HeadOnly, self.now.wall);
        let may_be_sent = self
            .signing
            .sign(&mut request, covers, now, &mut self.outputs);
        let ticket = self.outputs.next_ticket();
        if !may_be_sent {
            self.outputs.push(Output::Unsigned(ticket));
            return ticket;
        }
        self.outputs.push(Output::Callout(Callout {
            ticket,
            cluster: self.cluster.clone(),
            request,
            timeout: self.config.publish.timeout,
            answer_bytes_max: STREAM_ANSWER_BYTES_MAX,
        }));
        ticket
    }

    /// The Stream has answered a batch, or never will.
    pub(super) fn published(&mut self, ticket: Ticket, result: CalloutResult) {
        let Some((stream, batch)) = self.in_flight.remove(&ticket) else {
            return;
        };
        if let Some(publisher) = self.publishers.get_mut(&stream) {
            publisher.answered(&batch);
        }
        match batch.answered(result) {
            Ok(entries) => self.settle(stream, entries),
            Err(FailedBatch { messages, error }) => {
                if let Some(publisher) = self.publishers.get_mut(&stream) {
                    publisher.not_before = self.now.steady.plus(error.asked_pause());
                }
                self.fail(messages, &error);
            }
        }
        self.answer_some();
        self.gather();
    }

    /// Each request of a batch gets its own answer.
    fn settle(&mut self, stream: StreamName, entries: Vec<(RequestId, PutEntry)>) {
        let mut stored = 0;
        let mut accepted = 0;
        for (request, entry) in entries {
            let position = match &entry {
                PutEntry::Stored(position) => Some(*position),
                PutEntry::Failed(_) | PutEntry::Unknown(_) => None,
            };
            self.claims.end(request, position);
            let publishing = match self.requests.get(request) {
                Some(Accepting::Publishing(receipt)) => Some(receipt),
                _ => None,
            };
            let (what, why, known) = match entry {
                PutEntry::Stored(position) => {
                    stored += 1;
                    if let Some(receipt) = publishing {
                        accepted += 1;
                        let response = receipt.response(Some(position));
                        self.answer(request, response);
                    }
                    continue;
                }
                PutEntry::Failed(why) => ("The Stream refused the call", why, Stored::No),
                PutEntry::Unknown(why) => ("The Stream is in trouble", why, Stored::Unknown),
            };
            if publishing.is_some() {
                let refusal = Refusal::StreamUnavailable {
                    detail: format!("{what}: {why}."),
                    stored: known,
                };
                self.refuse(request, &refusal);
            }
        }
        self.outputs.count(Metric::PublishedBatches, 1);
        self.outputs.count(Metric::Accepted, accepted);
        if stored > 0 {
            self.count_stored(stream, stored);
        }
    }

    /// Counts records that a stream has stored, and tells the drain.
    pub(super) fn count_stored(&mut self, stream: StreamName, records: i64) {
        self.outputs.count(Metric::PublishedRecords, records);
        if let StreamName::Lane(_) = stream {
            self.outputs.count(Metric::EnteredLanes, records);
        }
        self.outputs.push(Output::WakeDrain);
    }

    /// Handles the failure of a whole batch.
    fn fail(&mut self, requests: Vec<RequestId>, error: &StreamError) {
        self.outputs.count(Metric::PublishFailures, 1);
        let count = requests.len();
        let why = self
            .signing
            .describe(error, self.now.wall, &mut self.outputs);
        self.outputs.log(
            Level::Warn,
            format!("publishing {count} calls failed: {why}"),
        );
        let (detail, stored) = match error {
            StreamError::Unanswered(_) => ("The Stream's answer was lost.", Stored::Unknown),
            StreamError::Throttled(..) => ("The Stream is throttled.", Stored::No),
            StreamError::CursorLost(_)
            | StreamError::OutsideRetention(_)
            | StreamError::Unauthenticated { .. }
            | StreamError::TooLarge(_)
            | StreamError::Refused(_) => (
                "The Stream can't be reached or refused the call.",
                Stored::No,
            ),
        };
        let refusal = Refusal::StreamUnavailable {
            detail: detail.to_owned(),
            stored,
        };
        for request in requests {
            self.claims.end(request, None);
            if matches!(self.requests.get(request), Some(Accepting::Publishing(_))) {
                self.refuse(request, &refusal);
            }
        }
    }

    /// Answers as many requests as one callback may, and asks for another turn if some are left.
    pub(super) fn answer_some(&mut self) {
        for _ in 0..RESPONSES_PER_CALLBACK_MAX {
            let Some((request, response)) = self.answers.pop_front() else {
                return;
            };
            if self.forget(request) {
                self.outputs.push(Output::Respond(request, response));
            }
        }
        if !self.answers.is_empty() {
            self.wake();
        }
    }
}
