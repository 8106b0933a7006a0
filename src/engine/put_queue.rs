//! Messages for one stream that are put again until they are stored: in batches, in order, one
//! PutMessages at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::CalloutResult;
use crate::http::OutgoingRequest;
use crate::limits::{PUT_BYTES_MAX, PUT_MESSAGES_MAX};
use crate::stream::StreamClient;
use crate::stream::error::{StreamError, expect_ok, wait_in};
use crate::stream::put::{PutBody, PutEntry, parse_put_answer};
use crate::time::Steady;

/// Pauses after messages could not be stored double from the first to the last.
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(200);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A message that has to be stored.
pub(super) trait Message {
    /// What is stored.
    fn record(&self) -> &[u8];

    /// What decides about its partition, 1 to 256 bytes; `None`: any will do.
    fn key(&self) -> Option<&str>;

    /// Messages with the same order key are stored in their order (G6).
    fn order_key(&self) -> Option<&str>;
}

/// Messages for one stream.
#[derive(Debug)]
pub(super) struct PutQueue<M> {
    client: StreamClient,
    waiting: VecDeque<M>,
    in_flight: Vec<M>,
    not_before: Steady,
    failures: u32,
}

/// What has become of a batch.
pub(super) struct Settled<M> {
    /// What the Stream has now.
    pub(super) stored: Vec<M>,
    /// What is put again: how many messages, and why.
    pub(super) again: Option<(usize, String)>,
}

impl<M: Message> PutQueue<M> {
    pub(super) fn new(client: StreamClient) -> Self {
        Self {
            client,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            not_before: Steady(0),
            failures: 0,
        }
    }

    /// A message waits for its turn.
    pub(super) fn add(&mut self, message: M) {
        self.waiting.push_back(message);
    }

    /// Messages that aren't stored, as far as is known.
    pub(super) fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.in_flight.len())
    }

    /// Takes the message that has waited longest, if it isn't on its way and `is_of_age`.
    pub(super) fn take_if(&mut self, is_of_age: impl Fn(&M) -> bool) -> Option<M> {
        is_of_age(self.waiting.front()?).then(|| self.waiting.pop_front())?
    }

    /// When the next batch may be sent, if there is one.
    pub(super) fn wakeup(&self) -> Option<Steady> {
        let is_ready = self.in_flight.is_empty() && !self.waiting.is_empty();
        is_ready.then_some(self.not_before)
    }

    /// The next batch, if it may be sent now.
    pub(super) fn next(&mut self, now: Steady) -> Option<OutgoingRequest> {
        self.wakeup().filter(|due| *due <= now)?;
        let mut body = PutBody::default();
        while let Some(message) = self.waiting.front() {
            let bytes = message.record().len().saturating_add(256);
            let is_full = self.in_flight.len() >= PUT_MESSAGES_MAX
                || body.bytes().saturating_add(bytes) > PUT_BYTES_MAX;
            // A single message always goes, whatever the Stream says to it.
            if !self.in_flight.is_empty() && (is_full || self.would_overtake(message)) {
                break;
            }
            body.push(message.key(), message.record());
            self.in_flight.extend(self.waiting.pop_front());
        }
        Some(self.client.put_messages(body))
    }

    /// Of two messages in one batch the Stream may store the second alone.
    fn would_overtake(&self, message: &M) -> bool {
        let Some(key) = message.order_key() else {
            return false;
        };
        let mut others = self.in_flight.iter();
        others.any(|other| other.order_key() == Some(key))
    }

    /// The batch is stored, or a part of it, or isn't. `describe` says of an error what the log
    /// shall say of it.
    pub(super) fn settle(
        &mut self,
        result: CalloutResult,
        now: Steady,
        describe: impl FnOnce(&StreamError) -> String,
    ) -> Settled<M> {
        let batch = std::mem::take(&mut self.in_flight);
        let answer = expect_ok(result).and_then(|answer| {
            parse_put_answer(&answer.body, batch.len()).map_err(StreamError::Unanswered)
        });
        let (mut stored, mut again) = (Vec::new(), Vec::new());
        let mut problem = None;
        match answer {
            Ok(entries) => {
                for (message, entry) in batch.into_iter().zip(entries) {
                    match entry {
                        PutEntry::Stored(_) => stored.push(message),
                        PutEntry::Failed(why) => {
                            let asked = wait_in(&why).unwrap_or_default();
                            problem = Some((why, asked));
                            again.push(message);
                        }
                    }
                }
            }
            Err(error) => {
                again = batch;
                problem = Some((describe(&error), error.asked_pause()));
            }
        }
        let Some((why, asked)) = problem else {
            self.failures = 0;
            return Settled {
                stored,
                again: None,
            };
        };
        let doublings = self.failures.min(10);
        self.failures = self.failures.saturating_add(1);
        let pause = FAILURE_PAUSE_MIN.saturating_mul(1 << doublings);
        let pause = pause.min(FAILURE_PAUSE_MAX).max(asked);
        self.not_before = now.plus(pause);
        let count = again.len();
        for message in again.into_iter().rev() {
            self.waiting.push_front(message);
        }
        Settled {
            stored,
            again: Some((count, why)),
        }
    }
}
