//! Calls that are given up: each is settled once its dead letter is on the dead stream, however
//! long that takes.

use std::collections::VecDeque;
use std::time::Duration;

use super::{DrainEngine, Purpose};
use crate::call::deliver::dead_letter::{DeadLetter, Reason};
use crate::config::DrainConfig;
use crate::engine::{CalloutResult, Level};
use crate::id::RecordId;
use crate::limits::{PUT_BYTES_MAX, STREAM_ANSWER_BYTES_MAX};
use crate::metric::Metric;
use crate::stream::StreamClient;
use crate::stream::error::{StreamError, expect_ok};
use crate::stream::put::{PutBody, PutEntry, parse_put_answer};
use crate::time::{Now, Steady, Wall};

/// The pause after a dead letter could not be stored.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Burial {
    record: RecordId,
    reason: Reason,
    detail: String,
    dead_at: Wall,
}

/// The calls that wait for their dead letter, in order; the first one's may be under way.
#[derive(Debug)]
pub(super) struct Burials {
    client: StreamClient,
    waiting: VecDeque<Burial>,
    /// Messages of the first one's letter that aren't stored yet; `None`: not written yet.
    letter: Option<VecDeque<Vec<u8>>>,
    busy: bool,
    not_before: Steady,
}

impl Burials {
    pub(super) fn new(config: &DrainConfig) -> Self {
        Self {
            client: StreamClient::new(&config.stream.authority, &config.dead_stream_id),
            waiting: VecDeque::new(),
            letter: None,
            busy: false,
            not_before: Steady(0),
        }
    }

    pub(super) fn add(&mut self, record: RecordId, reason: Reason, detail: String, at: Wall) {
        self.waiting.push_back(Burial {
            record,
            reason,
            detail,
            dead_at: at,
        });
    }

    /// When the next message may be sent.
    pub(super) fn wakeup(&self) -> Option<Steady> {
        (!self.busy && !self.waiting.is_empty()).then_some(self.not_before)
    }
}

impl DrainEngine {
    /// Sends the next message of the first letter.
    pub(super) fn bury(&mut self, now: Now) {
        if self.burials.busy || now.steady < self.burials.not_before {
            return;
        }
        let Some(burial) = self.burials.waiting.front() else {
            return;
        };
        let (record, dead_at) = (burial.record, burial.dead_at.to_string());
        let id = self.call_id(record);
        let messages = self.burials.letter.get_or_insert_with(|| {
            let held = self.window.get(record);
            let letter = DeadLetter {
                id: &id,
                reason: burial.reason,
                detail: &burial.detail,
                dead_at: &dead_at,
                source: record.position,
                attempts: held.map_or(&[], |held| held.history.as_slice()),
                record: held.map_or(&[], |held| held.record.as_slice()),
            };
            letter.messages().into()
        });
        let mut body = PutBody::default();
        if let Some(message) = messages.front() {
            debug_assert!(message.len() <= PUT_BYTES_MAX);
            body.push(message);
        }
        let request = self.burials.client.put_messages(body);
        self.burials.busy = true;
        let timeout = self.config.fetch.timeout;
        let limit = STREAM_ANSWER_BYTES_MAX;
        self.call_out(Purpose::Burial, request, timeout, limit, now.steady);
    }

    /// A message of a letter is stored, or isn't.
    pub(super) fn burial_done(&mut self, result: CalloutResult, now: Now) {
        self.burials.busy = false;
        let stored = expect_ok(result)
            .and_then(|answer| parse_put_answer(&answer.body, 1).map_err(StreamError::Unanswered))
            .map_err(|error| error.text().to_owned())
            .and_then(|entries| match entries.into_iter().next() {
                Some(PutEntry::Failed(why)) => Err(why),
                Some(PutEntry::Stored(_)) | None => Ok(()),
            });
        if let Err(why) = stored {
            self.outputs.count(Metric::DeadLetterFailures, 1);
            self.outputs.log(
                Level::Error,
                format!("a dead letter could not be stored: {why}"),
            );
            self.burials.not_before = now.steady.plus(FAILURE_PAUSE);
            return;
        }
        let more = self.burials.letter.as_mut().is_some_and(|messages| {
            messages.pop_front();
            !messages.is_empty()
        });
        if more {
            return;
        }
        self.burials.letter = None;
        if let Some(burial) = self.burials.waiting.pop_front() {
            self.outputs.count(burial.reason.metric(), 1);
            self.settle(burial.record, now.steady);
        }
    }
}
