//! `ack: immediate`: calls that are already answered but not yet stored. They exist in memory only.
//! The operators who choose this mode are told what happens if the worker or Envoy ends.

use std::collections::BTreeMap;

use crate::accept::AcceptEngine;
use crate::accept::config::BufferLimits;
use crate::caller::CallerKey;
use crate::caller::share::Shares;
use crate::engine::Level;
use crate::http::CalloutResult;
use crate::id::{StreamName, Ticket};
use crate::idempotency::{KeyHash, KeyHolder};
use crate::metric::Metric;
use crate::stream::StreamClient;
use crate::stream::batch::Message;
use crate::stream::error::StreamError;
use crate::stream::put_queue::PutQueue;
use crate::time::Steady;

/// A call that is answered but not stored yet.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) id: String,
    pub(super) caller: CallerKey,
    pub(super) record: Vec<u8>,
    pub(super) order_key: Option<String>,
    pub(super) idempotency: Option<KeyHash>,
    pub(super) since: Steady,
}

impl Message for Buffered {
    fn record(&self) -> &[u8] {
        &self.record
    }

    fn key(&self) -> Option<&str> {
        self.order_key.as_deref()
    }

    fn order_key(&self) -> Option<&str> {
        self.order_key.as_deref()
    }
}

/// All buffered calls, by the stream that they go to.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    queues: BTreeMap<StreamName, PutQueue<Buffered>>,
    open: BTreeMap<Ticket, StreamName>,
    /// How many calls each caller has in the buffer, and how many bytes.
    calls: Shares,
    bytes: Shares,
}

impl Buffer {
    /// Returns an empty buffer with a queue for each stream.
    pub(super) fn new(streams: impl Iterator<Item = (StreamName, StreamClient)>) -> Self {
        let queue = |(stream, client)| (stream, PutQueue::new(client));
        Self {
            queues: streams.map(queue).collect(),
            ..Self::default()
        }
    }

    /// Returns whether another call may be kept. All callers together have a limit, and one caller
    /// has a share of what is free.
    pub(super) fn has_room(&self, call: &Buffered, limits: &BufferLimits) -> bool {
        self.calls.may_take(call.caller, 1, limits.calls_max)
            && self
                .bytes
                .may_take(call.caller, call.record.len(), limits.bytes_max)
    }

    /// Returns whether the buffer has sent this callout.
    pub(super) fn is_open(&self, ticket: Ticket) -> bool {
        self.open.contains_key(&ticket)
    }

    /// Returns whether the buffer has no call.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.total() == 0
    }

    fn let_go(&mut self, call: &Buffered) {
        self.calls.remove(call.caller, 1);
        self.bytes.remove(call.caller, call.record.len());
    }
}

impl AcceptEngine {
    /// Keeps a call until it is stored.
    pub(super) fn keep(&mut self, stream: StreamName, call: Buffered) {
        if let Some(queue) = self.buffer.queues.get_mut(&stream) {
            self.buffer.calls.add(call.caller, 1);
            self.buffer.bytes.add(call.caller, call.record.len());
            self.outputs.count(Metric::Buffered, 1);
            queue.add(call);
        }
    }

    /// Publishes what is kept, and gives up calls that could not be stored for too long.
    pub(super) fn store_buffered(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let now = self.now;
        let streams: Vec<StreamName> = self.buffer.queues.keys().copied().collect();
        for stream in streams {
            self.lose_aged(stream);
            let queue = self.buffer.queues.get_mut(&stream);
            let Some(request) = queue.and_then(|queue| queue.next(now.steady)) else {
                continue;
            };
            let ticket = self.put(request);
            self.buffer.open.insert(ticket, stream);
        }
    }

    fn lose_aged(&mut self, stream: StreamName) {
        let (Some(limits), now) = (self.config.publish.buffer, self.now.steady) else {
            return;
        };
        let is_of_age = |call: &Buffered| now >= call.since.plus(limits.age_max);
        let queue = |engine: &mut Self| {
            let queue = engine.buffer.queues.get_mut(&stream)?;
            queue.take_if(is_of_age)
        };
        while let Some(call) = queue(self) {
            let age = limits.age_max.as_secs();
            let detail = "answered 202, never stored";
            self.lost(call, &format!("age_seconds={age} detail={detail:?}"));
        }
    }

    fn lost(&mut self, call: Buffered, why: &str) {
        self.buffer.let_go(&call);
        self.outputs.count(Metric::Buffered, -1);
        self.outputs.count(Metric::Lost, 1);
        let line = format!("event=lost call_id={} {why}", call.id);
        self.outputs.log(Level::Error, line);
        if let Some(key) = call.idempotency {
            let call_id = call.id;
            self.claims.release(KeyHolder { key, call_id });
            self.wake();
        }
    }

    /// Handles the Stream's answer to a batch of buffered calls.
    pub(super) fn buffered_stored(&mut self, ticket: Ticket, result: CalloutResult) {
        let Some(stream) = self.buffer.open.remove(&ticket) else {
            return;
        };
        let Some(queue) = self.buffer.queues.get_mut(&stream) else {
            return;
        };
        let (signing, outputs, now) = (&mut self.signing, &mut self.outputs, self.now);
        let describe = |error: &StreamError| signing.describe(error, now.wall, outputs);
        let settled = queue.settle(result, now.steady, describe);
        let stored = i64::try_from(settled.stored.len()).unwrap_or(i64::MAX);
        for call in &settled.stored {
            self.buffer.let_go(call);
        }
        self.outputs
            .count(Metric::Buffered, stored.saturating_neg());
        if stored > 0 {
            self.outputs.count(Metric::PublishedBatches, 1);
            self.count_stored(stream, stored);
        }
        if let Some((count, why)) = settled.again {
            self.outputs.count(Metric::PublishFailures, 1);
            let line = format!(
                "{count} calls that are answered could not be stored and are put again: {why}"
            );
            self.outputs.log(Level::Warn, line);
        }
        for refused in settled.refused {
            let detail = format!("answered 202, refused by the Stream: {}", refused.why);
            self.lost(refused.message, &format!("detail={detail:?}"));
        }
    }
}
