//! Messages that have to be on a stream before a record is settled: hops onto lanes and back,
//! replies, dead letters. They are put in batches, in order, and again until they are stored,
//! however long that takes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{DrainEngine, Purpose};
use crate::config::DrainConfig;
use crate::engine::{CalloutResult, Level};
use crate::http::OutgoingRequest;
use crate::id::{LaneNumber, RecordId, Source};
use crate::limits::{PUT_BYTES_MAX, PUT_MESSAGES_MAX, STREAM_ANSWER_BYTES_MAX};
use crate::metric::Metric;
use crate::stream::StreamClient;
use crate::stream::error::{StreamError, expect_ok, wait_in};
use crate::stream::put::{PutBody, PutEntry, parse_put_answer};
use crate::time::{Now, Steady};

/// Pauses after messages could not be stored double from the first to the last.
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(200);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Destination {
    /// The stream of calls.
    Calls,
    /// A lane.
    Lane(LaneNumber),
    /// The stream of dead letters.
    Dead,
}

/// A message, and the record that is settled once all of its messages are stored.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) record: RecordId,
    pub(super) message: Vec<u8>,
    /// The message's key, which decides about its partition; at most 256 bytes count.
    pub(super) key: Option<String>,
    /// What is counted when it is stored.
    pub(super) metric: Option<Metric>,
}

#[derive(Debug)]
struct Queue {
    client: StreamClient,
    waiting: VecDeque<Publication>,
    in_flight: Vec<Publication>,
    not_before: Steady,
    failures: u32,
}

/// The messages of all destinations.
#[derive(Debug)]
pub(super) struct Outbox(BTreeMap<Destination, Queue>);

impl Outbox {
    pub(super) fn new(config: &DrainConfig) -> Self {
        let queue = |stream_id: &str| Queue {
            client: StreamClient::new(&config.stream.authority, stream_id),
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            not_before: Steady(0),
            failures: 0,
        };
        let lanes = config.lanes.iter();
        let lanes = lanes.map(|(number, lane)| (Destination::Lane(number), queue(&lane.stream_id)));
        let fixed = [
            (Destination::Calls, queue(&config.stream.stream_id)),
            (Destination::Dead, queue(&config.dead_stream_id)),
        ];
        Self(fixed.into_iter().chain(lanes).collect())
    }

    /// A message waits for its turn.
    pub(super) fn add(&mut self, destination: Destination, publication: Publication) {
        if let Some(queue) = self.0.get_mut(&destination) {
            queue.waiting.push_back(publication);
        }
    }

    /// How many messages are on their way to lanes.
    pub(super) fn bound_for_lanes(&self) -> usize {
        let lanes = self.0.iter();
        let lanes = lanes.filter(|(to, _)| matches!(to, Destination::Lane(_)));
        lanes
            .map(|(_, queue)| queue.waiting.len().saturating_add(queue.in_flight.len()))
            .sum()
    }

    /// When the next batch may be sent.
    pub(super) fn wakeup(&self) -> Option<Steady> {
        let ready = self.0.values().filter(|queue| queue.is_ready());
        ready.map(|queue| queue.not_before).min()
    }

    /// The next batch that may be sent now.
    fn next(&mut self, now: Steady) -> Option<(Destination, OutgoingRequest)> {
        let due = |queue: &Queue| queue.is_ready() && queue.not_before <= now;
        let (destination, queue) = self.0.iter_mut().find(|(_, queue)| due(queue))?;
        Some((*destination, queue.batch()))
    }
}

impl Queue {
    fn is_ready(&self) -> bool {
        self.in_flight.is_empty() && !self.waiting.is_empty()
    }

    fn batch(&mut self) -> OutgoingRequest {
        let mut body = PutBody::default();
        while let Some(publication) = self.waiting.front() {
            let bytes = publication.message.len().saturating_add(256);
            let is_full = self.in_flight.len() >= PUT_MESSAGES_MAX
                || body.bytes().saturating_add(bytes) > PUT_BYTES_MAX;
            // A single message always goes, whatever the Stream says to it.
            if is_full && !self.in_flight.is_empty() {
                break;
            }
            body.push(publication.key.as_deref(), &publication.message);
            self.in_flight.extend(self.waiting.pop_front());
        }
        self.client.put_messages(body)
    }
}

impl DrainEngine {
    /// Sends what may be sent.
    pub(super) fn publish(&mut self, now: Now) {
        while let Some((destination, request)) = self.outbox.next(now.steady) {
            let purpose = Purpose::Publish(destination);
            let timeout = self.config.fetch.timeout;
            let limit = STREAM_ANSWER_BYTES_MAX;
            self.call_out(purpose, request, timeout, limit, now);
        }
    }

    /// A batch is stored, or a part of it, or isn't.
    pub(super) fn published(&mut self, destination: Destination, result: CalloutResult, now: Now) {
        let Some(queue) = self.outbox.0.get_mut(&destination) else {
            return;
        };
        let batch = std::mem::take(&mut queue.in_flight);
        let answer = expect_ok(result).and_then(|answer| {
            parse_put_answer(&answer.body, batch.len()).map_err(StreamError::Unanswered)
        });
        let (mut stored, mut again) = (Vec::new(), Vec::new());
        let mut problem = None;
        match answer {
            Ok(entries) => {
                for (publication, entry) in batch.into_iter().zip(entries) {
                    match entry {
                        PutEntry::Stored(_) => stored.push(publication),
                        PutEntry::Failed(why) => {
                            let asked = wait_in(&why).unwrap_or_default();
                            problem = Some((why, asked));
                            again.push(publication);
                        }
                    }
                }
            }
            Err(error) => {
                again = batch;
                let why = self.signing.describe(&error, now.wall, &mut self.outputs);
                problem = Some((why, error.asked_pause()));
            }
        }
        queue.failures = match problem {
            Some(_) => queue.failures.saturating_add(1),
            None => 0,
        };
        if let Some((why, asked)) = problem {
            let doublings = queue.failures.saturating_sub(1).min(10);
            let pause = FAILURE_PAUSE_MIN.saturating_mul(1 << doublings);
            let pause = pause.min(FAILURE_PAUSE_MAX).max(asked);
            queue.not_before = now.steady.plus(pause);
            let count = again.len();
            for publication in again.into_iter().rev() {
                queue.waiting.push_front(publication);
            }
            let what = match destination {
                Destination::Calls => "calls",
                Destination::Lane(_) => "calls that wait",
                Destination::Dead => "dead letters",
            };
            let line = format!("{count} {what} could not be stored and are put again: {why}");
            self.outputs.count(Metric::OutboxFailures, 1);
            self.outputs.log(Level::Error, line);
        }
        for publication in stored {
            self.stored(publication, destination, now);
        }
    }

    /// One message is stored.
    fn stored(&mut self, publication: Publication, destination: Destination, now: Now) {
        if let Some(metric) = publication.metric {
            self.outputs.count(metric, 1);
        }
        if destination == Destination::Calls
            && let Some(session) = self.sessions.get_mut(&Source::Calls)
        {
            session.wake();
        }
        self.message_stored(publication.record, now);
    }
}
