//! Messages that have to be on a stream before a record is settled: hops onto lanes and back,
//! replies, dead letters. They are put in batches, in order, and repeated until they are stored,
//! however long that takes.

use std::collections::BTreeMap;

use crate::drain::config::DrainConfig;
use crate::drain::{DrainEngine, Purpose};
use crate::engine::Level;
use crate::engine::signing::Covers;
use crate::http::{CalloutResult, OutgoingRequest};
use crate::id::{RecordId, StreamName};
use crate::limits::STREAM_ANSWER_BYTES_MAX;
use crate::metric::Metric;
use crate::stream::StreamClient;
use crate::stream::batch::Message;
use crate::stream::error::StreamError;
use crate::stream::put_queue::PutQueue;
use crate::time::{Now, Steady};

/// A message, and the record that is settled once all of its messages are stored.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) record: RecordId,
    pub(super) message: Vec<u8>,
    /// The message's key, which decides about its partition; at most 256 bytes.
    pub(super) key: Option<String>,
    pub(super) content: Content,
    /// What is counted when it is stored.
    pub(super) metric: Option<Metric>,
}

/// What a message is.
#[derive(Debug)]
pub(super) enum Content {
    /// The record on its way to another stream, or to another partition of its own.
    Hop,
    /// The reply to its call.
    Reply,
    /// Its dead letter, or a part of it.
    Letter {
        /// The whole letter, if the message leaves out the record because the Stream has refused
        /// the whole one.
        whole: Option<Vec<u8>>,
    },
    /// A note ([`crate::record::note`]).
    Note,
}

impl Message for Publication {
    fn record(&self) -> &[u8] {
        &self.message
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn order_key(&self) -> Option<&str> {
        // Their numbers put them in order, whichever is stored first.
        None
    }
}

/// The messages for all streams.
#[derive(Debug)]
pub(super) struct Outbox(BTreeMap<StreamName, PutQueue<Publication>>);

impl Outbox {
    pub(super) fn new(config: &DrainConfig) -> Self {
        let authority = &config.stream.authority;
        let queue = |stream_id: &str| PutQueue::new(StreamClient::new(authority, stream_id));
        let lanes = config.lanes.iter();
        let lanes = lanes.map(|(number, lane)| (StreamName::Lane(number), queue(&lane.stream_id)));
        let fixed = [
            (StreamName::Calls, queue(&config.stream.stream_id)),
            (StreamName::Dead, queue(&config.dead_stream_id)),
        ];
        Self(fixed.into_iter().chain(lanes).collect())
    }

    /// Adds a message at the end of its queue.
    pub(super) fn add(&mut self, stream_name: StreamName, publication: Publication) {
        if let Some(queue) = self.0.get_mut(&stream_name) {
            queue.add(publication);
        }
    }

    /// Returns how many messages are on their way to lanes.
    pub(super) fn bound_for_lanes(&self) -> usize {
        let lanes = self.0.iter();
        let lanes = lanes.filter(|(to, _)| matches!(to, StreamName::Lane(_)));
        lanes.map(|(_, queue)| queue.len()).sum()
    }

    /// Returns when the next batch may be sent.
    pub(super) fn wakeup(&self) -> Option<Steady> {
        self.0.values().filter_map(PutQueue::wakeup).min()
    }

    /// Returns the next batch that may be sent now.
    fn next(&mut self, now: Steady) -> Option<(StreamName, OutgoingRequest)> {
        let mut queues = self.0.iter_mut();
        queues.find_map(|(stream_name, queue)| Some((*stream_name, queue.next(now)?)))
    }
}

impl DrainEngine {
    /// Sends every batch that may be sent now.
    pub(super) fn publish(&mut self, now: Now) {
        while let Some((stream_name, request)) = self.outbox.next(now.steady) {
            let purpose = Purpose::Publish(stream_name);
            let timeout = self.config.fetch.timeout;
            let limit = STREAM_ANSWER_BYTES_MAX;
            let covers = Some(Covers::HeadOnly);
            self.call_out(purpose, request, covers, timeout, limit, now);
        }
    }

    /// Handles the Stream's answer to a batch.
    pub(super) fn published(&mut self, stream_name: StreamName, result: CalloutResult, now: Now) {
        let Some(queue) = self.outbox.0.get_mut(&stream_name) else {
            return;
        };
        let (signing, outputs) = (&mut self.signing, &mut self.outputs);
        let describe = |error: &StreamError| signing.describe(error, now.wall, outputs);
        let settled = queue.settle(result, now.steady, describe);
        if let Some((count, why)) = settled.again {
            let what = match stream_name {
                StreamName::Calls => "calls",
                StreamName::Lane(_) => "calls that wait",
                StreamName::Dead => "dead letters",
            };
            let line = format!("{count} {what} could not be stored and are put again: {why}");
            self.outputs.count(Metric::OutboxFailures, 1);
            self.outputs.log(Level::Error, line);
        }
        for publication in settled.stored {
            self.stored(publication, stream_name, now);
        }
        for refused in settled.refused {
            self.refused(refused, stream_name, now);
        }
    }

    /// Handles a message that is stored.
    fn stored(&mut self, publication: Publication, stream_name: StreamName, now: Now) {
        if let Some(metric) = publication.metric {
            self.outputs.count(metric, 1);
        }
        // Only the last message of a letter is counted.
        if matches!(publication.content, Content::Letter { .. }) && publication.metric.is_some() {
            self.window.ends(publication.record);
        }
        if publication.record.is_of_notes() {
            self.note_stored(publication.record.position.partition, now);
        }
        if stream_name == StreamName::Calls
            && let Some(session) = self.sessions.get_mut(&StreamName::Calls)
        {
            session.wake();
        }
        self.message_stored(publication.record, now);
    }
}
