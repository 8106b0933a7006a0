//! Batches: from the outbox to the Stream, and the Stream's answer to the clients.

use super::{AcceptEngine, Accepting, Output};
use crate::call::accept::admission::body_too_large;
use crate::call::accept::refusal::{Refusal, Stored};
use crate::call::record;
use crate::call::reply::receipt::Receipt;
use crate::engine::{Callout, CalloutResult, Level};
use crate::id::{RequestId, Ticket};
use crate::limits::{RECORD_BYTES_MAX, RESPONSES_PER_CALLBACK_MAX, STREAM_ANSWER_BYTES_MAX};
use crate::metric::Metric;
use crate::stream::error::{StreamError, expect_ok};
use crate::stream::put::{PutBody, PutEntry, parse_put_answer};

/// A batch while it gathers.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    body: PutBody,
    members: Vec<RequestId>,
    reading: Option<RequestId>,
}

impl AcceptEngine {
    /// Whether a publish may start: the first at once, a further one only with a full batch.
    pub(super) fn may_publish(&self) -> bool {
        let open = self.in_flight.len();
        open == 0
            || (open < self.config.publish.in_flight_max
                && self.outbox.len() >= self.config.publish.batch_records_max)
    }

    /// Fills batches from the outbox and publishes them, until a body has to be read first, or the
    /// outbox is empty, or enough is in flight.
    pub(super) fn gather(&mut self) {
        while self.gathering.reading.is_none() {
            let full = self.gathering.members.len() >= self.config.publish.batch_records_max;
            if full || self.outbox.is_empty() {
                if self.gathering.members.is_empty() || !self.in_flight_has_room(full) {
                    return;
                }
                self.publish();
            } else if self.gathering.members.is_empty() && !self.may_publish() {
                return;
            } else if let Some(request) = self.outbox.pop_front() {
                self.take_in(request);
            }
        }
    }

    fn in_flight_has_room(&self, full: bool) -> bool {
        let open = self.in_flight.len();
        open == 0 || (full && open < self.config.publish.in_flight_max)
    }

    /// Takes the next request of the outbox into the batch, or asks for its body first.
    fn take_in(&mut self, request: RequestId) {
        match self.requests.get(&request) {
            Some(Accepting::Waiting { body_bytes: 0, .. }) => self.add_to_batch(request, &[]),
            Some(Accepting::Waiting { .. }) => {
                self.gathering.reading = Some(request);
                self.outputs.push(Output::ReadBody(request));
            }
            // The client has left, or was refused because it had waited too long.
            Some(Accepting::Receiving { .. } | Accepting::Publishing(_) | Accepting::Answering)
            | None => {}
        }
    }

    /// The host has read a body.
    pub(super) fn body_read(&mut self, request: RequestId, body: Option<Vec<u8>>) {
        if self
            .gathering
            .reading
            .take_if(|reading| *reading == request)
            .is_some()
        {
            match body {
                Some(body) => self.add_to_batch(request, &body),
                // Envoy has let go of the exchange; its end is on the way to us.
                None => {
                    self.forget(request);
                }
            }
        }
        self.gather();
    }

    fn add_to_batch(&mut self, request: RequestId, body: &[u8]) {
        let Some(Accepting::Waiting { head, .. }) = self.requests.get(&request) else {
            return;
        };
        let id = head.id.as_ref().map(|id| id.0.clone()).unwrap_or_default();
        let receipt = Receipt {
            correlation_id: head.correlation_id.clone().unwrap_or_else(|| id.clone()),
            id,
            accepted_at: head.accepted_at.clone().unwrap_or_default(),
        };
        let encoded = match record::encode(head, body) {
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
        let bytes = self.gathering.body.bytes().saturating_add(encoded.len());
        if bytes > self.config.publish.batch_bytes_max && !self.gathering.members.is_empty() {
            // Full by bytes. It may exceed the number in flight by one, rather than be held up.
            self.publish();
        }
        self.gathering.body.push(&encoded);
        self.gathering.members.push(request);
        self.requests
            .insert(request, Accepting::Publishing(receipt));
    }

    /// Sends the batch off.
    fn publish(&mut self) {
        let batch = std::mem::take(&mut self.gathering);
        let ticket = self.outputs.next_ticket();
        self.in_flight.insert(ticket, batch.members);
        self.outputs.push(Output::Callout(Callout {
            ticket,
            cluster: self.cluster.clone(),
            request: self.client.put_messages(batch.body),
            timeout: self.config.publish.timeout,
            answer_bytes_max: STREAM_ANSWER_BYTES_MAX,
        }));
    }

    /// The Stream has answered a batch, or never will.
    pub(super) fn published(&mut self, ticket: Ticket, result: CalloutResult) {
        let Some(members) = self.in_flight.remove(&ticket) else {
            return;
        };
        let entries = expect_ok(result).and_then(|response| {
            parse_put_answer(&response.body, members.len()).map_err(StreamError::Unanswered)
        });
        match entries {
            Ok(entries) => self.settle(members, entries),
            Err(error) => self.fail(members, &error),
        }
        self.answer_some();
        self.gather();
    }

    /// Each request of a batch gets its own answer.
    fn settle(&mut self, members: Vec<RequestId>, entries: Vec<PutEntry>) {
        let mut stored = 0;
        let mut accepted = 0;
        for (request, entry) in members.into_iter().zip(entries) {
            let publishing = match self.requests.get(&request) {
                Some(Accepting::Publishing(receipt)) => Some(receipt),
                _ => None,
            };
            match entry {
                PutEntry::Stored(position) => {
                    stored += 1;
                    if let Some(receipt) = publishing {
                        accepted += 1;
                        let response = receipt.response(position);
                        self.answer(request, response);
                    }
                }
                PutEntry::Failed(why) if publishing.is_some() => {
                    let detail = format!("The Stream refused the call: {why}.");
                    let stored = Stored::No;
                    self.refuse(request, &Refusal::StreamUnavailable { detail, stored });
                }
                PutEntry::Failed(_) => {}
            }
        }
        self.outputs.count(Metric::PublishedBatches, 1);
        self.outputs.count(Metric::PublishedRecords, stored);
        self.outputs.count(Metric::Accepted, accepted);
        if stored > 0 {
            self.outputs.push(Output::WakeDrain);
        }
    }

    /// A whole batch has failed.
    fn fail(&mut self, members: Vec<RequestId>, error: &StreamError) {
        self.outputs.count(Metric::PublishFailures, 1);
        let count = members.len();
        self.outputs.log(
            Level::Warn,
            format!("publishing {count} calls failed: {}", error.text()),
        );
        let (detail, stored) = match error {
            StreamError::Unanswered(_) => ("The Stream's answer was lost.", Stored::Unknown),
            StreamError::Throttled(..) => ("The Stream is throttled.", Stored::No),
            StreamError::CursorLost(_) | StreamError::Refused(_) => (
                "The Stream can't be reached or refused the call.",
                Stored::No,
            ),
        };
        let refusal = Refusal::StreamUnavailable {
            detail: detail.to_owned(),
            stored,
        };
        for request in members {
            if matches!(self.requests.get(&request), Some(Accepting::Publishing(_))) {
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
